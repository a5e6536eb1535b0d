"""The end of an AmoveStorageKey. Pure."""

from __future__ import annotations

from amove_operator.core.conditions import deleting, deletion_begun, progressing, unsynced
from amove_operator.core.keys import steps
from amove_operator.core.keys.derived import held_key, named_by_status
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretOurs
from amove_operator.core.keys.status import await_key_list, loss_conclusion, status_of
from amove_operator.core.reasons import Reason


def plan_deletion(world: KeySnapshot) -> steps.KeyStep:
    """Revoke what is live, delete our Secret, then let go; or keep both under ``Retain``."""
    if not world.finalizer and not _abandoned(world):
        return steps.Finish(world.status, unsynced(Reason.Deleting, "Being deleted."))
    if world.secret is None or (wants_retention(world) and not world.secret_fresh):
        return steps.ReadSecret()
    if world.pending_key is not None:
        return revoke_pending_key(world, world.pending_key)
    if not _never_issued(world) and world.live is None:
        message = "Deletion waits for a settled key list."
        return await_key_list(
            world, progressing(Reason.WaitingForListing, message, keep_ready=True)
        )
    kept = _kept(world)
    if (revocation := _next_revocation(world, kept)) is not None:
        return revocation
    if kept is not None:
        return _retain(world)
    if isinstance(world.secret, SecretOurs) and not world.secret.deleting:
        return steps.DeleteSecret(world.secret.uid) if world.secret_fresh else steps.ReadSecret()
    return steps.RemoveFinalizer()


def _abandoned(world: KeySnapshot) -> bool:
    """Whether it was let go of by another hand, before its keys were revoked.

    An admin can take our finalizer off, and so can a GitOps controller with his rights that
    applies what a tenant wrote; another finalizer then keeps the object, and the key with it.
    Not under Retain: we let go of such a one ourselves, with its key alive.
    """
    return world.spec.deletion_policy == "Delete" and not world.paused and bool(world.live)


def revoke_pending_key(world: KeySnapshot, fresh: PendingKey) -> steps.KeyStep:
    """Revoke the key in hand, after a look whether a write without answer was done after all."""
    if not world.secret_fresh:
        return steps.ReadSecret()
    if world.live is None and world.outcome_unknown:
        message = f"Waiting for a key list that tells whether key {fresh.key.id} is revoked."
        return await_key_list(world, progressing(Reason.RevokePending, message, keep_ready=True))
    return steps.Revoke(fresh.key.id, "unwritten")


def _never_issued(world: KeySnapshot) -> bool:
    return world.is_new and world.status.key is None


def wants_retention(world: KeySnapshot) -> bool:
    """Whether the policy asks to keep the key and may: only trusted namespaces can."""
    return world.spec.deletion_policy == "Retain" and world.trusted


def _kept(world: KeySnapshot) -> str | None:
    """The id of the key that stays, if its Secret can stay too."""
    if not wants_retention(world) or world.namespace_terminating:
        return None
    if (
        not isinstance(world.secret, SecretOurs)
        or world.secret.deleting
        or not world.secret.data_matches
    ):
        return None
    held = held_key(world)
    return held.id if held is not None else None


def _next_revocation(world: KeySnapshot, kept: str | None) -> steps.KeyStep | None:
    alive = [key.id for key in world.live or ()]
    unproven = (named_by_status(world) - world.confirmed_gone) | world.presumed_gone
    named = sorted(unproven - set(alive))
    for key_id in (*alive, *named):
        if key_id != kept:
            if key_id in named and world.mass is not LossVerdict.NONE:
                return steps.Finish(status_of(world), loss_conclusion(world), retry=True)
            return _revoke(world, key_id)
    return None


def _revoke(world: KeySnapshot, key_id: str) -> steps.KeyStep:
    """The key on record is revoked only after status says so: a crash then leaves no riddle."""
    current = world.status.key
    if current is None or current.id != key_id or deletion_begun(world.status.conditions):
        return steps.Revoke(key_id, "deleted")
    return steps.WriteStatus(status_of(world), deleting("The key is being revoked."))


def _retain(world: KeySnapshot) -> steps.KeyStep:
    """The Secret must not go with its CR: without an owner it stays."""
    secret = world.secret
    metadata_drifted = isinstance(secret, SecretOurs) and secret.metadata_drifted
    return steps.RepairSecretMetadata() if metadata_drifted else steps.RemoveFinalizer()
