"""The key planner as a table: each row is a sentence of docs/key-protocol.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from amove_operator.core.conditions import stalled
from amove_operator.core.keys import steps
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import (
    Blocked,
    KeyLimits,
    LossVerdict,
    SecretAbsent,
    SecretForeign,
)
from amove_operator.core.policy import Defaults
from amove_operator.core.reasons import Reason
from amove_operator.core.secrets.record import Retiring
from amove_operator.models import KeySpec, KeyStatus, RecentIssue, SecretSpec
from tests.unit.core.keys.key_snapshots import (
    DESIRED_SECRET,
    FIRST,
    GRACE,
    HOUR,
    NARROW,
    NOW,
    TWIN,
    WIDE,
    current,
    issue,
    key,
    ours,
    pending_key,
    planned,
    reason,
    reported,
    retiring,
    settled,
    status,
)

SECOND = key(2, age=timedelta(minutes=10))
GONE = SecretAbsent()
OTHER_FORMAT = replace(DESIRED_SECRET, spec=SecretSpec(format="CredentialsFile"))
NEW = {"status": status(None), "secret": GONE, "live": (), "is_new": True}
MAKING = Blocked(Reason.BucketNotReady, "not yet", passing=True)
REFUSED = stalled(Reason.NotPermitted, "no")
ROTATED = {
    "status": status(SECOND, retiring(FIRST, HOUR / 2)),
    "secret": ours(SECOND, Retiring(FIRST.id, NOW + HOUR / 2), age=timedelta(minutes=10)),
    "live": (FIRST, SECOND),
}
HIDDEN = {**ROTATED, "live": (SECOND,), "presumed_gone": frozenset({FIRST.id, SECOND.id})}
TWIN_KEY = key(1, TWIN)
"""A key whose remote name is that of FIRST, though it was issued for other buckets."""
OTHER_OF_SERIAL_1 = status(None).model_copy(
    update={
        "key": current(FIRST).model_copy(update={"id": "id-1-of-a-lost-answer"}),
        "recent_issues": (issue(1, WIDE),),
    }
)
Row = tuple[str, dict[str, Any], str]


def noted(*issues: RecentIssue) -> KeyStatus:
    """A status that names no key, and notes these issues."""
    return status(None).model_copy(update={"recent_issues": issues})


MINTING: list[Row] = [
    ("a settled CR rests", {}, "Finish Settled"),
    ("a new CR is issued its first key", NEW, "Mint 1 no key was issued yet"),
    ("nothing happens before the finalizer is on", {**NEW, "finalizer": False}, "AddFinalizer"),
    ("the Secret is read before anything is decided", {"secret": None}, "ReadSecret"),
    (
        "of a new CR the dry run shows whether there is a Secret",
        {**NEW, "secret": None, "secret_fresh": False, "dry_run_passed": False},
        "DryRun",
    ),
    (
        "the Secret of a new CR is read before a key is revoked that somebody else left",
        {**NEW, "secret": None, "secret_fresh": False, "live": (FIRST,)},
        "ReadSecret",
    ),
    (
        "a Secret that was only remembered is read again before a mint",
        {"rotate_request": "now", "secret_fresh": False},
        "ReadSecret",
    ),
    (
        "no key while a bucket is not ready",
        {**NEW, "gate": Blocked(Reason.BucketNotReady, "not yet", WIDE)},
        "Finish BucketNotReady",
    ),
    (
        "a new key says nothing of a bucket that is being made",
        {**NEW, "gate": MAKING, "finalizer": False, "clock": 100.0, "first_seen": 71.0},
        "ComeAgain",
    ),
    (
        "it begins, and says so, once that takes long",
        {**NEW, "gate": MAKING, "finalizer": False, "clock": 101.0, "first_seen": 71.0},
        "AddFinalizer",
    ),
    (
        "one whose key lives is not new: its finalizer, and a revocation, wait for no bucket",
        {"gate": MAKING, "finalizer": False, "clock": 100.0, "first_seen": 99.0},
        "AddFinalizer",
    ),
    (
        "a key that has begun says at once that its bucket is being made anew",
        {**NEW, "gate": MAKING, "clock": 100.0, "first_seen": 99.0},
        "Finish BucketNotReady",
    ),
    (
        "what is refused is said beside a bucket that is being made",
        {**NEW, "gate": MAKING, "finalizer": False, "first_seen": 0.0, "fault": REFUSED},
        "Finish NotPermitted",
    ),
    (
        "an issued key is untouched while its bucket is unready",
        {"gate": Blocked(Reason.BucketNotReady, "not yet")},
        "Finish Settled",
    ),
    (
        "an issued key whose bucket's CR is gone stays, and its status says so",
        {"gate": Blocked(Reason.BucketNotFound, "gone")},
        "Finish BucketNotFound",
    ),
    ("a dry run comes before a mint", {**NEW, "dry_run_passed": False}, "DryRun"),
    (
        "what Kubernetes would refuse is not minted for",
        {**NEW, "dry_run_passed": False, "refused": "quota"},
        "Finish SecretWriteRefused",
    ),
    (
        "nothing is minted before the list tells what an earlier process did",
        {"status": status(None), "secret": GONE, "live": None},
        "AwaitKeyList",
    ),
    (
        "no successor is issued by an old list that may be another user's",
        {"live": (), "list_outdated": True},
        "AwaitKeyList",
    ),
    (
        "that list is not read anew while a bucket is not ready",
        {"live": (), "list_outdated": True, "gate": Blocked(Reason.BucketNotReady, "no", WIDE)},
        "Finish BucketNotReady",
    ),
    (
        "a sound Secret needs no listing after a restart",
        {"live": None, "listed_at": None},
        "Finish Settled",
    ),
    (
        "a marked key that nobody holds is revoked before another is issued",
        {"status": status(None), "secret": GONE},
        "Revoke id-1 unheld",
    ),
    (
        "a key that nobody holds is revoked beside a sound Secret too",
        {"live": (FIRST, SECOND)},
        "Revoke id-2 unheld",
    ),
    (
        "every issue but the first is recorded before it is made",
        {"secret": GONE, "recorded": None},
        "RecordIssue 2",
    ),
    (
        "the first issue needs no record",
        {**NEW, "recorded": None},
        "Mint 1 no key was issued yet",
    ),
    (
        "beyond the budget a mint waits",
        {"secret": GONE, "recorded": None, "status": status(FIRST, issues=4)},
        "Finish MintBudgetExhausted",
    ),
    (
        "a recorded issue may be made",
        {"secret": GONE, "status": status(FIRST, issues=4)},
        "Mint 5 the Secret is gone",
    ),
    (
        "a serial is never used again by this process",
        {"secret": GONE, "last_serial": 6},
        "Mint 7 the Secret is gone",
    ),
]

REASONS: list[Row] = [
    ("a deleted Secret is written anew", {"secret": GONE}, "Mint 2 the Secret is gone"),
    (
        "edited data are replaced",
        {"secret": ours(FIRST, data_matches=False)},
        "Mint 2 the Secret's data were edited",
    ),
    (
        "a key that is gone at the service is replaced",
        {"live": ()},
        "Mint 2 the key is gone at the service",
    ),
    ("another scope costs a new key", {"gate": NARROW}, "Mint 2 the scope changed"),
    (
        "another format costs a new key",
        {"desired_secret": OTHER_FORMAT},
        "Mint 2 the Secret's format changed",
    ),
    ("a rotation asked for is done", {"rotate_request": "x"}, "Mint 2 a rotation was requested"),
    (
        "a rotation that is due is done",
        {"interval": 4 * HOUR},
        "Mint 2 the rotation interval has passed",
    ),
    ("a rotation that is not due waits", {"interval": 24 * HOUR}, "Finish Settled"),
    (
        "a clock that is wrong rotates nothing",
        {"interval": 4 * HOUR, "clock_skewed": True},
        "Finish ClockSkew",
    ),
    (
        "edited labels are repaired in place",
        {"secret": ours(FIRST, metadata_drifted=True)},
        "RepairSecretMetadata",
    ),
    (
        "a held key that another process issued just now is not missed yet",
        {"live": (), "secret": ours(FIRST, age=timedelta(0)), "status": status(None)},
        "AwaitKeyList",
    ),
    (
        "an issue dated in the future protects no key",
        {"live": (), "secret": ours(FIRST, age=-HOUR), "status": status(None)},
        "Mint 1 the key is gone at the service",
    ),
]

RETIRING: list[Row] = [
    ("a replaced key lives until its grace ends", ROTATED, "Finish Settled"),
    (
        "a replaced key is revoked when its grace has ended",
        {**ROTATED, "status": status(SECOND, retiring(FIRST, -HOUR / 60))},
        "Revoke id-1 retired",
    ),
    (
        "a grace that was shortened counts for a key that retires already",
        {**ROTATED, "grace": timedelta(minutes=5)},
        "Revoke id-1 retired",
    ),
    (
        "a grace of 0s revokes right after the Secret is written",
        {**ROTATED, "grace": timedelta(0)},
        "Revoke id-1 retired",
    ),
    (
        "a revoke-after that was edited to be later gains nothing",
        {
            **ROTATED,
            "secret": ours(SECOND, Retiring(FIRST.id, NOW + 99 * HOUR)),
            "status": status(SECOND, retiring(FIRST, -HOUR)),
        },
        "Revoke id-1 retired",
    ),
    (
        "a clock that is wrong revokes nothing",
        {**ROTATED, "grace": timedelta(0), "clock_skewed": True},
        "Finish ClockSkew",
    ),
    (
        "a key is revoked only on a Secret read just now",
        {**ROTATED, "grace": timedelta(0), "secret_fresh": False},
        "ReadSecret",
    ),
    (
        "another rotation within the grace waits",
        {**ROTATED, "rotate_request": "x"},
        "Finish WaitingForGrace",
    ),
    (
        "a deleted Secret makes room at once",
        {**ROTATED, "secret": GONE},
        "Revoke id-1 making room",
    ),
    (
        "a scope that takes something away makes room at once",
        {**ROTATED, "gate": NARROW},
        "Revoke id-1 making room",
    ),
    (
        "a replaced key that only a list lacks, perhaps another user's, counts as alive",
        {**HIDDEN, "rotate_request": "x"},
        "Finish WaitingForGrace",
    ),
    (
        "and so it makes room when the Secret is deleted",
        {**HIDDEN, "secret": GONE},
        "Revoke id-1 making room",
    ),
    (
        "and the service is asked for it when its grace has ended",
        {**HIDDEN, "grace": timedelta(0)},
        "Revoke id-1 retired",
    ),
    (
        "and it is gone when the service was asked",
        {**HIDDEN, "rotate_request": "x", "presumed_gone": frozenset()},
        "Mint 3 a rotation was requested",
    ),
    (
        "an id that another CR's marker carries is never revoked, whoever names it",
        {"secret": ours(FIRST, Retiring("another's", NOW - HOUR))},
        "Finish Settled",
    ),
]

IN_HAND: list[Row] = [
    (
        "a fresh key is written only after a look at the Secret",
        {"pending_key": pending_key(SECOND), "secret_fresh": False},
        "ReadSecret",
    ),
    (
        "a fresh key replaces a dead one",
        {"pending_key": pending_key(SECOND), "live": (SECOND,)},
        "WriteSecret",
    ),
    (
        "a Secret that is gone gets the fresh key",
        {"pending_key": pending_key(SECOND), "live": (FIRST, SECOND), "secret": GONE},
        "WriteSecret",
    ),
    (
        "a Secret of ours with a live key stays, and the fresh key goes",
        {"pending_key": pending_key(SECOND), "live": (FIRST, SECOND)},
        "Revoke id-2 unwritten",
    ),
    (
        "a foreign Secret stays, and the fresh key goes",
        {
            "pending_key": pending_key(SECOND),
            "live": (SECOND,),
            "secret": SecretForeign("not ours"),
        },
        "Revoke id-2 unwritten",
    ),
    (
        "a Secret that is being deleted costs the fresh key",
        {
            "pending_key": pending_key(SECOND),
            "live": (SECOND,),
            "secret": ours(FIRST, deleting=True),
        },
        "Revoke id-2 unwritten",
    ),
    (
        "a write that Kubernetes refused costs the fresh key",
        {"pending_key": pending_key(SECOND), "live": (SECOND,), "refused": "webhook"},
        "Revoke id-2 unwritten",
    ),
    (
        "a fresh key of yesterday's scope goes",
        {"pending_key": pending_key(SECOND), "live": (SECOND,), "gate": NARROW},
        "Revoke id-2 unwritten",
    ),
    (
        "a fresh key of another API user goes",
        {"pending_key": pending_key(SECOND), "live": (SECOND,), "loss": LossVerdict.OTHER_USER},
        "Revoke id-2 unwritten",
    ),
    (
        "a spec that became wrong costs the fresh key",
        {"pending_key": pending_key(SECOND), "fault": stalled(Reason.InvalidSpec, "wrong")},
        "Revoke id-2 unwritten",
    ),
    (
        "a revocation without answer is looked after before it is tried again",
        {
            "pending_key": pending_key(SECOND),
            "secret": SecretForeign("x"),
            "live": None,
            "outcome_unknown": True,
        },
        "AwaitKeyList",
    ),
]

UNKNOWN_SCOPE: list[Row] = [
    (
        "a key of which neither memory nor status knows the scope is replaced",
        {"status": status(None)},
        "Mint 2 nothing proves which buckets the key reaches",
    ),
    (
        "also where its digest fits what the spec asks for",
        {"status": status(None), "live": (TWIN_KEY,), "secret": ours(TWIN_KEY)},
        "Mint 2 nothing proves which buckets the key reaches",
    ),
    (
        "and is not revoked while the budget is spent",
        {"status": status(None, issues=9), "recorded": None},
        "Finish MintBudgetExhausted",
    ),
    (
        "nor while its buckets are not ready",
        {"status": status(None), "gate": Blocked(Reason.BucketNotFound, "gone")},
        "Finish BucketNotFound",
    ),
    (
        "nor where the spec was made wrong",
        {"status": status(None), "fault": stalled(Reason.InvalidSpec, "wrong")},
        "Finish InvalidSpec",
    ),
    (
        "nor in a mass loss",
        {"status": status(None), "loss": LossVerdict.OTHER_USER},
        "Finish ApiUserChanged",
    ),
    (
        "what this process minted it knows the scope of",
        {"status": status(None), "scopes": ((FIRST.id, WIDE),)},
        "Finish Settled",
    ),
    (
        "what was noted before the create is known after a crash",
        {"status": noted(issue(1, WIDE))},
        "Finish Settled",
    ),
    (
        "and a noted scope that is not what the spec asks for is changed",
        {"status": noted(issue(1, NARROW))},
        "Mint 2 the scope changed",
    ),
    (
        "a note of another serial proves nothing",
        {"status": noted(issue(2, WIDE)), "recorded": None},
        "RecordIssue 3",
    ),
    (
        "a note without scope proves nothing",
        {"status": noted(issue(1, None))},
        "Mint 2 nothing proves which buckets the key reaches",
    ),
    (
        "a note proves nothing of a key of its serial that status does not name",
        {"status": OTHER_OF_SERIAL_1},
        "Mint 2 nothing proves which buckets the key reaches",
    ),
    (
        "two scopes whose digests collide are never taken for each other",
        {"gate": TWIN},
        "Mint 2 the scope changed",
    ),
    (
        "not in memory",
        {"gate": TWIN, "status": status(None), "scopes": ((FIRST.id, WIDE),)},
        "Mint 2 the scope changed",
    ),
    (
        "not in what was noted",
        {"gate": TWIN, "status": noted(issue(1, WIDE))},
        "Mint 2 the scope changed",
    ),
    (
        "and not without a list",
        {"gate": TWIN, "live": None, "listed_at": None},
        "AwaitKeyList",
    ),
    (
        "a key in hand of a scope that collides with the one wanted goes",
        {"pending_key": pending_key(SECOND), "live": (SECOND,), "gate": TWIN},
        "Revoke id-2 unwritten",
    ),
]

HELD_BACK: list[Row] = [
    ("a paused CR is left alone", {"paused": True, "secret": None}, "Finish Paused"),
    (
        "a fault of ours stops everything",
        {"secret": GONE, "fault": stalled(Reason.NotPermitted, "no")},
        "Finish NotPermitted",
    ),
    (
        "a foreign Secret is a conflict",
        {"secret": SecretForeign("not ours")},
        "Finish SecretConflict",
    ),
    (
        "a write of ours of which admission made a foreign Secret was refused",
        {"secret": SecretForeign("not ours"), "refused": "admission changes it"},
        "Finish SecretWriteRefused",
    ),
    (
        "a leftover Secret is waited for",
        {"secret": SecretForeign("an earlier one", leftover=True)},
        "Finish SecretBeingCollected",
    ),
    (
        "a key that nobody holds is revoked although a stranger has the Secret's name",
        {"status": status(None), "secret": SecretForeign("not ours")},
        "Revoke id-1 unheld",
    ),
    (
        "a mass loss replaces nothing",
        {"live": (), "loss": LossVerdict.MASS_LOSS},
        "Finish MassKeyLoss",
    ),
    (
        "a mass loss revokes nothing as unheld",
        {"live": (FIRST, SECOND), "loss": LossVerdict.MASS_LOSS},
        "Finish Settled",
    ),
    (
        "a new CR goes on during a mass loss",
        {**NEW, "loss": LossVerdict.MASS_LOSS},
        "Mint 1 no key was issued yet",
    ),
    (
        "a new CR with an unheld key waits for the end of a mass loss",
        {"status": status(None), "secret": GONE, "loss": LossVerdict.MASS_LOSS},
        "Finish MassKeyLoss",
    ),
    (
        "a changed API user replaces nothing",
        {"secret": GONE, "loss": LossVerdict.OTHER_USER},
        "Finish ApiUserChanged",
    ),
    (
        "a name that was given up is freed at once",
        {"displaced": frozenset({"id-1"})},
        "Revoke id-1 bucket name given up",
    ),
    (
        "a spec made wrong on purpose keeps no name that was given up",
        {"displaced": frozenset({"id-1"}), "fault": stalled(Reason.InvalidSpec, "wrong")},
        "Revoke id-1 bucket name given up",
    ),
    (
        "a call of ours without answer is looked after although the Secret is sound",
        {"live": None, "outcome_unknown": True},
        "AwaitKeyList",
    ),
]

ROWS = [*MINTING, *REASONS, *RETIRING, *UNKNOWN_SCOPE, *IN_HAND, *HELD_BACK]


@pytest.mark.parametrize(
    ("changes", "step"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_next_step(changes: dict[str, Any], step: str) -> None:
    assert planned(**changes) == step


# ---------------------------------------------------------------- what the steps carry


def test_the_budget_message_says_when_and_the_wake_up_is_then() -> None:
    report = reported(secret=GONE, recorded=None, status=status(FIRST, issues=4))
    assert report.requeue_at == NOW + timedelta(minutes=5)
    assert "the next key may be issued at 2026-03-01T12:05:00Z" in report.conclusion.synced.message


def test_a_message_that_waits_for_a_grace_says_why_and_until_when() -> None:
    wide = {
        **ROTATED,
        "status": status(SECOND, retiring(FIRST, HOUR / 2)),
        "desired_secret": OTHER_FORMAT,
    }
    message = reported(**wide).conclusion.synced.message
    assert message.startswith("The Secret's format changed; two keys live already")
    assert "2026-03-01T12:30:00Z" in message


@pytest.mark.parametrize(
    "waits",
    [
        {"live": None, "outcome_unknown": True},
        {"status": status(None), "secret": GONE, "live": None},
        {"live": None, "deleting": True},
        {"live": None, "pending_key": pending_key(SECOND)},
    ],
    ids=["for a lost call", "for earlier keys", "to be let go", "with a pending key"],
)
def test_a_key_that_waits_for_a_list_says_for_how_long_at_most(waits: dict[str, Any]) -> None:
    limits = KeyLimits(listing_lag=timedelta(seconds=45))
    step = plan_key(settled(**waits, limits=limits))
    assert isinstance(step, steps.AwaitKeyList)
    assert "up to AMOVE_LISTING_SETTLE (45s)" in step.conclusion.synced.message


def test_a_waiting_rotation_wakes_when_the_grace_ends() -> None:
    assert reported(**ROTATED, rotate_request="x").requeue_at == NOW + HOUR / 2


def test_a_retiring_key_wakes_us_when_its_grace_ends() -> None:
    assert reported(**ROTATED).requeue_at == NOW + HOUR / 2


def test_nothing_wakes_us_in_the_past_while_the_clock_is_wrong() -> None:
    report = reported(**{**ROTATED, "grace": timedelta(0)}, clock_skewed=True, rotate_request="x")
    assert reason(report) is Reason.ClockSkew
    assert report.retry
    assert report.requeue_at is None


def test_a_rotation_lists_the_replaced_key_with_its_whole_grace() -> None:
    step = plan_key(
        settled(pending_key=pending_key(SECOND), live=(FIRST, SECOND), rotate_request="x")
    )
    assert step == steps.WriteSecret(pending_key(SECOND), (Retiring(FIRST.id, NOW + GRACE),))


def test_a_recorded_issue_belongs_to_this_very_cr() -> None:
    step = plan_key(
        settled(
            status=status(None).model_copy(update={"owner_uid": None}),
            secret=GONE,
            live=(),
            recorded=None,
        )
    )
    assert isinstance(step, steps.RecordIssue)
    assert step.status.owner_uid == "uid-1"
    assert step.status.recent_issues[-1] == issue(1, WIDE, timedelta(0))


def test_an_issue_is_noted_with_serial_and_scope_before_the_create() -> None:
    step = plan_key(settled(gate=NARROW, recorded=None))
    assert isinstance(step, steps.RecordIssue)
    assert (step.serial, step.scope) == (2, NARROW)
    assert step.status.recent_issues == (issue(1, WIDE), issue(2, NARROW, timedelta(0)))


def test_the_note_of_an_unsent_issue_is_replaced_when_the_scope_moves_before_the_create() -> None:
    for moved in (NARROW, TWIN):
        unsent = noted(issue(1, WIDE), issue(2, WIDE, timedelta(0)))
        step = plan_key(
            settled(
                status=unsent.model_copy(update={"key": current(FIRST)}),
                gate=moved,
                rotate_request="x",
                recorded=(2, WIDE),
            )
        )
        assert isinstance(step, steps.RecordIssue)
        assert (step.serial, step.scope) == (2, moved)
        assert step.status.recent_issues == (issue(1, WIDE), issue(2, moved, timedelta(0)))


def test_a_note_that_another_process_left_is_taken_for_a_key_that_it_issued() -> None:
    """So a serial is never used for two scopes."""
    left = noted(issue(1, WIDE), issue(2, NARROW)).model_copy(update={"key": current(FIRST)})
    step = plan_key(settled(status=left, secret=GONE, recorded=None))
    assert isinstance(step, steps.RecordIssue)
    assert step.serial == 3
    assert [one.serial for one in step.status.recent_issues] == [1, 2, 3]


def test_the_first_issue_is_noted_after_the_fact_with_its_scope() -> None:
    report = reported(status=status(None), scopes=((FIRST.id, WIDE),))
    assert report.status.recent_issues == (issue(1, WIDE),)


def test_a_key_of_unknown_scope_retires_with_grace_and_no_status_frees_its_names() -> None:
    unknown = {"status": status(None), "live": (FIRST, SECOND)}
    assert plan_key(settled(**unknown, pending_key=pending_key(SECOND))) == steps.WriteSecret(
        pending_key(SECOND), (Retiring(FIRST.id, NOW + GRACE),)
    )
    report = reported(
        **unknown,
        secret=ours(SECOND, Retiring(FIRST.id, NOW + GRACE), age=timedelta(0)),
        scopes=((SECOND.id, WIDE),),
    )
    assert report.status.key == current(SECOND)
    (old,) = report.status.retiring
    assert (old.id, old.revoke_after, old.dead) == (FIRST.id, NOW + GRACE, True)


def test_a_retiring_key_is_named_with_what_its_own_issue_was_noted_for() -> None:
    report = reported(**{**ROTATED, "status": noted(issue(1, NARROW))}, scopes=((SECOND.id, WIDE),))
    assert [old.buckets for old in report.status.retiring] == [("one",)]


def test_a_listing_that_can_judge_the_held_key_is_asked_for() -> None:
    step = plan_key(settled(live=(), secret=ours(FIRST, age=timedelta(0)), status=status(None)))
    assert isinstance(step, steps.AwaitKeyList)
    assert step.since == 30.0


def test_ready_is_false_while_a_mass_loss_keeps_a_missing_secret_from_being_replaced() -> None:
    ready = reported(secret=GONE, loss=LossVerdict.MASS_LOSS).conclusion.ready
    assert ready is not None
    assert ready.status == "False"


def test_ready_stays_while_a_sound_secret_waits_for_anything() -> None:
    for changes in (
        {**ROTATED, "rotate_request": "x"},
        {"live": (), "loss": LossVerdict.MASS_LOSS},
    ):
        assert reported(**changes).conclusion.ready is None


def test_a_name_that_was_given_up_is_reached_by_no_status_after_its_key_is_revoked() -> None:
    closed = Blocked(Reason.BucketNotFound, "gone")
    gone = frozenset({FIRST.id})
    report = reported(live=(), gate=closed, confirmed_gone=gone, lasting_gone=gone)
    assert report.status.key is not None
    assert report.status.key.buckets == ()
    assert report.status.key.dead


def test_a_key_that_we_revoked_a_moment_after_its_issue_is_not_waited_for() -> None:
    """Its list is too old to prove it gone, but our revocation was answered 200."""
    second = timedelta(seconds=1)
    young = key(1, age=second)
    report = reported(
        status=status(young),
        secret=ours(young, age=second),
        live=(),
        revoked=frozenset({young.id}),
        gate=Blocked(Reason.BucketNotFound, "gone"),
    )
    assert reason(report) is Reason.BucketNotFound
    assert report.conclusion.ready is not None
    assert report.conclusion.ready.status == "False"
    assert report.status.key is not None
    assert report.status.key.buckets == ()


def test_what_a_list_of_another_user_lacks_still_reaches_its_buckets() -> None:
    """Such a list speaks for nobody else: nothing of ours is forgotten by it."""
    report = reported(live=(), gate=Blocked(Reason.BucketNotFound, "gone"))
    assert report.status.key == current(FIRST)


def test_a_list_alone_frees_no_name_while_a_successor_may_still_tell_whose_list_it_was() -> None:
    spent = {"status": status(FIRST, issues=5), "recorded": None}
    gone = frozenset({FIRST.id})
    report = reported(live=(), confirmed_gone=gone, lasting_gone=gone, **spent)
    assert reason(report) is Reason.MintBudgetExhausted
    assert report.status.key == current(FIRST)


def test_a_key_that_we_revoked_reaches_nothing_even_before_its_successor() -> None:
    spent = {"status": status(FIRST, issues=5), "recorded": None}
    report = reported(live=(), revoked=frozenset({FIRST.id}), **spent)
    assert report.status.key is not None
    assert report.status.key.dead


def test_one_list_without_the_key_frees_no_name() -> None:
    closed = Blocked(Reason.BucketNotFound, "gone")
    report = reported(live=(), gate=closed, confirmed_gone=frozenset({FIRST.id}))
    assert report.status.key == current(FIRST)


@pytest.mark.parametrize(
    "stuck",
    [
        {},
        {"gate": Blocked(Reason.BucketNotFound, "gone"), "recorded": None},
        {"fault": stalled(Reason.InvalidSpec, "wrong")},
        {"paused": True},
        {"paused": True, "deleting": True},
        {"secret": None, "secret_fresh": False},
    ],
)
def test_a_key_that_was_taken_for_dead_is_revoked_when_it_shows_again(
    stuck: dict[str, Any],
) -> None:
    """Its names were given up: another team may have a bucket that it reaches."""
    without = current(FIRST).model_copy(update={"buckets": ()})
    named = status(FIRST).model_copy(update={"key": without})
    why = "shown again after its names were given up"
    assert planned(status=named, **stuck) == f"Revoke id-1 {why}"


def test_a_key_keeps_the_buckets_it_was_minted_for_when_the_spec_moves_on() -> None:
    world = settled(
        status=status(None),
        gate=Blocked(Reason.BucketNotReady, "not yet", NARROW),
        scopes=((FIRST.id, WIDE),),
    )
    report = plan_key(world)
    assert isinstance(report, steps.Finish)
    assert report.status.key is not None
    assert report.status.key.buckets == ("one", "two")


@pytest.mark.parametrize(
    "lost",
    [
        {"secret": GONE, "gate": Blocked(Reason.BucketNotReady, "not yet")},
        {"secret": SecretForeign("not ours")},
    ],
    ids=["gone", "replaced by a stranger's"],
)
def test_a_status_that_names_a_key_of_a_lost_secret_starts_its_grace_once(
    lost: dict[str, Any],
) -> None:
    first = reported(**lost)
    assert [one.revoke_after for one in first.status.retiring] == [NOW + GRACE]
    assert first.requeue_at == NOW + GRACE
    later = reported(**lost, status=first.status, now=NOW + HOUR / 2)
    assert later.status == first.status
    assert later.requeue_at == NOW + GRACE
    assert planned(**lost, status=first.status, now=NOW + GRACE) == "Revoke id-1 retired"


UNMOVED: list[tuple[str, dict[str, Any]]] = [
    ("settled", {}),
    ("within a grace", ROTATED),
    ("rotating by the clock", {"interval": 24 * HOUR}),
    ("over budget", {"secret": GONE, "recorded": None, "status": status(FIRST, issues=4)}),
    ("a foreign Secret", {"secret": SecretForeign("not ours")}),
    ("a mass loss", {"live": (), "loss": LossVerdict.MASS_LOSS}),
    ("a lost Secret", {"secret": GONE, "gate": Blocked(Reason.BucketNotReady, "no")}),
    ("a key that is gone", {"live": (), "gate": Blocked(Reason.BucketNotReady, "no")}),
    ("an edited Secret", {"secret": ours(FIRST, data_matches=False), "gate": None}),
    ("a restart", {"live": None, "listed_at": None}),
]


@pytest.mark.parametrize("changes", [row[1] for row in UNMOVED], ids=[row[0] for row in UNMOVED])
def test_a_report_planned_again_on_its_own_status_says_the_same(changes: dict[str, Any]) -> None:
    first = reported(**changes)
    again = {**changes, "status": first.status, "now": NOW + timedelta(seconds=90)}
    if first.requeue_at is None or first.requeue_at > again["now"]:
        assert reported(**again).status == first.status
        assert reported(**again).conclusion == first.conclusion


# ---------------------------------------------------------------- changed defaults


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        (Defaults("account", "s3.example", "region"), ""),
        (Defaults("account", "s3.example", "west"), "region region (the default is west by now)"),
        (Defaults("account", "new.example", "region"), "storage s3.example"),
        (Defaults("other", "new.example", "region"), "cloud account account"),
        (Defaults(None, None, "region"), ""),
    ],
)
def test_a_changed_default_moves_nothing_and_is_told(defaults: Defaults, told: str) -> None:
    report = reported(defaults=defaults)
    synced = report.conclusion.synced
    assert (synced.status, synced.reason) == ("True", Reason.Settled)
    assert told in synced.message
    assert bool(synced.message) == bool(told)
    assert report.status.key == current(FIRST)


def test_what_the_spec_says_itself_is_pinned_to_no_default() -> None:
    asked = KeySpec(permission="ReadWrite", region="region")
    moved = Defaults("account", "s3.example", "west")
    assert reported(defaults=moved, spec=asked).conclusion.synced.message == ""


# ---------------------------------------------------------------- a pause hides nothing


def test_a_pause_does_not_keep_status_from_naming_a_key_that_only_the_secret_names() -> None:
    """Where this process knows what it reaches: else its own marker keeps the names."""
    unnamed = {"paused": True, "status": status(None), "scopes": ((FIRST.id, WIDE),)}
    assert planned(**unnamed, secret=None, secret_fresh=False) == "ReadSecret"
    report = reported(**unnamed)
    assert reason(report) is Reason.Paused
    assert report.status.key == current(FIRST)


def test_after_a_restart_a_key_that_was_given_up_is_not_ready_before_a_list_shows_more() -> None:
    given_up = current(FIRST).model_copy(update={"buckets": ()})
    named = status(FIRST).model_copy(update={"key": given_up})
    gone = Blocked(Reason.BucketNotFound, "gone")
    ready = reported(live=None, status=named, gate=gone).conclusion.ready
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", Reason.BucketNotFound)


def test_a_paused_key_whose_grace_is_over_does_not_come_back_at_once_for_ever() -> None:
    named = status(key(2), retiring(FIRST, -HOUR))
    report = reported(paused=True, secret=None, status=named, live=(key(2),), revoked=[FIRST.id])
    assert report.requeue_at is None or report.requeue_at > NOW


def test_a_paused_key_that_status_names_is_left_alone_altogether() -> None:
    assert planned(paused=True, secret=None, secret_fresh=False) == "Finish Paused"
