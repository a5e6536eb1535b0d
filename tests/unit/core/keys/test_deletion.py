"""The end of a key as a table: each row is a sentence of docs/key-protocol.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from amove_operator.core.conditions import deleting, merge
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import steps
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import LossVerdict, SecretAbsent, SecretForeign
from amove_operator.core.reasons import Reason
from amove_operator.models import KeySpec, KeyStatus
from amove_operator.models.key_status import RetiringKey
from tests.unit.core.keys.key_snapshots import (
    FIRST,
    HOUR,
    NARROW,
    NOW,
    key,
    ours,
    pending_key,
    planned,
    reported,
    retiring,
    settled,
    status,
)


def begun(held: RemoteKey | None, *old: RetiringKey) -> KeyStatus:
    """A status that says that its keys are being revoked."""
    return status(held, *old).model_copy(update={"conditions": BEGUN})


SECOND = key(2, age=timedelta(minutes=10))
BEGUN = merge((), deleting("The key is being revoked."), 1, NOW)
DELETING = {"deleting": True, "status": begun(FIRST)}
REVOKED = {**DELETING, "live": (), "confirmed_gone": frozenset({"id-1", "id-2"})}
RETAIN = {
    **DELETING,
    "spec": KeySpec(permission="ReadWrite", deletion_policy="Retain"),
    "trusted": True,
}

ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("status says first that it is begun", {"deleting": True}, "WriteStatus"),
    ("then the key is revoked", DELETING, "Revoke id-1 deleted"),
    (
        "what status does not name needs no such note",
        {"deleting": True, "live": (SECOND,), "status": status(None)},
        "Revoke id-2 deleted",
    ),
    (
        "every marked key is revoked",
        {**DELETING, "live": (SECOND,), "status": begun(None)},
        "Revoke id-2 deleted",
    ),
    (
        "an id that only status names is revoked too",
        {**DELETING, "live": ()},
        "Revoke id-1 deleted",
    ),
    (
        "a retiring id that only status names is revoked too",
        {
            **REVOKED,
            "confirmed_gone": frozenset({"id-1"}),
            "status": begun(FIRST, retiring(SECOND, HOUR)),
        },
        "Revoke id-2 deleted",
    ),
    (
        "what only a list says is gone is asked for once",
        {**REVOKED, "presumed_gone": frozenset({"id-1"})},
        "Revoke id-1 deleted",
    ),
    (
        "but not while the list is in doubt",
        {**REVOKED, "presumed_gone": frozenset({"id-1"}), "loss": LossVerdict.MASS_LOSS},
        "Finish MassKeyLoss",
    ),
    ("then our Secret goes", REVOKED, "DeleteSecret"),
    ("the Secret goes only after a fresh look", {**REVOKED, "secret_fresh": False}, "ReadSecret"),
    ("a foreign Secret stays", {**REVOKED, "secret": SecretForeign("x")}, "RemoveFinalizer"),
    ("then the finalizer goes", {**REVOKED, "secret": SecretAbsent()}, "RemoveFinalizer"),
    (
        "a CR that nothing was issued for goes at once",
        {
            **DELETING,
            "live": None,
            "is_new": True,
            "status": begun(None),
            "secret": SecretAbsent(),
        },
        "RemoveFinalizer",
    ),
    ("deletion waits for a list that tells all", {**DELETING, "live": None}, "AwaitKeyList"),
    (
        "the key in hand goes first",
        {**DELETING, "pending_key": pending_key(SECOND)},
        "Revoke id-2 unwritten",
    ),
    ("a pause stops the deletion", {**DELETING, "paused": True}, "Finish Paused"),
    (
        "without our finalizer and without a live key there is nothing to do",
        {**REVOKED, "finalizer": False},
        "Finish Deleting",
    ),
    (
        "without our finalizer, a list tells of what lives",
        {**DELETING, "finalizer": False, "live": None},
        "Finish Deleting",
    ),
    (
        "what another hand let go of is revoked",
        {**DELETING, "finalizer": False},
        "Revoke id-1 deleted",
    ),
    (
        "a mass loss confirms no deletion",
        {**DELETING, "live": (), "loss": LossVerdict.MASS_LOSS},
        "Finish MassKeyLoss",
    ),
    (
        "a changed API user confirms no deletion",
        {**DELETING, "live": (), "loss": LossVerdict.OTHER_USER},
        "Finish ApiUserChanged",
    ),
    (
        "what a list shows is revoked although others are lost",
        {**DELETING, "loss": LossVerdict.MASS_LOSS},
        "Revoke id-1 deleted",
    ),
    ("Retain keeps the key and lets go", RETAIN, "RemoveFinalizer"),
    (
        "Retain takes the owner off the Secret before letting go",
        {**RETAIN, "secret": ours(FIRST, metadata_drifted=True)},
        "RepairSecretMetadata",
    ),
    (
        "Retain looks at the Secret and the namespace itself",
        {**RETAIN, "secret_fresh": False},
        "ReadSecret",
    ),
    (
        "Retain revokes what is retiring",
        {**RETAIN, "live": (FIRST, SECOND), "status": begun(FIRST, retiring(SECOND, HOUR))},
        "Revoke id-2 deleted",
    ),
    (
        "Retain revokes after all when the Secret is gone",
        {**RETAIN, "secret": SecretAbsent()},
        "Revoke id-1 deleted",
    ),
    (
        "Retain revokes after all when the Secret is going",
        {**RETAIN, "secret": ours(FIRST, deleting=True)},
        "Revoke id-1 deleted",
    ),
    (
        "Retain revokes after all when the namespace terminates",
        {**RETAIN, "namespace_terminating": True},
        "Revoke id-1 deleted",
    ),
    (
        "Retain revokes after all where trust was taken away",
        {**RETAIN, "trusted": False},
        "Revoke id-1 deleted",
    ),
    (
        "Retain keeps a key whose buckets nobody knows: its own marker keeps the names",
        {**RETAIN, "status": begun(None), "gate": NARROW},
        "RemoveFinalizer",
    ),
]


@pytest.mark.parametrize(
    ("changes", "step"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_next_step_of_a_deletion(changes: dict[str, Any], step: str) -> None:
    assert planned(**changes) == step


def test_the_secret_is_deleted_by_its_uid() -> None:
    assert plan_key(settled(**REVOKED)) == steps.DeleteSecret("secret-uid")


def test_a_deletion_that_waits_for_a_list_says_so_and_stays_ready() -> None:
    step = plan_key(settled(**{**DELETING, "live": None}))
    assert isinstance(step, steps.AwaitKeyList)
    assert step.conclusion.synced.reason is Reason.WaitingForListing
    assert step.conclusion.ready is None


def test_a_blocked_deletion_tries_again() -> None:
    assert reported(**DELETING, live=(), loss=LossVerdict.MASS_LOSS).retry
