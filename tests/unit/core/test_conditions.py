"""Conditions as metav1.Condition and kstatus want them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.conditions import (
    Conclusion,
    Verdict,
    deleting,
    deletion_begun,
    find,
    in_sync,
    is_true,
    merge,
    of_an_edited_spec,
    progressing,
    stalled,
    unchanged,
    unsynced,
)
from amove_operator.core.reasons import Reason
from amove_operator.models.shared import Condition

NOON = datetime(2026, 3, 1, 12, 0, 0, 987_654, tzinfo=UTC)
WHOLE = NOON.replace(microsecond=0)
LATER = NOON + timedelta(minutes=5)

TAKEN = Reason.BucketExists
SETTLED = in_sync(Reason.Available, "There.")
STALLED = stalled(Reason.BucketExists, "Taken.")
UNSYNCED = unsynced(Reason.ApiUnavailable, "No answer.")
PROGRESSING = progressing(Reason.Progressing, "On the way.")
KEEPING = progressing(Reason.Progressing, "On the way.", keep_ready=True)


def shown(conditions: tuple[Condition, ...]) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in conditions}


@pytest.mark.parametrize(
    ("conclusion", "expected"),
    [
        (SETTLED, {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}),
        (
            STALLED,
            {
                "Ready": ("False", "BucketExists"),
                "Synced": ("False", "BucketExists"),
                "Stalled": ("True", "BucketExists"),
            },
        ),
        (
            PROGRESSING,
            {
                "Ready": ("False", "Progressing"),
                "Synced": ("False", "Progressing"),
                "Reconciling": ("True", "Progressing"),
            },
        ),
        (UNSYNCED, {"Ready": ("False", "ApiUnavailable"), "Synced": ("False", "ApiUnavailable")}),
        (
            KEEPING,
            {
                "Ready": ("False", "Progressing"),
                "Synced": ("False", "Progressing"),
                "Reconciling": ("True", "Progressing"),
            },
        ),
    ],
)
def test_ready_and_synced_are_always_there_the_others_only_while_true(
    conclusion: Conclusion, expected: dict[str, tuple[str, str]]
) -> None:
    assert shown(merge((), conclusion, 1, NOON)) == expected


@pytest.mark.parametrize("keeping", [UNSYNCED, KEEPING])
def test_a_kept_ready_stays_with_its_words_its_time_and_its_generation(
    keeping: Conclusion,
) -> None:
    before = merge((), SETTLED, 1, NOON)
    after = merge(before, keeping, 2, LATER)
    assert find(after, "Ready") == find(before, "Ready")
    synced = find(after, "Synced")
    assert synced is not None
    assert (synced.status, synced.observed_generation) == ("False", 2)


def test_a_ready_of_an_earlier_spec_comes_with_reconciling_until_the_new_one_is_judged() -> None:
    def written(old: tuple[Condition, ...], generation: int) -> tuple[Condition, ...]:
        return merge(old, of_an_edited_spec(UNSYNCED, old, generation), generation, LATER)

    settled = merge((), SETTLED, 1, NOON)
    edited = written(settled, 2)
    assert shown(edited) == {
        "Ready": ("True", "Available"),
        "Synced": ("False", "ApiUnavailable"),
        "Reconciling": ("True", "Progressing"),
    }
    assert written(edited, 2) == edited
    assert set(shown(merge(edited, SETTLED, 2, LATER))) == {"Ready", "Synced"}
    assert set(shown(written(settled, 1))) == {"Ready", "Synced"}


@pytest.mark.parametrize("conclusion", [SETTLED, STALLED, PROGRESSING, KEEPING])
def test_what_is_concluded_of_an_edited_spec_stands_as_it_is(conclusion: Conclusion) -> None:
    assert of_an_edited_spec(conclusion, merge((), SETTLED, 1, NOON), 2) is conclusion


@pytest.mark.parametrize("gone", [STALLED, PROGRESSING])
def test_reconciling_and_stalled_go_when_they_are_no_longer_true(gone: Conclusion) -> None:
    after = merge(merge((), gone, 1, NOON), SETTLED, 1, LATER)
    assert set(shown(after)) == {"Ready", "Synced"}


def test_a_transition_time_moves_only_with_its_status() -> None:
    first = merge((), STALLED, 1, NOON)
    again = merge(first, stalled(Reason.NotPermitted, "Another word."), 2, LATER)
    assert {one.last_transition_time for one in again} == {WHOLE}
    assert {one.reason for one in again} == {"NotPermitted"}
    turned = merge(again, SETTLED, 2, LATER)
    assert {one.last_transition_time for one in turned} == {LATER.replace(microsecond=0)}


def test_each_condition_says_which_generation_it_speaks_of() -> None:
    assert {one.observed_generation for one in merge((), STALLED, 7, NOON)} == {7}


def test_a_missing_transition_time_is_filled_in() -> None:
    bare = Condition(type="Synced", status="True", reason="Settled")
    found = find(merge([bare], SETTLED, 1, NOON), "Synced")
    assert found is not None
    assert found.last_transition_time == WHOLE


def test_conditions_of_others_are_left_as_they_are() -> None:
    foreign = Condition(type="example.com/Audited", status="True", reason="Seen")
    assert merge([foreign], SETTLED, 1, NOON)[-1] == foreign


def test_a_very_long_message_is_cut_so_that_it_can_be_written() -> None:
    for one in merge((), stalled(Reason.ApiRefused, "x" * 100_000), 1, NOON):
        assert len(one.message) <= 1024


conclusions = st.sampled_from([SETTLED, STALLED, UNSYNCED, PROGRESSING, KEEPING])


@given(st.lists(conclusions, min_size=1, max_size=6))
def test_the_same_conclusion_twice_writes_nothing_the_second_time(
    history: list[Conclusion],
) -> None:
    conditions: tuple[Condition, ...] = ()
    for minute, conclusion in enumerate(history):
        conditions = merge(conditions, conclusion, 1, NOON + timedelta(minutes=minute))
    assert merge(conditions, history[-1], 1, NOON + timedelta(days=1)) == conditions


@given(st.lists(conclusions, min_size=1, max_size=6))
def test_no_history_shows_ready_while_stalled_or_a_type_twice(history: list[Conclusion]) -> None:
    conditions: tuple[Condition, ...] = ()
    for conclusion in history:
        conditions = merge(conditions, conclusion, 1, NOON)
    types = [one.type for one in conditions]
    assert len(types) == len(set(types))
    assert {"Ready", "Synced"} <= set(types)
    assert not (is_true(conditions, "Stalled") and is_true(conditions, "Ready"))


# ---------------------------------------------------------------- unchanged


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ((), False),
        (merge((), STALLED, 1, NOON), True),
        (merge((), stalled(Reason.InvalidSpec, "Wrong."), 1, NOON), False),
        (merge(merge((), SETTLED, 1, NOON), unsynced(Reason.BucketExists, ""), 1, NOON), False),
        (merge((), SETTLED, 1, NOON), False),
        (
            merge((), Conclusion(Verdict("False", TAKEN), Verdict("True", TAKEN)), 1, NOON),
            False,
        ),
    ],
)
def test_conditions_are_kept_only_where_they_tell_the_same_trouble(
    before: tuple[Condition, ...], kept: bool
) -> None:
    found = unchanged(before, {Reason.BucketExists})
    assert (found is not None) is kept
    if found is not None:
        assert merge(before, found, 1, LATER) == before


def test_a_reason_of_a_newer_version_is_concluded_anew() -> None:
    before = merge((), STALLED, 1, NOON)
    assert unchanged(before, {TAKEN}) is not None
    for kind in ("Ready", "Stalled"):
        mixed = [
            replace(one, reason="OfANewerVersion") if one.type == kind else one for one in before
        ]
        assert unchanged(mixed, {TAKEN}) is None


def test_a_kept_trouble_drops_what_is_said_for_another_reason() -> None:
    before = (
        *merge((), STALLED, 1, NOON),
        Condition(type="Reconciling", status="True", reason="SomethingOld"),
    )
    found = unchanged(before, {Reason.BucketExists})
    assert found == Conclusion(
        ready=Verdict("False", Reason.BucketExists, "Taken."),
        synced=Verdict("False", Reason.BucketExists, "Taken."),
        stalled=Verdict("True", Reason.BucketExists, "Taken."),
    )


def test_what_is_not_there_is_not_true() -> None:
    assert find((), "Ready") is None
    assert not is_true((), "Ready")
    assert not is_true(merge((), STALLED, 1, NOON), "Ready")
    assert is_true(merge((), SETTLED, 1, NOON), "Ready")


def test_what_could_not_be_learned_leaves_stalled_as_it_was_for_this_generation() -> None:
    before = merge((), STALLED, 1, NOON)
    after = merge(before, UNSYNCED, 1, LATER)
    assert find(after, "Stalled") == find(before, "Stalled")
    assert find(after, "Ready") == find(before, "Ready")
    found = find(after, "Synced")
    assert found is not None
    assert found.reason == Reason.ApiUnavailable
    assert find(merge(before, UNSYNCED, 2, LATER), "Stalled") is None


def test_a_deletion_that_was_begun_stays_told_until_something_stalls_it() -> None:
    begun = merge((), deleting("The key is being revoked."), 1, NOON)
    assert deletion_begun(begun)
    assert deletion_begun(merge(begun, UNSYNCED, 1, LATER))
    assert not deletion_begun(merge(begun, STALLED, 1, LATER))
    assert not deletion_begun(merge((), UNSYNCED, 1, LATER))


def test_waiting_for_a_list_after_a_crash_does_not_hide_that_a_deletion_was_begun() -> None:
    begun = merge((), deleting("The key is being revoked."), 1, NOON)
    waiting = progressing(Reason.WaitingForListing, "Deletion waits for a list.", keep_ready=True)
    assert deletion_begun(merge(begun, waiting, 1, LATER))


@pytest.mark.parametrize(
    "cause", ["ApiUnauthorized", "ApiUnavailable", "ListIncomplete", "KubernetesRefused", "Paused"]
)
def test_a_ready_that_only_says_why_nothing_was_learned_follows_synced(cause: str) -> None:
    before = merge((), unsynced(Reason(cause), "So."), 1, NOON)
    after = merge(before, unsynced(Reason.ClockSkew, "Otherwise."), 1, LATER)
    assert shown(after) == dict.fromkeys(("Ready", "Synced"), ("False", "ClockSkew"))


def test_a_ready_that_says_something_of_the_object_stays_while_the_service_is_down() -> None:
    before = merge((), STALLED, 1, NOON)
    assert shown(merge(before, UNSYNCED, 1, LATER))["Ready"] == ("False", "BucketExists")
