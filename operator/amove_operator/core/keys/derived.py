"""Small facts that the key planner derives from its world. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import steps
from amove_operator.core.keys.rotation import next_rotation
from amove_operator.core.keys.snapshot import KeySnapshot, SecretOurs
from amove_operator.core.naming import may_reach
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import issue_date
from amove_operator.models import KeyStatus


def held_id(snapshot: KeySnapshot) -> str | None:
    """The id that our Secret says it holds, edited data or not."""
    return (
        snapshot.secret.record.key_id or None if isinstance(snapshot.secret, SecretOurs) else None
    )


def held_key(snapshot: KeySnapshot) -> RemoteKey | None:
    """The live key that our Secret holds, if the list shows it under this CR's marker."""
    held = held_id(snapshot)
    return next((key for key in snapshot.live or () if key.id == held), None)


def named_by_status(snapshot: KeySnapshot) -> frozenset[str]:
    """The ids that status names: the current key and the retiring ones."""
    return named_ids(snapshot.status)


def named_ids(status: KeyStatus) -> frozenset[str]:
    """The ids that a status names."""
    current = () if status.key is None else (status.key.id,)
    return frozenset((*current, *(key.id for key in status.retiring)))


def issued_at(snapshot: KeySnapshot) -> datetime | None:
    """The held key's age, by the older of what the list and status say.

    The Secret's own word counts only where neither knows: people can edit it.
    """
    held, status = held_id(snapshot), snapshot.status.key
    listed = held_key(snapshot)
    dates = (
        listed.created if listed else None,
        status.issued_at if status is not None and status.id == held else None,
    )
    told = [date for each in dates if (date := issue_date(each, snapshot.now)) is not None]
    if told:
        return min(told).replace(microsecond=0)
    return snapshot.secret.record.issued_at if isinstance(snapshot.secret, SecretOurs) else None


def rotation_due(snapshot: KeySnapshot) -> datetime | None:
    """When the held key falls due by the clock."""
    issued = issued_at(snapshot)
    if snapshot.interval is None or issued is None:
        return None
    return next_rotation(issued, snapshot.interval, snapshot.uid)


def revoke_times(snapshot: KeySnapshot) -> tuple[tuple[str, datetime], ...]:
    """Every retiring key of ours with the moment from which it may be revoked, earliest first.

    Retiring are: what the Secret or status lists, and the key that status names while the
    Secret holds another. The earlier of two moments counts, and a grace that was shortened
    counts for a key that retires already. Without a settled list, only what status names.
    """
    held = held_id(snapshot) if is_usable(snapshot) else None
    times: dict[str, datetime] = {}
    for key_id, when in _recorded_retirements(snapshot):
        times[key_id] = min(times.get(key_id, when), when, _grace_ends(snapshot, key_id))
    status = snapshot.status.key
    if status is not None and held is not None and status.id != held:
        times.setdefault(status.id, _grace_ends(snapshot, status.id))
    alive = named_by_status(snapshot)
    if snapshot.live is not None:
        # What only a list says to be gone, which may be that of another user, is asked for first.
        alive = frozenset(key.id for key in snapshot.live) | (snapshot.presumed_gone & alive)
    known = {key_id: when for key_id, when in times.items() if key_id in alive and key_id != held}
    return tuple(sorted(known.items(), key=lambda pair: (pair[1], pair[0])))


def _recorded_retirements(snapshot: KeySnapshot) -> list[tuple[str, datetime]]:
    listed = snapshot.secret.record.retiring if isinstance(snapshot.secret, SecretOurs) else ()
    told = [(key.id, key.revoke_after) for key in listed]
    return told + [(key.id, key.revoke_after) for key in snapshot.status.retiring]


def _holds(snapshot: KeySnapshot) -> bool:
    return isinstance(snapshot.secret, SecretOurs) and snapshot.secret.data_matches


def is_usable(snapshot: KeySnapshot) -> bool:
    """Whether pods can use what our Secret holds, as far as was last confirmed."""
    return _holds(snapshot) and (snapshot.live is None or held_key(snapshot) is not None)


def _grace_ends(snapshot: KeySnapshot, key_id: str) -> datetime:
    """The latest end of a key's grace by today's spec: it runs from the write of its successor.

    Not from before its own issue, as when an older Secret was restored; and from now on while
    no usable key takes its place.
    """
    now = snapshot.now.replace(microsecond=0)
    began = (_written_at(snapshot) or now) if is_usable(snapshot) else now
    status = snapshot.status.key
    own = [
        key.created for key in snapshot.live or () if key.id == key_id and key.created is not None
    ]
    own += [status.issued_at] if status is not None and status.id == key_id else []
    return min(max([began, *own]), now) + snapshot.grace


def _written_at(snapshot: KeySnapshot) -> datetime | None:
    """When the Secret was written: issued-at is of that moment, if nobody edited it.

    An edited one gains nothing: the recorded end of a grace counts where it is earlier.
    """
    assert isinstance(snapshot.secret, SecretOurs)  # noqa: S101 - asked only where it is usable
    moments = [
        moment for moment in (issued_at(snapshot), snapshot.secret.record.issued_at) if moment
    ]
    return max((moment for moment in moments if moment <= snapshot.now), default=None)


def accounted_for(snapshot: KeySnapshot) -> frozenset[str]:
    """The ids that somebody holds, retires, or has in hand: every other marked key is unheld."""
    ids = {
        held_id(snapshot),
        *named_by_status(snapshot),
        *(key for key, _ in revoke_times(snapshot)),
    }
    if snapshot.pending_key is not None:
        ids.add(snapshot.pending_key.key.id)
    return frozenset(key_id for key_id in ids if key_id is not None)


def dangling_keys(snapshot: KeySnapshot) -> tuple[RemoteKey, ...]:
    """The marked keys that nobody accounts for."""
    wanted = accounted_for(snapshot)
    return tuple(key for key in snapshot.live or () if key.id not in wanted)


def judged_from(snapshot: KeySnapshot) -> datetime | None:
    """From when a listing must be begun to prove the held key gone, where ours is too old.

    A key that another process issued within the settle time may not show yet.
    A moment in the future is a forgery or a wrong clock: it protects no key.
    """
    if snapshot.live is None or not _holds(snapshot) or held_key(snapshot) is not None:
        return None
    issued = issued_at(snapshot)
    if issued is None or issued > snapshot.now:
        return None
    shows = issued + snapshot.settle
    return None if snapshot.listed_at is not None and snapshot.listed_at >= shows else shows


def retiring_keys(snapshot: KeySnapshot) -> tuple[RemoteKey, ...]:
    """The live keys beside the one in use, oldest first."""
    current = held_key(snapshot) if _holds(snapshot) else None
    if current is None and snapshot.status.key is not None:
        named = snapshot.status.key.id
        current = next((key for key in snapshot.live or () if key.id == named), None)
    if current is None and snapshot.live:
        current = snapshot.live[-1]
    return tuple(key for key in snapshot.live or () if key is not current)


def wake_time(snapshot: KeySnapshot) -> datetime | None:
    """The next moment at which the clock alone changes the plan."""
    moments = [when for _, when in revoke_times(snapshot)]
    due = rotation_due(snapshot)
    if due is not None:
        moments.append(due)
    ahead = [moment for moment in moments if moment > snapshot.now]
    return min(ahead, default=None)


def reissue_reason(snapshot: KeySnapshot) -> steps.IssueReason | None:
    """Why the Secret needs another key than it holds; the first reason that applies."""
    secret = snapshot.secret
    if not isinstance(secret, SecretOurs):
        return (
            steps.IssueReason.SECRET_MISSING
            if snapshot.status.key is not None or snapshot.live
            else steps.IssueReason.FIRST
        )
    if not secret.data_matches:
        return steps.IssueReason.DATA_EDITED
    if _key_gone(snapshot):
        return steps.IssueReason.KEY_GONE
    held, wanted = held_key(snapshot), snapshot.gate.scope
    scope = known_scope(snapshot, held) if held is not None else _named_scope(snapshot)
    if held is not None and scope is None:
        return steps.IssueReason.SCOPE_UNKNOWN
    if wanted is not None and scope is not None and scope != wanted:
        return steps.IssueReason.SCOPE
    if secret.record.format8 and secret.record.format8 != snapshot.format8:
        return steps.IssueReason.FORMAT
    if snapshot.rotate_request and snapshot.rotate_request != secret.record.rotate_request:
        return steps.IssueReason.REQUESTED
    due = rotation_due(snapshot)
    return steps.IssueReason.DUE if due is not None and due <= snapshot.now else None


def known_scope(snapshot: KeySnapshot, key: RemoteKey) -> Scope | None:
    """A key's scope, from what no tenant can write: this process's memory, or status.

    Status names the key itself, or the issue of its serial that was noted before the key was
    asked for. A key that neither knows was issued by a process that ended before it wrote status.
    """
    for key_id, scope in snapshot.scopes:
        if key_id == key.id:
            return scope
    current = snapshot.status.key
    if current is not None and current.id == key.id:
        return Scope.recorded(current)
    if current is not None and current.serial == key.serial:
        return None
    noted = (one.scope for one in snapshot.status.recent_issues if one.serial == key.serial)
    return next((Scope.recorded(scope) for scope in noted if scope is not None), None)


def displaced(snapshot: KeySnapshot) -> frozenset[str]:
    """The ids of the keys that go at once, since another team takes a bucket that they reach.

    So does one of which nobody knows the buckets and whose own name may mean one of those, where
    no successor can be issued in whose grace it would end: the other team would wait for ever.
    """
    if snapshot.gate.closed is None and snapshot.fault is None:
        return snapshot.displaced
    told = {key.id for key in snapshot.status.retiring if not key.dead}
    wanted = (
        key
        for key in snapshot.live or ()
        if any(may_reach(key.names9, name) for name in snapshot.wanted)
    )
    unknown = {
        key.id for key in wanted if key.id not in told and known_scope(snapshot, key) is None
    }
    return snapshot.displaced | unknown


def next_serial(snapshot: KeySnapshot) -> int:
    """The serial of the next issue: above all that were listed, noted or used."""
    named = snapshot.status.key.serial if snapshot.status.key else 0
    noted = (
        one.serial for one in snapshot.status.recent_issues if not _is_next(snapshot, one.serial)
    )
    listed = (key.serial for key in snapshot.live or ())
    return 1 + max((named, snapshot.last_serial, *listed, *noted))


def _is_next(snapshot: KeySnapshot, serial: int) -> bool:
    """Whether status notes that serial for an issue that this process did not send yet."""
    return snapshot.recorded is not None and snapshot.recorded[0] == serial


def _key_gone(snapshot: KeySnapshot) -> bool:
    """The held key is missing from a settled list; or, without one, status does not know it."""
    if snapshot.live is not None:
        return held_key(snapshot) is None
    status = snapshot.status.key
    return status is None or status.id != held_id(snapshot)


def _named_scope(snapshot: KeySnapshot) -> Scope | None:
    """The held key's scope as status names it, where no list is at hand."""
    status = snapshot.status.key
    return Scope.recorded(status) if status is not None and status.id == held_id(snapshot) else None
