"""Small facts that the key planner derives from its world. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.key_world import KeyWorld, SecretOurs, Why
from amove_operator.core.ledger import LiveKey
from amove_operator.core.naming import parse_name
from amove_operator.core.rotation import next_rotation


def held_id(world: KeyWorld) -> str | None:
    """The id that our Secret says it holds, edited data or not."""
    return world.secret.record.key_id or None if isinstance(world.secret, SecretOurs) else None


def held_key(world: KeyWorld) -> LiveKey | None:
    """The live key that our Secret holds, if the list shows it under this CR's marker."""
    held = held_id(world)
    return next((key for key in world.live or () if key.id == held), None)


def named_by_status(world: KeyWorld) -> frozenset[str]:
    """The ids that status names: the current key and the retiring ones."""
    named = {key.id for key in world.status.retiring}
    if world.status.key is not None:
        named.add(world.status.key.id)
    return frozenset(named)


def issued_at(world: KeyWorld) -> datetime | None:
    """The held key's age, by the older of what the list and status say.

    The Secret's own word counts only where neither knows: people can edit it.
    """
    held, status = held_id(world), world.status.key
    listed = held_key(world)
    told = [
        moment
        for moment in (
            listed.created if listed else None,
            status.issued_at if status is not None and status.id == held else None,
        )
        if moment is not None
    ]
    if told:
        return min(told).replace(microsecond=0)
    return world.secret.record.issued_at if isinstance(world.secret, SecretOurs) else None


def rotation_due(world: KeyWorld) -> datetime | None:
    """When the held key falls due by the clock."""
    issued = issued_at(world)
    if world.interval is None or issued is None:
        return None
    return next_rotation(issued, world.interval, world.uid)


def revoke_times(world: KeyWorld) -> tuple[tuple[str, datetime], ...]:
    """Every retiring key of ours with the moment from which it may be revoked, earliest first.

    Retiring are: what the Secret or status lists, and the key that status names while the
    Secret holds another. The earlier of two moments counts, and a grace that was shortened
    counts for a key that retires already. Without a settled list, only what status names.
    """
    held = held_id(world) if _holds(world) else None
    grace_ends = _grace_ends(world)
    times: dict[str, datetime] = {}
    for key_id, when in _recorded_retirements(world):
        ends = when if grace_ends is None else min(when, grace_ends)
        times[key_id] = min(times.get(key_id, ends), ends)
    status = world.status.key
    if status is not None and held is not None and status.id != held:
        times.setdefault(status.id, grace_ends or world.now + world.grace)
    alive = {key.id for key in world.live} if world.live is not None else named_by_status(world)
    known = {key_id: when for key_id, when in times.items() if key_id in alive and key_id != held}
    return tuple(sorted(known.items(), key=lambda pair: (pair[1], pair[0])))


def _recorded_retirements(world: KeyWorld) -> list[tuple[str, datetime]]:
    listed = world.secret.record.retiring if isinstance(world.secret, SecretOurs) else ()
    told = [(key.id, key.revoke_after) for key in listed]
    return told + [(key.id, key.revoke_after) for key in world.status.retiring]


def _holds(world: KeyWorld) -> bool:
    """Whether our Secret holds a key in usable form."""
    return isinstance(world.secret, SecretOurs) and world.secret.intact


def _grace_ends(world: KeyWorld) -> datetime | None:
    """When a key replaced by the held one ends its grace by today's spec."""
    issued = issued_at(world) if _holds(world) else None
    return issued + world.grace if issued is not None else None


def retiring_keys(world: KeyWorld) -> tuple[LiveKey, ...]:
    """The live keys beside the one in use, oldest first."""
    current = held_key(world) if _holds(world) else None
    if current is None and world.status.key is not None:
        named = world.status.key.id
        current = next((key for key in world.live or () if key.id == named), None)
    if current is None and world.live:
        current = world.live[-1]
    return tuple(key for key in world.live or () if key is not current)


def wake_time(world: KeyWorld) -> datetime | None:
    """The next moment at which the clock alone changes the plan."""
    moments = [when for _, when in revoke_times(world)]
    due = rotation_due(world)
    if due is not None:
        moments.append(due)
    ahead = [moment for moment in moments if moment > world.now]
    return min(ahead, default=None)


def reissue_reason(world: KeyWorld) -> Why | None:
    """Why the Secret needs another key than it holds; the first reason that applies."""
    secret = world.secret
    if not isinstance(secret, SecretOurs):
        return Why.SECRET_MISSING if world.status.key is not None or world.live else Why.FIRST
    if not secret.intact:
        return Why.DATA_EDITED
    if _key_gone(world):
        return Why.KEY_GONE
    scope8 = _held_scope(world)
    wanted = world.gate.scope
    if wanted is not None and scope8 is not None and scope8 != wanted.digest:
        return Why.SCOPE
    if secret.record.format8 and secret.record.format8 != world.format8:
        return Why.FORMAT
    if world.rotate_request and world.rotate_request != secret.record.rotate_request:
        return Why.REQUESTED
    due = rotation_due(world)
    return Why.DUE if due is not None and due <= world.now else None


def _key_gone(world: KeyWorld) -> bool:
    """The held key is missing from a settled list; or, without one, status does not know it."""
    if world.live is not None:
        return held_key(world) is None
    status = world.status.key
    return status is None or status.id != held_id(world)


def _held_scope(world: KeyWorld) -> str | None:
    """The held key's scope, from a name that no tenant can write."""
    listed = held_key(world)
    if listed is not None:
        return listed.scope8
    status = world.status.key
    if status is None or status.id != held_id(world):
        return None
    parsed = parse_name(status.name)
    return parsed.scope if parsed else None
