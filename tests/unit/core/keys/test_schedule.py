"""How often a key may be issued , and when one falls due by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.keys.schedule import (
    KEPT,
    jitter,
    next_issue_at,
    next_rotation,
    remember_issue,
)
from amove_operator.core.scope import Scope
from amove_operator.models import KeyStatus, RecentIssue

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCOPE = Scope.of("account", "region", "s3.example", "Read", ("media",)).record


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def issues(*moments: datetime) -> tuple[RecentIssue, ...]:
    """Issues at these moments, as status notes them."""
    return tuple(
        RecentIssue(serial=serial, issued_at=at, scope=SCOPE)
        for serial, at in enumerate(moments, start=1)
    )


def one_more(recent: tuple[RecentIssue, ...], now: datetime) -> tuple[RecentIssue, ...]:
    """With the next issue, made now."""
    serial = recent[-1].serial + 1 if recent else 1
    return remember_issue(recent, RecentIssue(serial=serial, issued_at=now, scope=SCOPE))


def greedy(budget: int, count: int, *, restart_after_each: bool = False) -> list[float]:
    """When a CR that wants a new key all the time is issued one, in minutes since the first.

    A crash loop that looks again every few seconds asks over and over: asking costs nothing.
    """
    now, recent, issued = NOON, tuple[RecentIssue, ...](), list[float]()
    while len(issued) < count:
        ready = next_issue_at(recent, budget, now)
        if restart_after_each and ready > now:
            now += timedelta(seconds=30)
            continue
        now = max(now, ready)
        issued.append((now - NOON) / minutes(1))
        recent = one_more(recent, now)
    return issued


@pytest.mark.parametrize("restart_after_each", [False, True])
def test_after_three_the_waits_are_5_10_20_40_then_every_60_minutes(
    restart_after_each: bool,
) -> None:
    issued = greedy(3, 12, restart_after_each=restart_after_each)
    waits = [later - earlier for earlier, later in pairwise(issued)]
    assert waits == [0, 0, 5, 10, 20, 40, 60, 60, 60, 60, 60]


@pytest.mark.parametrize("budget", [1, 2, 5, 20])
def test_the_budget_is_what_the_setting_says(budget: int) -> None:
    issued = greedy(budget, budget + 2)
    assert issued == [*[0] * budget, 5, 15]


def test_a_loop_earns_nothing_back_within_a_day_however_long_it_lasts() -> None:
    """Only what the 32 remembered issues no longer show is forgiven: more than a day of them."""
    issued = greedy(3, 150)
    for first, start in enumerate(issued):
        within_a_day = [moment for moment in issued[first:] if moment < start + 24 * 60]
        assert len(within_a_day) <= 24 + 3 + 4


def test_a_rest_of_more_than_an_hour_gives_the_budget_back() -> None:
    spent = tuple(NOON + minutes(count) for count in (0, 0, 5, 15))
    rested = spent[-1] + minutes(66)
    assert next_issue_at(issues(*spent), 3, rested) == rested
    early = spent[-1] + minutes(10)
    assert next_issue_at(issues(*spent), 3, early) == spent[-1] + minutes(10)
    assert next_issue_at(issues(*spent), 3, early - minutes(1)) > early - minutes(1)


def test_what_was_issued_before_a_rest_counts_no_more() -> None:
    spent = tuple(NOON + minutes(count) for count in (0, 0, 5, 15, 35))
    again = spent[-1] + minutes(70)
    assert next_issue_at(issues(*spent, again), 3, again) == again
    assert next_issue_at(issues(*spent, again, again, again), 3, again) == again + minutes(5)


def test_an_hourly_rotation_never_meets_the_budget() -> None:
    now, recent = NOON, tuple[RecentIssue, ...]()
    for number in range(200):
        assert next_issue_at(recent, 1 if number == 0 else 3, now) == now
        recent = one_more(recent, now)
        now += minutes(54 + number % 7)


def test_nothing_issued_yet_means_at_once() -> None:
    assert next_issue_at((), 1, NOON) == NOON


def test_issues_dated_in_the_future_count_as_made_now() -> None:
    """A clock that was ahead must neither block for days nor give anything away."""
    ahead = tuple(NOON + timedelta(days=900) for _ in range(3))
    assert next_issue_at(issues(*ahead), 3, NOON) == NOON + minutes(5)


moments = st.integers(-5000, 5000).map(lambda count: NOON + minutes(count))


@given(st.lists(moments, max_size=KEPT), st.integers(1, 20), moments)
def test_nobody_waits_longer_than_an_hour_and_nothing_raises(
    recent: list[datetime], budget: int, now: datetime
) -> None:
    assert next_issue_at(issues(*recent), budget, now) <= now + minutes(60)


@given(st.lists(moments, max_size=KEPT), st.integers(1, 20), moments)
def test_the_order_in_status_does_not_matter(
    recent: list[datetime], budget: int, now: datetime
) -> None:
    told = issues(*recent)
    assert next_issue_at(told, budget, now) == next_issue_at(told[::-1], budget, now)


@given(st.lists(moments, min_size=1, max_size=KEPT), st.integers(1, 20))
def test_one_more_issue_never_shortens_the_wait(recent: Sequence[datetime], budget: int) -> None:
    now = max(recent)
    more = next_issue_at(issues(*recent, now), budget, now)
    assert more >= next_issue_at(issues(*recent), budget, now)


def test_what_is_remembered_fits_into_status_and_drops_the_oldest() -> None:
    recent: tuple[RecentIssue, ...] = ()
    for count in range(KEPT + 5):
        recent = one_more(recent, NOON + minutes(count))
    assert len(recent) == KEPT == 32
    assert recent[0].issued_at == NOON + minutes(5)
    assert recent[-1].issued_at == NOON + minutes(KEPT + 4)


def test_only_young_issues_are_remembered_with_their_scope() -> None:
    """Thirty-two scopes of sixty-four names each would be too much for a status."""
    recent: tuple[RecentIssue, ...] = ()
    for count in range(KEPT):
        recent = one_more(recent, NOON + minutes(count))
    known = [one.serial for one in recent if one.scope is not None]
    assert known == [25, 26, 27, 28, 29, 30, 31, 32]
    assert KeyStatus(recent_issues=recent).recent_issues == recent


@given(st.lists(st.integers(1, 6), max_size=50))
def test_no_serial_is_remembered_twice(serials: list[int]) -> None:
    recent: tuple[RecentIssue, ...] = ()
    for count, serial in enumerate(serials):
        made = RecentIssue(serial=serial, issued_at=NOON + minutes(count), scope=SCOPE)
        recent = remember_issue(recent, made)
        assert recent[-1] == made
    kept = [one.serial for one in recent]
    assert sorted(kept) == sorted(set(serials))


# ---------------------------------------------------------------- rotation

uids = st.uuids().map(str)


@given(uids, st.integers(60, 10**8))
def test_a_key_falls_due_in_the_last_tenth_of_its_interval_and_never_later(
    uid: str, seconds: int
) -> None:
    interval = timedelta(seconds=seconds)
    due = next_rotation(NOON, interval, uid)
    assert interval * 0.9 - timedelta(seconds=1) <= due - NOON <= interval


@given(uids)
def test_the_jitter_of_an_object_is_always_the_same(uid: str) -> None:
    assert jitter(uid) == jitter(uid)
    assert 0 <= jitter(uid) < 1
    assert next_rotation(NOON, minutes(600), uid).microsecond == 0


def test_the_jitter_of_many_objects_is_spread_over_all_of_it() -> None:
    count = 10_000
    tenths = [0] * 10
    for number in range(count):
        tenths[int(jitter(f"{number:08x}-0000-4000-8000-000000000000") * 10)] += 1
    assert all(0.08 * count < found < 0.12 * count for found in tenths)


def test_the_jitter_does_not_hang_on_this_process() -> None:
    """Python's own hash() differs from run to run; a restart must not move a rotation."""
    found = jitter("0b0e3f4e-0000-4000-8000-000000000001")
    assert found == pytest.approx(0.8239175232171831)
