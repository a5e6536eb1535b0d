"""The end of an AmoveStorageKey. Pure."""

from __future__ import annotations

from amove_operator.core.conditions import deleting, deletion_begun, progressing, unsynced
from amove_operator.core.keys.derived import held_key, named_by_status
from amove_operator.core.keys.expectations import InHand
from amove_operator.core.keys.snapshot import (
    AwaitListing,
    DeleteSecret,
    KeyStep,
    KeyWorld,
    Mass,
    ReadSecret,
    RecordStatus,
    RemoveFinalizer,
    Report,
    Revoke,
    SecretOurs,
    TidySecret,
)
from amove_operator.core.keys.status import in_doubt, status_of
from amove_operator.core.reasons import Reason


def plan_deletion(world: KeyWorld) -> KeyStep:
    """Revoke what is live, delete our Secret, then let go; or keep both under ``Retain``."""
    if not world.finalizer and not _abandoned(world):
        return Report(world.status, unsynced(Reason.Deleting, "Being deleted."))
    if world.secret is None or (wants_retention(world) and not world.secret_fresh):
        return ReadSecret()
    if world.in_hand is not None:
        return drop_in_hand(world, world.in_hand)
    if not _never_issued(world) and world.live is None:
        message = "Deletion waits for a settled key list."
        return AwaitListing(progressing(Reason.WaitingForListing, message, keep_ready=True))
    kept = _kept(world)
    if (revocation := _next_revocation(world, kept)) is not None:
        return revocation
    if kept is not None:
        return _retain(world)
    if isinstance(world.secret, SecretOurs) and not world.secret.deleting:
        return DeleteSecret(world.secret.uid) if world.secret_fresh else ReadSecret()
    return RemoveFinalizer()


def _abandoned(world: KeyWorld) -> bool:
    """Whether it was let go of by another hand, before its keys were revoked.

    An admin can take our finalizer off, and so can a GitOps controller with his rights that
    applies what a tenant wrote; another finalizer then keeps the object, and the key with it.
    Not under Retain: we let go of such a one ourselves, with its key alive.
    """
    return world.spec.deletion_policy == "Delete" and not world.paused and bool(world.live)


def drop_in_hand(world: KeyWorld, fresh: InHand) -> KeyStep:
    """Revoke the key in hand, after a look whether a write without answer was done after all."""
    if not world.secret_fresh:
        return ReadSecret()
    if world.live is None and world.unclear:
        message = f"Waiting for a key list that tells whether key {fresh.key.id} is revoked."
        return AwaitListing(progressing(Reason.RevokePending, message, keep_ready=True))
    return Revoke(fresh.key.id, "unwritten")


def _never_issued(world: KeyWorld) -> bool:
    return world.untouched and world.status.key is None


def wants_retention(world: KeyWorld) -> bool:
    """Whether the policy asks to keep the key and may: only trusted namespaces can."""
    return world.spec.deletion_policy == "Retain" and world.trusted


def _kept(world: KeyWorld) -> str | None:
    """The id of the key that stays, if its Secret can stay too."""
    if not wants_retention(world) or world.namespace_terminating:
        return None
    if not isinstance(world.secret, SecretOurs) or world.secret.deleting or not world.secret.intact:
        return None
    held = held_key(world)
    return held.id if held is not None else None


def _next_revocation(world: KeyWorld, kept: str | None) -> KeyStep | None:
    alive = [key.id for key in world.live or ()]
    unproven = (named_by_status(world) - world.forgotten) | world.unasked
    named = sorted(unproven - set(alive))
    for key_id in (*alive, *named):
        if key_id != kept:
            if key_id in named and world.mass is not Mass.NONE:
                return Report(status_of(world), in_doubt(world), retry=True)
            return _revoke(world, key_id)
    return None


def _revoke(world: KeyWorld, key_id: str) -> KeyStep:
    """The key on record is revoked only after status says so: a crash then leaves no riddle."""
    current = world.status.key
    if current is None or current.id != key_id or deletion_begun(world.status.conditions):
        return Revoke(key_id, "deleted")
    return RecordStatus(status_of(world), deleting("The key is being revoked."))


def _retain(world: KeyWorld) -> KeyStep:
    """The Secret must not go with its CR: without an owner it stays."""
    secret = world.secret
    untidy = isinstance(secret, SecretOurs) and secret.untidy
    return TidySecret() if untidy else RemoveFinalizer()
