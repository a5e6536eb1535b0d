"""Small facts that the key planner derives from its world. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.keys import steps
from amove_operator.core.keys.expectations import LiveKey
from amove_operator.core.keys.rotation import next_rotation
from amove_operator.core.keys.snapshot import KeySnapshot, SecretOurs
from amove_operator.core.naming import may_reach
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import issue_date
from amove_operator.models.key import KeyStatus


def held_id(world: KeySnapshot) -> str | None:
    """The id that our Secret says it holds, edited data or not."""
    return world.secret.record.key_id or None if isinstance(world.secret, SecretOurs) else None


def held_key(world: KeySnapshot) -> LiveKey | None:
    """The live key that our Secret holds, if the list shows it under this CR's marker."""
    held = held_id(world)
    return next((key for key in world.live or () if key.id == held), None)


def named_by_status(world: KeySnapshot) -> frozenset[str]:
    """The ids that status names: the current key and the retiring ones."""
    return named_ids(world.status)


def named_ids(status: KeyStatus) -> frozenset[str]:
    """The ids that a status names."""
    current = () if status.key is None else (status.key.id,)
    return frozenset((*current, *(key.id for key in status.retiring)))


def issued_at(world: KeySnapshot) -> datetime | None:
    """The held key's age, by the older of what the list and status say.

    The Secret's own word counts only where neither knows: people can edit it.
    """
    held, status = held_id(world), world.status.key
    listed = held_key(world)
    dates = (
        listed.created if listed else None,
        status.issued_at if status is not None and status.id == held else None,
    )
    told = [date for each in dates if (date := issue_date(each, world.now)) is not None]
    if told:
        return min(told).replace(microsecond=0)
    return world.secret.record.issued_at if isinstance(world.secret, SecretOurs) else None


def rotation_due(world: KeySnapshot) -> datetime | None:
    """When the held key falls due by the clock."""
    issued = issued_at(world)
    if world.interval is None or issued is None:
        return None
    return next_rotation(issued, world.interval, world.uid)


def revoke_times(world: KeySnapshot) -> tuple[tuple[str, datetime], ...]:
    """Every retiring key of ours with the moment from which it may be revoked, earliest first.

    Retiring are: what the Secret or status lists, and the key that status names while the
    Secret holds another. The earlier of two moments counts, and a grace that was shortened
    counts for a key that retires already. Without a settled list, only what status names.
    """
    held = held_id(world) if is_usable(world) else None
    times: dict[str, datetime] = {}
    for key_id, when in _recorded_retirements(world):
        times[key_id] = min(times.get(key_id, when), when, _grace_ends(world, key_id))
    status = world.status.key
    if status is not None and held is not None and status.id != held:
        times.setdefault(status.id, _grace_ends(world, status.id))
    alive = named_by_status(world)
    if world.live is not None:
        # What only a list says to be gone, which may be that of another user, is asked for first.
        alive = frozenset(key.id for key in world.live) | (world.presumed_gone & alive)
    known = {key_id: when for key_id, when in times.items() if key_id in alive and key_id != held}
    return tuple(sorted(known.items(), key=lambda pair: (pair[1], pair[0])))


def _recorded_retirements(world: KeySnapshot) -> list[tuple[str, datetime]]:
    listed = world.secret.record.retiring if isinstance(world.secret, SecretOurs) else ()
    told = [(key.id, key.revoke_after) for key in listed]
    return told + [(key.id, key.revoke_after) for key in world.status.retiring]


def _holds(world: KeySnapshot) -> bool:
    return isinstance(world.secret, SecretOurs) and world.secret.data_matches


def is_usable(world: KeySnapshot) -> bool:
    """Whether pods can use what our Secret holds, as far as was last confirmed."""
    return _holds(world) and (world.live is None or held_key(world) is not None)


def _grace_ends(world: KeySnapshot, key_id: str) -> datetime:
    """The latest end of a key's grace by today's spec: it runs from the write of its successor.

    Not from before its own issue, as when an older Secret was restored; and from now on while
    no usable key takes its place.
    """
    now = world.now.replace(microsecond=0)
    began = (_written_at(world) or now) if is_usable(world) else now
    status = world.status.key
    own = [key.created for key in world.live or () if key.id == key_id and key.created is not None]
    own += [status.issued_at] if status is not None and status.id == key_id else []
    return min(max([began, *own]), now) + world.grace


def _written_at(world: KeySnapshot) -> datetime | None:
    """When the Secret was written: issued-at is of that moment, if nobody edited it.

    An edited one gains nothing: the recorded end of a grace counts where it is earlier.
    """
    assert isinstance(world.secret, SecretOurs)  # noqa: S101 - asked only where it is usable
    moments = [moment for moment in (issued_at(world), world.secret.record.issued_at) if moment]
    return max((moment for moment in moments if moment <= world.now), default=None)


def accounted_for(world: KeySnapshot) -> frozenset[str]:
    """The ids that somebody holds, retires, or has in hand: every other marked key is unheld."""
    ids = {held_id(world), *named_by_status(world), *(key for key, _ in revoke_times(world))}
    if world.pending_key is not None:
        ids.add(world.pending_key.key.id)
    return frozenset(key_id for key_id in ids if key_id is not None)


def dangling_keys(world: KeySnapshot) -> tuple[LiveKey, ...]:
    """The marked keys that nobody accounts for."""
    wanted = accounted_for(world)
    return tuple(key for key in world.live or () if key.id not in wanted)


def judged_from(world: KeySnapshot) -> datetime | None:
    """From when a listing must be begun to prove the held key gone, where ours is too old.

    A key that another process issued within the settle time may not show yet.
    A moment in the future is a forgery or a wrong clock: it protects no key.
    """
    if world.live is None or not _holds(world) or held_key(world) is not None:
        return None
    issued = issued_at(world)
    if issued is None or issued > world.now:
        return None
    shows = issued + world.settle
    return None if world.listed_at is not None and world.listed_at >= shows else shows


def retiring_keys(world: KeySnapshot) -> tuple[LiveKey, ...]:
    """The live keys beside the one in use, oldest first."""
    current = held_key(world) if _holds(world) else None
    if current is None and world.status.key is not None:
        named = world.status.key.id
        current = next((key for key in world.live or () if key.id == named), None)
    if current is None and world.live:
        current = world.live[-1]
    return tuple(key for key in world.live or () if key is not current)


def wake_time(world: KeySnapshot) -> datetime | None:
    """The next moment at which the clock alone changes the plan."""
    moments = [when for _, when in revoke_times(world)]
    due = rotation_due(world)
    if due is not None:
        moments.append(due)
    ahead = [moment for moment in moments if moment > world.now]
    return min(ahead, default=None)


def reissue_reason(world: KeySnapshot) -> steps.IssueReason | None:
    """Why the Secret needs another key than it holds; the first reason that applies."""
    secret = world.secret
    if not isinstance(secret, SecretOurs):
        return (
            steps.IssueReason.SECRET_MISSING
            if world.status.key is not None or world.live
            else steps.IssueReason.FIRST
        )
    if not secret.data_matches:
        return steps.IssueReason.DATA_EDITED
    if _key_gone(world):
        return steps.IssueReason.KEY_GONE
    held, wanted = held_key(world), world.gate.scope
    scope = known_scope(world, held) if held is not None else _named_scope(world)
    if held is not None and scope is None:
        return steps.IssueReason.SCOPE_UNKNOWN
    if wanted is not None and scope is not None and scope != wanted:
        return steps.IssueReason.SCOPE
    if secret.record.format8 and secret.record.format8 != world.format8:
        return steps.IssueReason.FORMAT
    if world.rotate_request and world.rotate_request != secret.record.rotate_request:
        return steps.IssueReason.REQUESTED
    due = rotation_due(world)
    return steps.IssueReason.DUE if due is not None and due <= world.now else None


def known_scope(world: KeySnapshot, key: LiveKey) -> Scope | None:
    """A key's scope, from what no tenant can write: this process's memory, or status.

    Status names the key itself, or the issue of its serial that was noted before the key was
    asked for. A key that neither knows was issued by a process that ended before it wrote status.
    """
    for key_id, scope in world.scopes:
        if key_id == key.id:
            return scope
    current = world.status.key
    if current is not None and current.id == key.id:
        return Scope.recorded(current)
    if current is not None and current.serial == key.serial:
        return None
    noted = (one.scope for one in world.status.recent_issues if one.serial == key.serial)
    return next((Scope.recorded(scope) for scope in noted if scope is not None), None)


def displaced(world: KeySnapshot) -> frozenset[str]:
    """The ids of the keys that go at once, since another team takes a bucket that they reach.

    So does one of which nobody knows the buckets and whose own name may mean one of those, where
    no successor can be issued in whose grace it would end: the other team would wait for ever.
    """
    if world.gate.closed is None and world.fault is None:
        return world.displaced
    told = {key.id for key in world.status.retiring if not key.dead}
    wanted = (
        key for key in world.live or () if any(may_reach(key.names9, name) for name in world.wanted)
    )
    unknown = {key.id for key in wanted if key.id not in told and known_scope(world, key) is None}
    return world.displaced | unknown


def next_serial(world: KeySnapshot) -> int:
    """The serial of the next issue: above all that were listed, noted or used."""
    named = world.status.key.serial if world.status.key else 0
    noted = (one.serial for one in world.status.recent_issues if not _is_next(world, one.serial))
    listed = (key.serial for key in world.live or ())
    return 1 + max((named, world.last_serial, *listed, *noted))


def _is_next(world: KeySnapshot, serial: int) -> bool:
    """Whether status notes that serial for an issue that this process did not send yet."""
    return world.recorded is not None and world.recorded[0] == serial


def _key_gone(world: KeySnapshot) -> bool:
    """The held key is missing from a settled list; or, without one, status does not know it."""
    if world.live is not None:
        return held_key(world) is None
    status = world.status.key
    return status is None or status.id != held_id(world)


def _named_scope(world: KeySnapshot) -> Scope | None:
    """The held key's scope as status names it, where no list is at hand."""
    status = world.status.key
    return Scope.recorded(status) if status is not None and status.id == held_id(world) else None
