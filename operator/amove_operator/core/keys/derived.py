"""What follows from a key's snapshot: which keys are held, retiring, dangling or due. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys.schedule import next_rotation
from amove_operator.core.keys.snapshot import Blocked, KeySnapshot
from amove_operator.core.keys.steps import IssueReason
from amove_operator.core.naming import may_reach
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.record import Retiring, issue_date
from amove_operator.models import CurrentKey, RecentIssue


def live_ids(snapshot: KeySnapshot) -> frozenset[str]:
    """The ids of the live keys; none while they are not known."""
    return frozenset(key.id for key in snapshot.live or ())


def live_key(snapshot: KeySnapshot, key_id: str | None) -> RemoteKey | None:
    """The live key of that id, if the list shows it under this CR's marker."""
    return next((key for key in snapshot.live or () if key.id == key_id), None)


def held_id(snapshot: KeySnapshot) -> str | None:
    """The id that our Secret says it holds, edited data or not."""
    ours = snapshot.our_secret
    return ours.record.key_id or None if ours is not None else None


def held_key(snapshot: KeySnapshot) -> RemoteKey | None:
    """The live key that our Secret holds."""
    return live_key(snapshot, held_id(snapshot))


def _held_in_status(snapshot: KeySnapshot) -> CurrentKey | None:
    """The held key as status names it; ``None`` too where that says that it is gone."""
    named = snapshot.status.key
    known = named is not None and named.id == held_id(snapshot) and not named.dead
    return named if known else None


def is_usable(snapshot: KeySnapshot) -> bool:
    """Whether pods can use what our Secret holds, as far as was last confirmed.

    After a restart that is what status says, until a list shows more: a key that was given up to
    another team's bucket stays unusable.
    """
    if snapshot.sound_secret is None:
        return False
    if snapshot.live is not None:
        return held_key(snapshot) is not None
    named = snapshot.status.key
    return named is None or not named.dead or named.id != held_id(snapshot)


# ---------------------------------------------------------------- when


def issued_at(snapshot: KeySnapshot) -> datetime | None:
    """When the held key was issued: by status where that names it, which goes by our own clock.

    Else by the list; people can edit the Secret's annotation, and one dated today would put off a
    rotation that is due. But a list whose dates carry no zone may be hours off: it would have a key
    replaced at once, again and again. So then the Secret counts, if it has a date.
    """
    listed, named, ours = held_key(snapshot), _held_in_status(snapshot), snapshot.our_secret
    dates = (
        named.issued_at if named is not None else None,
        listed.dated if listed is not None else None,
        ours.record.issued_at if ours is not None else None,
        listed.created if listed is not None else None,
    )
    known = (date for each in dates if (date := issue_date(each, snapshot.now)) is not None)
    issued = next(known, None)
    return issued.replace(microsecond=0) if issued is not None else None


def rotation_due(snapshot: KeySnapshot) -> datetime | None:
    """When the held key falls due by the clock."""
    issued, interval = issued_at(snapshot), snapshot.rotation.interval
    if interval is None or issued is None:
        return None
    return next_rotation(issued, interval, snapshot.uid)


def revoke_times(snapshot: KeySnapshot) -> dict[str, datetime]:
    """Every retiring key of ours with the moment from which it may be revoked, earliest first.

    Retiring are the keys that the Secret or status lists, and the one that status names while the
    Secret holds another. Of all moments that are known the earliest counts: key 1 was replaced at
    12:00 with a grace of 1h, so both records say 13:00. If somebody edits the Secret to say 2099,
    status still says 13:00. If ``gracePeriod`` becomes 10m at 12:30, key 1 goes at once, since its
    grace would have ended at 12:10; if it becomes 5h, 13:00 stays. Only what may be alive is named.
    """
    held = held_id(snapshot) if is_usable(snapshot) else None
    ours, status = snapshot.our_secret, snapshot.status
    recorded = [(key.id, key.revoke_after) for key in ours.record.retiring] if ours else []
    recorded += [(key.id, key.revoke_after) for key in status.retiring]
    times: dict[str, datetime] = {}
    for key_id, when in recorded:
        times[key_id] = min(times.get(key_id, when), when, _grace_ends(snapshot, key_id))
    if status.key is not None and held is not None and status.key.id != held:
        times.setdefault(status.key.id, _grace_ends(snapshot, status.key.id))
    alive = status.named_ids
    if snapshot.live is not None:
        # A missing key is believed gone only after we asked to revoke it: the list may be another
        # user's, and then the key still works.
        alive = live_ids(snapshot) | (snapshot.gone.presumed & alive)
    known = [(when, key_id) for key_id, when in times.items() if key_id in alive - {held}]
    return {key_id: when for when, key_id in sorted(known)}


def _grace_ends(snapshot: KeySnapshot, key_id: str) -> datetime:
    """The latest end of a key's grace by today's spec: it runs from the write of its successor.

    Key 2 was written at 12:00, so with a grace of 1h key 1 goes at 13:00 at the latest. Two other
    moments may begin a grace. While no usable key has taken its place (the Secret was deleted) it
    begins now, or pods that still use key 1 would lose it before they can have another. And it
    begins not before the key's own issue: if at 15:00 somebody puts back the Secret of key 1,
    which was written in the morning, key 2 of 14:50 is the one that retires, and lives until
    15:50. An edited date gains nothing, since the end on record counts where it is earlier.
    """
    now = began = snapshot.now.replace(microsecond=0)
    if (secret := snapshot.sound_secret) is not None and is_usable(snapshot):
        writes = (issued_at(snapshot), secret.record.issued_at)
        began = max((when for when in writes if when and when <= snapshot.now), default=now)
    listed, named = live_key(snapshot, key_id), snapshot.status.key
    own = (
        listed.dated if listed is not None else None,
        named.issued_at if named is not None and named.id == key_id else None,
    )
    return min(max([began, *(when for when in own if when)]), now) + snapshot.rotation.grace


def recent_key_shows_at(snapshot: KeySnapshot) -> datetime | None:
    """From when a list must be begun to prove the held key gone, where ours is too old.

    Another process issued the key at 12:00:00 and wrote the Secret; our list of 12:00:10 may lack
    it. Only one begun at 12:00:30 proves it gone: believed at once, two operators would replace
    each other's keys in turn. A moment in the future is a forgery or a wrong clock: it protects no
    key. Nor is one waited for that we revoked ourselves: the 200 proves it gone.
    """
    if snapshot.live is None or snapshot.sound_secret is None or held_key(snapshot) is not None:
        return None
    if snapshot.expectations.was_deleted(snapshot.sound_secret.record.key_id):
        return None
    issued = issued_at(snapshot)
    if issued is None or issued > snapshot.now:
        return None
    shows = issued + snapshot.limits.listing_lag
    return None if snapshot.listed_at is not None and snapshot.listed_at >= shows else shows


def wake_time(snapshot: KeySnapshot) -> datetime | None:
    """The next moment at which the clock alone changes the plan."""
    moments = (*revoke_times(snapshot).values(), rotation_due(snapshot))
    return min((when for when in moments if when and when > snapshot.now), default=None)


# ---------------------------------------------------------------- which keys


def dangling_keys(snapshot: KeySnapshot) -> tuple[RemoteKey, ...]:
    """The live keys under the CR's marker that neither Secret nor status nor this process names."""
    pending = snapshot.expectations.pending_key
    known = {held_id(snapshot), *snapshot.status.named_ids, *revoke_times(snapshot)}
    known |= {pending.key.id} if pending is not None else set()
    return tuple(key for key in snapshot.live or () if key.id not in known)


def retiring_keys(snapshot: KeySnapshot) -> tuple[RemoteKey, ...]:
    """The live keys beside the one in use, oldest first."""
    current = held_key(snapshot) if snapshot.sound_secret is not None else None
    if current is None and snapshot.status.key is not None:
        current = live_key(snapshot, snapshot.status.key.id)
    if current is None and snapshot.live:
        current = snapshot.live[-1]
    return tuple(key for key in snapshot.live or () if key is not current)


def retiring_beside(snapshot: KeySnapshot, fresh: str | None = None) -> tuple[Retiring, ...]:
    """What the Secret lists as retiring beside a fresh key: every other live one."""
    times = revoke_times(snapshot)
    end = (snapshot.now + snapshot.rotation.grace).replace(microsecond=0)
    others = (key.id for key in snapshot.live or () if key.id != fresh)
    return tuple(Retiring(key_id, min(times.get(key_id, end), end)) for key_id in others)


def displaced_keys(snapshot: KeySnapshot) -> frozenset[str]:
    """The ids of the keys that go at once, since another team takes a bucket that they reach.

    So does a key of which nobody knows the buckets, where its own name may mean one of those and
    no successor can be issued in whose grace it would end: the other team would wait for ever.
    """
    if not isinstance(snapshot.gate, Blocked) and snapshot.fault is None:
        return snapshot.displaced.keys
    named = {key.id for key in snapshot.status.retiring if not key.dead}
    names = snapshot.displaced.names
    return snapshot.displaced.keys | {
        key.id
        for key in snapshot.live or ()
        if any(may_reach(key.names9, name) for name in names)
        and key.id not in named
        and known_scope(snapshot, key) is None
    }


# ---------------------------------------------------------------- the next issue


def reissue_reason(snapshot: KeySnapshot) -> IssueReason | None:
    """Why the Secret needs another key than it holds; the first reason that applies."""
    secret = snapshot.our_secret
    if secret is None:
        known = snapshot.status.key is not None or snapshot.live
        return IssueReason.SECRET_MISSING if known else IssueReason.FIRST
    if not secret.data_matches:
        return IssueReason.DATA_EDITED
    held, named = held_key(snapshot), _held_in_status(snapshot)
    # Without a list, a key that status does not know of, or knows to be gone, counts as gone.
    if held is None and (snapshot.live is not None or named is None):
        return IssueReason.KEY_GONE
    if held is not None:
        scope = known_scope(snapshot, held)
        if scope is None:
            return IssueReason.SCOPE_UNKNOWN
    else:
        scope = Scope.recorded(named) if named is not None else None
    if scope is not None and snapshot.wanted_scope not in (None, scope):
        return IssueReason.SCOPE
    if secret.record.format8 and secret.record.format8 != snapshot.desired_secret.format8:
        return IssueReason.FORMAT
    if snapshot.rotation.requested not in ("", secret.record.rotate_request):
        return IssueReason.REQUESTED
    due = rotation_due(snapshot)
    return IssueReason.DUE if due is not None and due <= snapshot.now else None


def known_scope(snapshot: KeySnapshot, key: RemoteKey) -> Scope | None:
    """A key's scope, from what no tenant can write: this process's memory, or status.

    Status names the key itself, or the issue of its serial that was noted before the key was
    asked for. A key that neither knows was issued by a process that ended before it wrote status.
    """
    for key_id, scope in snapshot.expectations.scopes:
        if key_id == key.id:
            return scope
    current = snapshot.status.key
    if current is not None and current.id == key.id:
        return Scope.recorded(current)
    if current is not None and current.serial == key.serial:
        return None
    noted = (one.scope for one in snapshot.status.recent_issues if one.serial == key.serial)
    return next((Scope.recorded(scope) for scope in noted if scope is not None), None)


def counted_issues(snapshot: KeySnapshot) -> tuple[RecentIssue, ...]:
    """The issues that count against the budget: not one that was refused and made no key.

    That is proven by a list begun the listing lag after the refusal; one begun before may lack a
    key that was made all the same.
    """
    issues = snapshot.status.recent_issues
    if snapshot.live is None:
        return issues
    unmade = snapshot.expectations.given_back - {key.serial for key in snapshot.live}
    return tuple(one for one in issues if one.serial not in unmade)


def next_serial(snapshot: KeySnapshot) -> int:
    """The serial of the next issue: above those of live keys, of status, and of this process.

    An issue that status notes and that this process has not sent yet is the next one itself. A
    serial can come twice: a first key that a crash left had serial 1, and once it is revoked
    nothing tells of it any more.
    """
    expectations, status = snapshot.expectations, snapshot.status
    unsent = expectations.recorded[0] if expectations.recorded is not None else None
    noted = (one.serial for one in status.recent_issues if one.serial != unsent)
    listed = (key.serial for key in snapshot.live or ())
    named = status.key.serial if status.key is not None else 0
    return 1 + max((named, expectations.last_serial, *listed, *noted))
