"""The end of an AmoveStorageKey. Pure."""

from __future__ import annotations

from amove_operator.core.conditions import deleting, deletion_begun, progressing, unsynced
from amove_operator.core.keys import steps
from amove_operator.core.keys.derived import held_key, named_by_status
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretOurs
from amove_operator.core.keys.status import await_key_list, loss_conclusion, status_of
from amove_operator.core.reasons import Reason


def plan_deletion(snapshot: KeySnapshot) -> steps.KeyStep:
    """Revoke what is live, delete our Secret, then let go; or keep both under ``Retain``."""
    if not snapshot.finalizer and not _abandoned(snapshot):
        return steps.Finish(snapshot.status, unsynced(Reason.Deleting, "Being deleted."))
    if snapshot.secret is None or (wants_retention(snapshot) and not snapshot.secret_fresh):
        return steps.ReadSecret()
    if snapshot.pending_key is not None:
        return revoke_pending_key(snapshot, snapshot.pending_key)
    if not _never_issued(snapshot) and snapshot.live is None:
        message = "Deletion waits for a settled key list."
        return await_key_list(
            snapshot, progressing(Reason.WaitingForListing, message, keep_ready=True)
        )
    kept = _kept(snapshot)
    if (revocation := _next_revocation(snapshot, kept)) is not None:
        return revocation
    if kept is not None:
        return _retain(snapshot)
    if isinstance(snapshot.secret, SecretOurs) and not snapshot.secret.deleting:
        return (
            steps.DeleteSecret(snapshot.secret.uid) if snapshot.secret_fresh else steps.ReadSecret()
        )
    return steps.RemoveFinalizer()


def _abandoned(snapshot: KeySnapshot) -> bool:
    """Whether it was let go of by another hand, before its keys were revoked.

    An admin can take our finalizer off, and so can a GitOps controller with his rights that
    applies what a tenant wrote; another finalizer then keeps the object, and the key with it.
    Not under Retain: we let go of such a one ourselves, with its key alive.
    """
    return snapshot.spec.deletion_policy == "Delete" and not snapshot.paused and bool(snapshot.live)


def revoke_pending_key(snapshot: KeySnapshot, fresh: PendingKey) -> steps.KeyStep:
    """Revoke the key in hand, after a look whether a write without answer was done after all."""
    if not snapshot.secret_fresh:
        return steps.ReadSecret()
    if snapshot.live is None and snapshot.outcome_unknown:
        message = f"Waiting for a key list that tells whether key {fresh.key.id} is revoked."
        return await_key_list(snapshot, progressing(Reason.RevokePending, message, keep_ready=True))
    return steps.Revoke(fresh.key.id, "unwritten")


def _never_issued(snapshot: KeySnapshot) -> bool:
    return snapshot.is_new and snapshot.status.key is None


def wants_retention(snapshot: KeySnapshot) -> bool:
    """Whether the policy asks to keep the key and may: only trusted namespaces can."""
    return snapshot.spec.deletion_policy == "Retain" and snapshot.trusted


def _kept(snapshot: KeySnapshot) -> str | None:
    """The id of the key that stays, if its Secret can stay too."""
    if not wants_retention(snapshot) or snapshot.namespace_terminating:
        return None
    if (
        not isinstance(snapshot.secret, SecretOurs)
        or snapshot.secret.deleting
        or not snapshot.secret.data_matches
    ):
        return None
    held = held_key(snapshot)
    return held.id if held is not None else None


def _next_revocation(snapshot: KeySnapshot, kept: str | None) -> steps.KeyStep | None:
    alive = [key.id for key in snapshot.live or ()]
    unproven = (named_by_status(snapshot) - snapshot.confirmed_gone) | snapshot.presumed_gone
    named = sorted(unproven - set(alive))
    for key_id in (*alive, *named):
        if key_id != kept:
            if key_id in named and snapshot.mass is not LossVerdict.NONE:
                return steps.Finish(status_of(snapshot), loss_conclusion(snapshot), retry=True)
            return _revoke(snapshot, key_id)
    return None


def _revoke(snapshot: KeySnapshot, key_id: str) -> steps.KeyStep:
    """The key on record is revoked only after status says so: a crash then leaves no riddle."""
    current = snapshot.status.key
    if current is None or current.id != key_id or deletion_begun(snapshot.status.conditions):
        return steps.Revoke(key_id, "deleted")
    return steps.WriteStatus(status_of(snapshot), deleting("The key is being revoked."))


def _retain(snapshot: KeySnapshot) -> steps.KeyStep:
    """The Secret must not go with its CR: without an owner it stays."""
    secret = snapshot.secret
    metadata_drifted = isinstance(secret, SecretOurs) and secret.metadata_drifted
    return steps.RepairSecretMetadata() if metadata_drifted else steps.RemoveFinalizer()
