"""The end of an AmoveStorageKey (design.md §5.9). Pure."""

from __future__ import annotations

from amove_operator.core.conditions import Conclusion, progressing, unsynced
from amove_operator.core.key_facts import held_id, held_key, named_by_status
from amove_operator.core.key_status import status_of
from amove_operator.core.key_world import (
    AwaitListing,
    DeleteSecret,
    KeyStep,
    KeyWorld,
    Mass,
    ReadSecret,
    RemoveFinalizer,
    Report,
    RetainSecret,
    Revoke,
    SecretOurs,
)
from amove_operator.core.reasons import Reason


def plan_deletion(world: KeyWorld) -> KeyStep:
    """Revoke what is live, delete our Secret, then let go; or keep both under ``Retain``."""
    if not world.finalizer:
        return Report(world.status, unsynced(Reason.Deleting, "Being deleted."))
    if world.paused:
        return Report(status_of(world), unsynced(Reason.Paused, "Paused; deletion waits."))
    if world.in_hand is not None:
        return Revoke(world.in_hand.key.id, "unwritten")
    if world.secret is None:
        return ReadSecret()
    if not _never_issued(world) and world.live is None:
        return AwaitListing(
            progressing(Reason.Deleting, "Deletion waits for a settled key list.", keep_ready=True)
        )
    kept = _kept(world)
    if (revocation := _next_revocation(world, kept)) is not None:
        return revocation
    if kept is not None:
        return _retain(world)
    if isinstance(world.secret, SecretOurs) and not world.secret.deleting:
        return DeleteSecret(world.secret.uid) if world.secret_fresh else ReadSecret()
    return RemoveFinalizer()


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
    return held_id(world) if held_key(world) is not None else None


def _next_revocation(world: KeyWorld, kept: str | None) -> KeyStep | None:
    alive = [key.id for key in world.live or ()]
    named = sorted(named_by_status(world) - world.forgotten - set(alive))
    for key_id in (*alive, *named):
        if key_id != kept:
            if key_id in named and world.mass is not Mass.NONE:
                return Report(status_of(world), _loss(), retry=True)
            return Revoke(key_id, "deleted")
    return None


def _loss() -> Conclusion:
    return unsynced(
        Reason.MassKeyLoss,
        "Too many keys vanished from the service at once; deletion is not confirmed until they "
        "are back, or the annotation storage.amove.io/accept-loss is set to a new value.",
    )


def _retain(world: KeyWorld) -> KeyStep:
    current = world.status.key
    buckets = current.buckets if current is not None else ()
    secret = world.secret
    if isinstance(secret, SecretOurs) and (secret.untidy or not world.secret_fresh):
        return RetainSecret(buckets) if world.secret_fresh else ReadSecret()
    return RemoveFinalizer()
