"""When a key list counts as complete. The service behind ``fetch`` is a list of pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amove_operator.amove.models import KeyPage
from amove_operator.amove.paging import read_complete
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing
from tests.unit.amove.stand_ins import key


def keys(*numbers: int) -> tuple[RemoteKey, ...]:
    return page(*numbers, total=0).keys


def page(*numbers: int, total: int) -> KeyPage:
    return KeyPage.model_validate({"data": [key(number) for number in numbers], "total": total})


@dataclass
class Book:
    """Gives the pages of one reading after the other; notes what was asked for."""

    readings: Sequence[Sequence[KeyPage]]
    asked: list[int] = field(default_factory=list)
    reading: int = -1

    async def fetch(self, number: int) -> KeyPage:
        self.asked.append(number)
        self.reading += number == 1
        pages = self.readings[min(self.reading, len(self.readings) - 1)]
        return pages[min(number, len(pages)) - 1]


async def read(book: Book, rounds: int = 3, full: int = 50) -> tuple[RemoteKey, ...]:
    waits: list[int] = []

    async def between(number: int) -> None:
        waits.append(number)

    return await read_complete(book.fetch, rounds=rounds, between=between, full=full)


async def test_an_empty_list_is_complete_after_one_call() -> None:
    book = Book([[page(total=0)]])
    assert await read(book) == ()
    assert book.asked == [1]


async def test_one_page_that_reaches_the_total_costs_one_call_in_any_order() -> None:
    book = Book([[page(1, 3, 2, total=3)]])
    assert await read(book) == keys(1, 3, 2)
    assert book.asked == [1]


async def test_pages_are_read_until_the_total_is_reached() -> None:
    book = Book([[page(5, 4, total=5), page(3, 2, total=5), page(1, total=5)]])
    assert await read(book) == keys(5, 4, 3, 2, 1)
    assert book.asked == [1, 2, 3]


INCOMPLETE: list[tuple[str, list[KeyPage], str]] = [
    ("a total that moves", [page(4, 3, total=4), page(2, 1, total=5)], "from 4 to 5"),
    ("a page repeated", [page(4, 3, total=4), page(4, 3, total=4)], "no new key"),
    ("page parameters ignored", [page(4, 3, total=4)], "page 2 brought no new key at 2 of 4"),
    ("an empty page too soon", [page(4, 3, total=4), page(total=4)], "no new key"),
    ("nothing although there is something", [page(total=2)], "no new key at 0 of 2"),
    ("the last key lost", [page(4, 3, total=4), page(2, total=4), page(total=4)], "3 of 4"),
    ("more keys than the total", [page(3, 2, 1, total=2)], "3 keys came although the total is 2"),
    ("an id twice", [page(3, 3, total=2), page(total=2)], "no new key at 1 of 2"),
]


@pytest.mark.parametrize(
    ("pages", "why"), [r[1:] for r in INCOMPLETE], ids=[r[0] for r in INCOMPLETE]
)
async def test_a_list_that_does_not_add_up_is_never_returned(
    pages: list[KeyPage], why: str
) -> None:
    with pytest.raises(IncompleteListing, match=why):
        await read(Book([pages]))


@pytest.mark.parametrize(
    "pages", [row[1] for row in INCOMPLETE], ids=[row[0] for row in INCOMPLETE]
)
async def test_it_is_read_again_and_the_sound_reading_counts(pages: list[KeyPage]) -> None:
    assert (await read(Book([pages, [page(2, 1, total=2)]]))) == keys(2, 1)


async def test_reading_again_has_an_end() -> None:
    book = Book([[page(2, total=2)]])
    with pytest.raises(IncompleteListing, match="3 readings"):
        await read(book, rounds=3)
    assert book.reading == 2


async def test_ascending_pages_do_not_hide_a_live_key() -> None:
    """The service ignored the wish for newest first. Key 1 is deleted and 5 made between pages."""
    slipped = [page(1, 2, total=4), page(4, 5, total=4)]  # 3, alive, is in neither
    settled = [page(2, 3, total=4), page(4, 5, total=4)]
    listing = await read(Book([slipped, settled, settled]))
    assert {key.id for key in listing} == {"key-2", "key-3", "key-4", "key-5"}


async def test_ascending_pages_that_never_agree_prove_nothing() -> None:
    one, other = [page(1, 2, total=3), page(3, total=3)], [page(1, 2, total=3), page(4, total=3)]
    with pytest.raises(IncompleteListing, match="no two readings agree"):
        await read(Book([one, other, one]))


async def test_a_reading_that_did_not_add_up_is_no_second_witness() -> None:
    faulty = [page(1, 2, total=3), page(3, total=4)]
    unordered, other = ([page(1, 2, total=3), page(last, total=3)] for last in (3, 4))
    with pytest.raises(IncompleteListing):
        await read(Book([faulty, unordered, other]))


async def test_keys_without_dates_need_two_readings_that_agree() -> None:
    undated = [key(number, createDate="0001-01-01T00:00:00") for number in (1, 2)]
    book = Book([[KeyPage.model_validate({"data": [one], "total": 2}) for one in undated]])
    assert len(await read(book)) == 2
    assert book.asked == [1, 2, 1, 2]


async def test_a_full_page_is_never_the_last_whatever_the_total_says() -> None:
    """A total that counts the page: 2 of 3 keys would pass for all."""
    counted = [page(3, 2, total=2), page(1, total=1)]
    with pytest.raises(IncompleteListing, match="from 2 to 1"):
        await read(Book([counted]), full=2)
    with pytest.raises(IncompleteListing, match="4 keys came although the total is 2"):
        await read(Book([[page(4, 3, total=2), page(2, 1, total=2)]]), full=2)


async def test_a_list_that_ends_with_a_full_page_costs_one_more_call() -> None:
    book = Book([[page(4, 3, total=4), page(2, 1, total=4), page(total=4)]])
    assert await read(book, full=2) == keys(4, 3, 2, 1)
    assert book.asked == [1, 2, 3]


async def test_a_server_that_gives_all_keys_for_each_page_gives_a_complete_list() -> None:
    book = Book([[page(4, 3, 2, 1, total=4)]])
    assert await read(book, full=2) == keys(4, 3, 2, 1)
    assert book.asked == [1, 2]


async def test_a_list_of_two_users_pages_is_not_complete() -> None:
    """The token was replaced by another user's between two pages, and the numbers add up."""
    theirs = KeyPage.model_validate({"data": [key(1, userId="another")], "total": 3})
    with pytest.raises(IncompleteListing, match="page 2 has keys of another user"):
        await read(Book([[page(3, 2, total=3), theirs]]))


def test_a_null_list_is_an_empty_one_and_a_missing_one_no_answer() -> None:
    assert KeyPage.model_validate({"data": None, "total": 0}).keys == ()
    with pytest.raises(ValidationError):
        KeyPage.model_validate({"total": 0})


async def test_one_key_in_two_spellings_is_one_key() -> None:
    small = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"
    pages = [
        KeyPage.model_validate({"data": [key(1, id=text)], "total": 2})
        for text in (small, small.upper())
    ]
    with pytest.raises(IncompleteListing, match="no new key at 1 of 2"):
        await read(Book([pages]))


class ChangingStore:
    """A server that sorts newest first and changes between the pages as it is told."""

    def __init__(self, alive: list[int], script: list[tuple[str, int]], size: int) -> None:
        self.alive = list(alive)
        self.always = set(alive)
        self._script = list(script)
        self._size = size
        self._next = max(alive, default=0) + 1

    def fetcher(self) -> Callable[[int], Awaitable[KeyPage]]:
        async def fetch(number: int) -> KeyPage:
            if number > 1:
                self._change()
            shown = sorted(self.alive, reverse=True)
            part = shown[(number - 1) * self._size : number * self._size]
            return page(*part, total=len(shown))

        return fetch

    def _change(self) -> None:
        changes, self._script = self._script[:2], self._script[2:]
        for what, which in changes:
            if what == "create":
                self.alive.append(self._next)
                self._next += 1
            elif self.alive:
                gone = self.alive.pop(which % len(self.alive))
                self.always.discard(gone)


@given(
    alive=st.lists(st.integers(1, 40), unique=True, max_size=12),
    script=st.lists(
        st.tuples(st.sampled_from(["create", "delete"]), st.integers(0, 20)), max_size=12
    ),
    size=st.integers(1, 5),
)
async def test_no_key_that_lives_throughout_is_missing_from_a_complete_list(
    alive: list[int], script: list[tuple[str, int]], size: int
) -> None:
    store = ChangingStore(alive, script, size)

    async def between(number: int) -> None:
        del number

    try:
        listing = await read_complete(store.fetcher(), rounds=3, between=between, full=size)
    except IncompleteListing:
        return
    assert {f"key-{number}" for number in store.always} <= {key.id for key in listing}
