"""The status of an AmoveStorageKey as the world shows it. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.conditions import Conclusion, Verdict, unsynced
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import steps
from amove_operator.core.keys.derived import (
    held_key,
    is_usable,
    issued_at,
    known_scope,
    named_by_status,
    revoke_times,
    rotation_due,
)
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretForeign, SecretOurs
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.models import (
    CurrentKey,
    KeyStatus,
    RecentIssue,
    RetiringKey,
    ScopeField,
    SecretBinding,
)


def status_of(snapshot: KeySnapshot) -> KeyStatus:
    """What to write: only facts, so that a settled CR is never written again."""
    if snapshot.secret is None:
        return snapshot.status.model_copy(update={"owner_uid": snapshot.uid})
    key = _current(snapshot)
    return snapshot.status.model_copy(
        update={
            "owner_uid": snapshot.uid,
            "key": key,
            "retiring": _retiring(snapshot),
            "recent_issues": _issues(snapshot, key),
            "next_rotation": rotation_due(snapshot),
            "binding": _binding(snapshot),
        }
    )


def _issues(snapshot: KeySnapshot, key: CurrentKey | None) -> tuple[RecentIssue, ...]:
    """The first issue is noted after the fact; every later one before it is made.

    One dated in the future (the clock jumped) counts from now on, and is written so: else it
    would count as new at every look.
    """
    if snapshot.status.recent_issues or key is None:
        now = snapshot.now.replace(microsecond=0)
        return tuple(
            issue if issue.issued_at <= now else issue.model_copy(update={"issued_at": now})
            for issue in snapshot.status.recent_issues
        )
    scope = Scope.recorded(key)
    noted = scope.record if scope is not None else None
    return (RecentIssue(serial=key.serial, issued_at=key.issued_at, scope=noted),)


def _current(snapshot: KeySnapshot) -> CurrentKey | None:
    """The held key once the list confirms it; until then what status said before.

    A key that is proven dead stays named, for its account and its user, but reaches no bucket:
    its buckets' names are free for others.
    """
    held = held_key(snapshot)
    before = snapshot.status.key
    scope = known_scope(snapshot, held) if held is not None else None
    if held is None or scope is None:
        return _without_reach(snapshot, before)
    if before is None or before.id != held.id:
        return _described(held, scope, issued_at(snapshot) or snapshot.now)
    if snapshot.fault is None and snapshot.gate.scope is not None and scope == snapshot.gate.scope:
        return before.model_copy(update={"issued_for": snapshot.gate.scope.issued_for})
    return before


def _without_reach(snapshot: KeySnapshot, key: CurrentKey | None) -> CurrentKey | None:
    """What a list alone says is acted on only where no successor is on its way.

    Else the successor tells first whether the list was that of another user.
    """
    if key is None or snapshot.live is None or snapshot.mass is not LossVerdict.NONE:
        return key
    if snapshot.deleting and not snapshot.paused:
        return key
    if not key.buckets or key.id in {live.id for live in snapshot.live}:
        return key
    rests = snapshot.gate.closed is not None or snapshot.fault is not None
    proven = key.id in snapshot.revoked or (rests and key.id in snapshot.confirmed_gone)
    return key.model_copy(update={"buckets": ()}) if proven else key


def _described(held: RemoteKey, scope: Scope, issued: datetime) -> CurrentKey:
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
        issued_for=scope.issued_for,
        buckets=scope.buckets,
    )


def _retiring(snapshot: KeySnapshot) -> tuple[RetiringKey, ...]:
    """The keys that wait for their grace, with the buckets that each still reaches.

    The key that status names while no Secret holds it starts its grace here, so that it
    ends even if no successor can be issued.
    """
    times = dict(revoke_times(snapshot))
    lost = _dangling_current(snapshot)
    if lost is not None and lost not in times:
        times[lost] = (snapshot.now + snapshot.grace).replace(microsecond=0)
    return tuple(
        RetiringKey(id=key_id, buckets=buckets, issued_for=grant, revoke_after=when)
        for key_id, when in sorted(times.items())
        for buckets, grant in [_reach(snapshot, key_id)]
    )


def _reach(snapshot: KeySnapshot, key_id: str) -> tuple[tuple[str, ...], ScopeField | None]:
    """The buckets that one key of this CR reaches, and by which field of the spec.

    Where nobody knows, none are named, and the key's own marker keeps its names.
    """
    current = (snapshot.status.key,) if snapshot.status.key is not None else ()
    for named in (*snapshot.status.retiring, *current):
        if named.id == key_id:
            return named.buckets, named.issued_for
    live = next((key for key in snapshot.live or () if key.id == key_id), None)
    scope = known_scope(snapshot, live) if live is not None else dict(snapshot.scopes).get(key_id)
    return (scope.buckets, scope.issued_for) if scope is not None else ((), None)


def _dangling_current(snapshot: KeySnapshot) -> str | None:
    """The id that status names as current, live, while our Secret is gone or damaged."""
    if (
        snapshot.status.key is None
        or snapshot.secret is None
        or isinstance(snapshot.secret, SecretForeign)
    ):
        return None
    if snapshot.deleting or snapshot.mass is not LossVerdict.NONE:
        return None
    if is_usable(snapshot):
        return None
    live = (
        {key.id for key in snapshot.live}
        if snapshot.live is not None
        else named_by_status(snapshot)
    )
    return snapshot.status.key.id if snapshot.status.key.id in live else None


def _binding(snapshot: KeySnapshot) -> SecretBinding | None:
    return (
        SecretBinding(name=snapshot.secret_name)
        if isinstance(snapshot.secret, SecretOurs)
        else None
    )


def pinned(snapshot: KeySnapshot) -> str:
    """That defaults which changed since have moved nothing; empty where they are the same."""
    key, spec, defaults = snapshot.status.key, snapshot.spec, snapshot.defaults
    if key is None or defaults is None:
        return ""
    same_account = key.cloud_account_id == defaults.account
    by_default = (
        ("cloud account", spec.cloud_account_id, key.cloud_account_id, defaults.account),
        ("region", spec.region, key.region, defaults.region),
        ("storage", spec.storage_dn, key.storage_dn, defaults.storage_dn if same_account else None),
    )
    moved = [
        f"{what} {was} (the default is {now} by now)"
        for what, asked, was, now in by_default
        if asked is None and now not in (None, was)
    ]
    # A key of bucketRefs is where its buckets are, and they tell of their account themselves.
    told = moved if spec.bucket_refs is None else [one for one in moved if "account" not in one]
    return f"Pinned to {', '.join(told)}: that moves nothing." if told else ""


# ---------------------------------------------------------------- what a loss reads like

_LOSSES = {
    LossVerdict.LOSS: (
        Reason.MassKeyLoss,
        "Too many keys vanished from the service at once; nothing is replaced or let go until "
        "they are back, or the annotation storage.amove.io/accept-loss is set to a new value.",
    ),
    LossVerdict.USER_CHANGED: (
        Reason.ApiUserChanged,
        "The API token belongs to another user than the one who issued the key; put the former "
        "user's token back, or set the annotation storage.amove.io/accept-loss to a new value.",
    ),
}


def loss_conclusion(snapshot: KeySnapshot) -> Conclusion:
    """Why nothing may be concluded from a missing key: only Synced says so, if pods have a key."""
    reason, message = _LOSSES[snapshot.mass]
    conclusion = unsynced(reason, message)
    if isinstance(snapshot.secret, SecretOurs) and snapshot.secret.data_matches:
        return conclusion
    return Conclusion(synced=conclusion.synced, ready=Verdict("False", reason, message))


def await_key_list(
    snapshot: KeySnapshot, conclusion: Conclusion, since: datetime | None = None
) -> steps.AwaitKeyList[KeyStatus]:
    """Wait for a list that shows every key; for one begun at a moment, where that is later."""
    begun = snapshot.knows_from
    if since is not None:
        begun = max(begun, snapshot.clock + (since - snapshot.now).total_seconds())
    return steps.AwaitKeyList(status_of(snapshot), conclusion, begun)
