"""The shared key listing: what this process did itself counts before a list can show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.core.key_list import KeyList
from amove_operator.errors import (
    IncompleteListing,
    NotLeading,
    TransportFault,
    UnreadableAnswer,
)
from tests.unit.core.keys.key_snapshots import NARROW, WIDE, key

SETTLE = 30.0
FIRST, SECOND = key(1, WIDE), key(2, NARROW)


class Lists:
    """A service whose list lags, and a clock."""

    def __init__(self) -> None:
        self.shown = [FIRST]
        self.time = 100.0
        self.asked = 0
        self.readings_failed = 0
        self.told: list[KeyList] = []
        self.woken: list[float] = []
        self.error: Exception | None = None
        api = cast(AmoveClient, self)
        self.key_lists = KeyListCache(api, lambda: self.time, SETTLE)
        self.key_lists.subscribe(self._judge)

    async def _judge(self, listing: KeyList) -> Callable[[], None]:
        return partial(self.told.append, listing)

    async def get_storage_keys(self) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return tuple(self.shown)

    def asked_for(self, *since: float) -> bool:
        """Whether those who want a list begun then have it at once; else it is read by now."""

        async def ask() -> bool:
            told = [self._asks(moment) for moment in since]
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
            return all(told)

        return asyncio.run(ask())

    def _asks(self, moment: float) -> bool:
        return self.key_lists.has_since(moment, f"uid-{moment}", lambda: self.woken.append(moment))

    def fresh(self, at: float) -> list[str]:
        """The ids in a listing begun at that moment."""
        self.time = at
        return sorted(asyncio.run(self.key_lists.fresh()).owners)


def test_a_key_that_was_just_issued_is_in_each_list_until_the_settle_time_has_passed() -> None:
    lists = Lists()
    lists.key_lists.issued(SECOND)
    assert lists.fresh(100) == ["id-1", "id-2"]
    assert lists.fresh(129) == ["id-1", "id-2"]
    assert lists.fresh(130) == ["id-1"], "by now the list speaks for itself"


def test_a_key_that_was_just_issued_is_in_the_list_at_hand() -> None:
    """So it keeps its bucket names also when its object is let go of meanwhile."""
    lists = Lists()
    lists.fresh(100)
    lists.key_lists.issued(SECOND)
    assert lists.key_lists.latest is not None
    assert [one.id for one in lists.key_lists.latest.keeping("one")] == ["id-2", "id-1"]


def test_a_key_that_was_just_revoked_is_in_no_list_until_the_settle_time_has_passed() -> None:
    lists = Lists()
    lists.fresh(100)
    lists.key_lists.revoked("id-1")
    assert lists.key_lists.latest is not None
    assert not lists.key_lists.latest.owners
    assert lists.fresh(129) == []
    assert lists.fresh(130) == ["id-1"], "it was not revoked after all"


def test_a_key_that_was_issued_and_revoked_is_in_no_list() -> None:
    lists = Lists()
    lists.key_lists.issued(SECOND)
    lists.shown.append(SECOND)
    lists.key_lists.revoked("id-2")
    assert lists.fresh(110) == ["id-1"]


def test_a_listed_key_is_there_once() -> None:
    lists = Lists()
    lists.key_lists.issued(FIRST)
    assert lists.fresh(100) == ["id-1"]
    assert lists.key_lists.latest is not None
    assert list(lists.key_lists.latest.keeping("one")) == [FIRST]


def test_one_listing_serves_all_who_can_use_it_and_each_is_told_of() -> None:
    lists = Lists()
    lists.fresh(100)
    lists.time = 150
    assert lists.asked_for(100), "that one is new enough"
    assert lists.asked == 1
    assert not lists.asked_for(101, 120), "one is read, of which both hear"
    assert lists.woken == [101, 120]
    assert [one.begun for one in lists.told] == [100, 150]


def test_a_list_that_cannot_be_had_leaves_the_one_at_hand() -> None:
    lists = Lists()
    lists.fresh(100)
    lists.error = TransportFault("time-out")
    with pytest.raises(TransportFault):
        lists.fresh(150)
    assert lists.key_lists.latest is not None
    assert lists.key_lists.latest.begun == 100


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        pytest.param(TransportFault("time-out"), TransportFault, id="no answer"),
        pytest.param(NotLeading("the Lease is late"), NotLeading, id="the Lease is late"),
        pytest.param(KeyError("a fault of ours"), UnreadableAnswer, id="a fault of ours"),
    ],
)
def test_whatever_a_reading_fails_by_none_is_begun_before_a_pause_is_over(
    failure: Exception, told: type[Exception]
) -> None:
    """All who wait are called once; each would else have it read again, at once and for ever."""
    lists = Lists()
    lists.error = failure
    assert not lists.asked_for(100, 101)
    assert (lists.asked, sorted(lists.woken)) == (1, [100, 101])
    for _ in range(3):
        with pytest.raises(told):
            lists.asked_for(100)
    assert lists.asked == 1
    lists.error, lists.time = None, 101.5
    assert not lists.asked_for(100)
    assert (lists.asked, lists.asked_for(100)) == (2, True)


def test_a_key_of_our_own_that_a_list_lacks_does_not_say_whose_the_list_is() -> None:
    """Else a token that changed hands within the settle time would seem to be the former user's."""
    lists = Lists()
    lists.shown = [replace(FIRST, user_id="stranger")]
    lists.key_lists.issued(replace(SECOND, user_id="mine"))
    assert lists.fresh(101) == ["id-1", "id-2"]
    assert lists.key_lists.latest is not None
    assert lists.key_lists.latest.speaks_for("mine") is False
    assert lists.key_lists.latest.speaks_for("stranger") is True


def test_what_is_issued_or_revoked_while_a_long_list_is_taken_in_counts_in_it() -> None:
    async def scenario() -> None:
        lists = Lists()
        lists.shown = [replace(FIRST, id=f"id-{number}") for number in range(1000)]
        listing = asyncio.create_task(lists.key_lists.fresh())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (listing.done(), lists.key_lists.latest) == (False, None)
        lists.key_lists.issued(replace(SECOND, id="new"))
        lists.key_lists.revoked("id-3")
        lists.key_lists.revoked("id-999")
        await listing
        owners = lists.key_lists.latest.owners if lists.key_lists.latest else {}
        assert owners.keys() == {f"id-{n}" for n in range(1000) if n not in (3, 999)} | {"new"}

    asyncio.run(scenario())


def test_a_list_that_does_not_add_up_is_logged_once_and_so_is_that_it_does_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lists = Lists()
    lists.error = IncompleteListing("half")
    for at in (100, 110):
        with pytest.raises(IncompleteListing):
            lists.fresh(at)
    assert caplog.text.count("ListIncomplete") == 1
    lists.error = None
    lists.fresh(120)
    lists.fresh(130)
    assert caplog.text.count("adds up again") == 1


def test_who_waits_for_the_end_of_a_reading_is_called_also_when_the_sweeps_own_fails() -> None:
    lists, called = Lists(), list[str]()
    lists.readings_failed = 2
    assert lists.key_lists.holds_up("uid", lambda: called.append("uid"), revokes=True)
    lists.error = IncompleteListing("half")
    with pytest.raises(IncompleteListing):
        lists.fresh(100)
    assert called == ["uid"]


def test_the_end_of_an_outage_ends_the_pause_after_a_list_that_failed_in_it() -> None:
    lists = Lists()
    lists.error = TransportFault("down")
    for _ in range(7):
        assert not lists.asked_for(lists.time)
        lists.time = lists.key_lists.retry_at
    assert not lists.asked_for(lists.time)
    lists.time += 1
    with pytest.raises(TransportFault):
        lists.asked_for(lists.time)
    lists.key_lists.outage_ended()
    assert not lists.asked_for(lists.time), "it failed, but was asked for"
    assert lists.key_lists.retry_at == lists.time + 1, "the pauses begin anew"
    lists.time += 1
    lists.error = None
    assert not lists.asked_for(lists.time)
    assert lists.asked_for(lists.time)
