"""The status of an AmoveStorageKey as the world shows it. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.key_facts import (
    held_key,
    issued_at,
    named_by_status,
    revoke_times,
    rotation_due,
)
from amove_operator.core.key_world import KeyWorld, Mass, SecretForeign, SecretOurs
from amove_operator.models.key import CurrentKey, KeyStatus, RetiringKey, SecretBinding


def status_of(world: KeyWorld) -> KeyStatus:
    """What to write: only facts, so that a settled CR is never written again."""
    if world.secret is None:
        return world.status.model_copy(update={"owner_uid": world.uid})
    key = _current(world)
    return world.status.model_copy(
        update={
            "owner_uid": world.uid,
            "key": key,
            "retiring": _retiring(world),
            "recent_issues": _issues(world, key),
            "next_rotation": rotation_due(world),
            "binding": _binding(world),
        }
    )


def _issues(world: KeyWorld, key: CurrentKey | None) -> tuple[datetime, ...]:
    """The first issue is noted after the fact; every later one before it is made."""
    if world.status.recent_issues or key is None:
        return world.status.recent_issues
    return (key.issued_at,)


def _current(world: KeyWorld) -> CurrentKey | None:
    """The held key once the list confirms it; until then what status said before."""
    held = held_key(world)
    before = world.status.key
    issued = issued_at(world)
    if held is None or issued is None or (before is not None and before.id == held.id):
        return before
    scope = world.gate.scope
    if scope is None or scope.digest != held.scope8:
        return before
    return CurrentKey(
        id=held.id,
        name=held.name,
        access_key=held.access_key,
        serial=max(held.serial, 1),
        issued_at=issued.replace(microsecond=0),
        user_id=held.user_id,
        cloud_account_id=scope.account,
        region=scope.region,
        storage_dn=scope.storage_dn,
        permission=scope.permission,
        buckets=scope.buckets,
    )


def _retiring(world: KeyWorld) -> tuple[RetiringKey, ...]:
    """The keys that wait for their grace, with the buckets that each still reaches.

    The key that status names while no Secret holds it starts its grace here, so that it
    ends even if no successor can be issued.
    """
    times = dict(revoke_times(world))
    lost = _unheld_current(world)
    if lost is not None and lost not in times:
        times[lost] = (world.now + world.grace).replace(microsecond=0)
    buckets = {key.id: key.buckets for key in world.status.retiring}
    before = world.status.key
    if before is not None:
        buckets.setdefault(before.id, before.buckets)
    return tuple(
        RetiringKey(id=key_id, buckets=buckets.get(key_id, ()), revoke_after=when)
        for key_id, when in sorted(times.items())
    )


def _unheld_current(world: KeyWorld) -> str | None:
    """The id that status names as current, live, while our Secret is gone or damaged."""
    if world.status.key is None or world.secret is None or isinstance(world.secret, SecretForeign):
        return None
    if world.deleting or world.mass is not Mass.NONE:
        return None
    if isinstance(world.secret, SecretOurs) and world.secret.intact:
        return None
    live = {key.id for key in world.live} if world.live is not None else named_by_status(world)
    return world.status.key.id if world.status.key.id in live else None


def _binding(world: KeyWorld) -> SecretBinding | None:
    return SecretBinding(name=world.secret_name) if isinstance(world.secret, SecretOurs) else None
