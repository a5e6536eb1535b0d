"""The status of an AmoveStorageKey as its snapshot shows it, and the steps that write it. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.conditions import Conclusion
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import derived, steps
from amove_operator.core.keys.snapshot import Blocked, KeySnapshot, LossVerdict
from amove_operator.core.scope import Scope
from amove_operator.models import key_status


def finish(
    snapshot: KeySnapshot,
    conclusion: Conclusion,
    *,
    requeue_at: datetime | None = None,
    retry: bool = False,
) -> steps.Finish[key_status.KeyStatus]:
    """Write status and rest until ``requeue_at``, or until a grace or an interval ends.

    A moment that is past is not waited for: where a pause keeps a grace from being ended, the
    object would come back at once, for ever.
    """
    status, running = status_of(snapshot), derived.revoke_times(snapshot)
    begun = (one.revoke_after for one in status.retiring if one.id not in running)
    moments = (requeue_at, derived.wake_time(snapshot), *begun)
    ahead = (when for when in moments if when is not None and when > snapshot.now)
    return steps.Finish(status, conclusion, min(ahead, default=None), retry)


def await_key_list(
    snapshot: KeySnapshot, conclusion: Conclusion, since: datetime | None = None
) -> steps.AwaitKeyList[key_status.KeyStatus]:
    """Wait for a list that shows every key; for one begun at a moment, where that is later."""
    begun = snapshot.expectations.knows_from
    if since is not None:
        begun = max(begun, snapshot.clock + (since - snapshot.now).total_seconds())
    return steps.AwaitKeyList(status_of(snapshot), conclusion, begun)


def status_of(snapshot: KeySnapshot) -> key_status.KeyStatus:
    """What to write: only facts, so that the same facts are never written again."""
    update: dict[str, object] = {"owner_uid": snapshot.uid}
    if snapshot.secret is not None:
        key = _current(snapshot)
        ours = snapshot.our_secret is not None
        update |= {
            "key": key,
            "retiring": _retiring(snapshot),
            "recent_issues": _issues(snapshot, key),
            "next_rotation": derived.rotation_due(snapshot),
            "binding": key_status.SecretBinding(name=snapshot.desired_secret.name)
            if ours
            else None,
        }
    return snapshot.status.model_copy(update=update)


def _issues(
    snapshot: KeySnapshot, key: key_status.CurrentKey | None
) -> tuple[key_status.RecentIssue, ...]:
    """The first issue is noted after the fact; every later one before it is made.

    One dated in the future (the clock jumped) counts from now on, and is written so: else it
    would count as made now in every pass, and the budget would stay spent until then.
    """
    if (counted := derived.counted_issues(snapshot)) or key is None:
        now = snapshot.now.replace(microsecond=0)
        return tuple(
            issue if issue.issued_at <= now else issue.model_copy(update={"issued_at": now})
            for issue in counted
        )
    scope = Scope.recorded(key)
    noted = scope.record if scope is not None else None
    return (key_status.RecentIssue(serial=key.serial, issued_at=key.issued_at, scope=noted),)


def _current(snapshot: KeySnapshot) -> key_status.CurrentKey | None:
    """The held key once the list confirms it; until then what status said before."""
    held, before = derived.held_key(snapshot), snapshot.status.key
    scope = derived.known_scope(snapshot, held) if held is not None else None
    if held is None or scope is None:
        return before if before is None else _without_dead_buckets(snapshot, before)
    if before is None or before.id != held.id:
        return _described(snapshot, held, scope, derived.issued_at(snapshot) or snapshot.now)
    wanted = snapshot.wanted_scope
    if snapshot.fault is None and wanted is not None and scope == wanted:
        return before.model_copy(update={"issued_for": wanted.issued_for})
    return before


def _without_dead_buckets(
    snapshot: KeySnapshot, key: key_status.CurrentKey
) -> key_status.CurrentKey:
    """A key that is proven dead stays named, for its account and its user, but reaches no bucket.

    Its buckets' names are free for other teams from then on, so a list that lacks the key is not
    proof enough while a replacement is due. Say the token was changed to bob's: his list lacks
    alice's key, which lives. The replacement will belong to bob, and that tells; had status freed
    the names first, another team would have a bucket that alice's key still reaches. Proof is our
    own revocation (200), or the list where no replacement is due: its buckets are gone, or the
    spec is refused, and nobody may wait for ever. A service that errs leaves a key out of one list
    and shows it in the next: two must lack it, at least the settle time apart.
    """
    if snapshot.live is None or snapshot.loss is not LossVerdict.NONE:
        return key
    if snapshot.deleting and not snapshot.paused:
        return key
    if not key.buckets or derived.live_key(snapshot, key.id) is not None:
        return key
    rests = isinstance(snapshot.gate, Blocked) or snapshot.fault is not None
    listed_gone = rests and key.id in snapshot.gone.confirmed & snapshot.gone.lasting
    dead = listed_gone or snapshot.expectations.was_deleted(key.id)
    return key.model_copy(update={"buckets": ()}) if dead else key


def _described(
    snapshot: KeySnapshot, held: RemoteKey, scope: Scope, issued: datetime
) -> key_status.CurrentKey:
    return key_status.CurrentKey(
        # As it was spelt at first, in the Secret: the list may spell it in other letters.
        id=derived.held_id(snapshot) or held.id,
        name=held.name,
        access_key=held.access_key,
        serial=max(held.serial, 1),
        issued_at=issued.replace(microsecond=0),
        user_id=held.user_id,
        **dict(scope.record),
    )


def _retiring(snapshot: KeySnapshot) -> tuple[key_status.RetiringKey, ...]:
    """The keys that wait for their grace, with the buckets that each still reaches.

    The key that status names while no Secret holds it starts its grace here, so that it
    ends even if no successor can be issued.
    """
    times = derived.revoke_times(snapshot)
    lost = _dangling_current(snapshot)
    if lost is not None:
        grace_ends = (snapshot.now + snapshot.rotation.grace).replace(microsecond=0)
        times.setdefault(lost, grace_ends)
    return tuple(
        key_status.RetiringKey(id=key_id, buckets=buckets, issued_for=field, revoke_after=when)
        for key_id, when in sorted(times.items())
        for buckets, field in [_reach(snapshot, key_id)]
    )


def _reach(
    snapshot: KeySnapshot, key_id: str
) -> tuple[tuple[str, ...], key_status.ScopeField | None]:
    """The buckets that one key of this CR reaches, and by which field of the spec.

    Where nobody knows, none are named, and the key's own marker keeps its names.
    """
    current = (snapshot.status.key,) if snapshot.status.key is not None else ()
    for named in (*snapshot.status.retiring, *current):
        if named.id == key_id:
            return named.buckets, named.issued_for
    if (live := derived.live_key(snapshot, key_id)) is not None:
        scope = derived.known_scope(snapshot, live)
    else:
        scope = dict(snapshot.expectations.scopes).get(key_id)
    return (scope.buckets, scope.issued_for) if scope is not None else ((), None)


def _dangling_current(snapshot: KeySnapshot) -> str | None:
    """The id of the current key in status that is alive, while no sound Secret of ours is there.

    A stranger's Secret in its place may be ours with its annotations taken off, so that pods use
    it: until the grace ends, whoever did that can undo it.
    """
    named = snapshot.status.key
    if named is None or snapshot.secret is None:
        return None
    if snapshot.deleting or snapshot.loss is not LossVerdict.NONE or derived.is_usable(snapshot):
        return None
    missing = snapshot.live is not None and derived.live_key(snapshot, named.id) is None
    return None if missing else named.id
