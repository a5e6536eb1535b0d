"""Reading a key list to its end, and knowing that it is the end.

A list that is taken for complete although it is not makes the operator believe that a live key
is gone. So (docs/amove-api.md, "Paging") one reading is a proof only if every page gave the same
``total`` and keys of the same users, as many distinct ids came as that, the last page was not full,
and they came newest first.

Why not full: a service whose ``total`` counts the keys of the page would have 50 of 60 keys pass
for all of them. So a full page is followed by the next, whatever ``total`` says.

Why newest first: of the keys 1 to 4, in pages of two, key 1 is deleted and key 5 made between the
pages. Newest first, the pages show 4, 3 and then 3, 2: three ids of four, so the reading is thrown
away. Oldest first they show 1, 2 and then 4, 5: four ids of four, and key 3 is in neither though it
lives. Where the service ignored the wish for newest first, two readings in a row must therefore
show the same ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from amove_operator.amove.calls import PAGE_SIZE
from amove_operator.amove.models import KeyPage
from amove_operator.core.key_list import RemoteKey
from amove_operator.errors import IncompleteListing


@dataclass(frozen=True)
class Reading:
    """One pass over the pages. ``fault`` says why it proves nothing."""

    keys: tuple[RemoteKey, ...]
    pages: int
    fault: str | None = None

    @property
    def ordered(self) -> bool:
        """Whether the keys came newest first, every date known.

        One page is one moment: any order will do.
        """
        dates = pairwise(key.created for key in self.keys)
        return self.pages == 1 or all(one and other and one >= other for one, other in dates)

    def agrees(self, earlier: Reading | None) -> bool:
        """Whether ``earlier`` adds up as well and has the same keys."""
        if earlier is None or earlier.fault is not None:
            return False
        return {key.id for key in earlier.keys} == {key.id for key in self.keys}


async def read_pages(fetch: Callable[[int], Awaitable[KeyPage]], full: int) -> Reading:
    """Read page 1, 2, … until the count is reached or the pages stop adding up.

    The end is where as many ids came as ``total`` says, by a page of less than ``full`` keys or one
    that brought none. An empty page alone is no end: the service may have lost it.
    """
    seen: dict[str, RemoteKey] = {}
    total: int | None = None
    users: frozenset[str] = frozenset()
    number = 0
    fault: str | None = None
    while fault is None:
        number += 1
        page = await fetch(number)
        before = len(seen)
        for key in page.keys:
            seen.setdefault(key.id, key)
        if total is not None and page.total != total:
            fault = f"the total went from {total} to {page.total} while reading"
        elif users and page.users - users:
            # Two lists of two users, if the token was replaced between the pages.
            fault = f"page {number} has keys of another user than the pages before"
        elif len(seen) > page.total:
            fault = f"{len(seen)} keys came although the total is {page.total}"
        elif len(seen) == page.total and (len(page.data) < full or len(seen) == before):
            break
        elif len(seen) == before:
            fault = f"page {number} brought no new key at {before} of {page.total}"
        total, users = page.total, users or page.users
    return Reading(tuple(seen.values()), number, fault)


async def read_complete(
    fetch: Callable[[int], Awaitable[KeyPage]],
    *,
    rounds: int,
    between: Callable[[int], Awaitable[None]],
    full: int = PAGE_SIZE,
) -> tuple[RemoteKey, ...]:
    """Read until one pass proves itself complete, at most ``rounds`` times.

    ``between`` waits after the failed pass of that number (from 1). Raises IncompleteListing.
    """
    earlier: Reading | None = None
    why: str | None = None
    for number in range(1, rounds + 1):
        reading = await read_pages(fetch, full)
        why = reading.fault
        if why is None:
            if reading.ordered or reading.agrees(earlier):
                return reading.keys
            why = "the pages are not newest first, and no two readings agree"
        earlier = reading
        if number < rounds:
            await between(number)
    raise IncompleteListing(f"get_storage_key: no complete list in {rounds} readings: {why}")
