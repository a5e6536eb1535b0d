"""The status of an AmoveStorageKey as the world shows it. Pure."""

from __future__ import annotations

from datetime import datetime

from amove_operator.core.conditions import Conclusion, Verdict, unsynced
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
from amove_operator.core.keys.expectations import LiveKey
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretForeign, SecretOurs
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import Scope
from amove_operator.models.key import (
    CurrentKey,
    KeyStatus,
    RecentIssue,
    RetiringKey,
    ScopeField,
    SecretBinding,
)


def status_of(world: KeySnapshot) -> KeyStatus:
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


def _issues(world: KeySnapshot, key: CurrentKey | None) -> tuple[RecentIssue, ...]:
    """The first issue is noted after the fact; every later one before it is made.

    One dated in the future (the clock jumped) counts from now on, and is written so: else it
    would count as new at every look.
    """
    if world.status.recent_issues or key is None:
        now = world.now.replace(microsecond=0)
        return tuple(
            issue if issue.issued_at <= now else issue.model_copy(update={"issued_at": now})
            for issue in world.status.recent_issues
        )
    scope = Scope.recorded(key)
    noted = scope.record if scope is not None else None
    return (RecentIssue(serial=key.serial, issued_at=key.issued_at, scope=noted),)


def _current(world: KeySnapshot) -> CurrentKey | None:
    """The held key once the list confirms it; until then what status said before.

    A key that is proven dead stays named, for its account and its user, but reaches no bucket:
    its buckets' names are free for others.
    """
    held = held_key(world)
    before = world.status.key
    scope = known_scope(world, held) if held is not None else None
    if held is None or scope is None:
        return _without_reach(world, before)
    if before is None or before.id != held.id:
        return _described(held, scope, issued_at(world) or world.now)
    if world.fault is None and world.gate.scope is not None and scope == world.gate.scope:
        return before.model_copy(update={"issued_for": world.gate.scope.issued_for})
    return before


def _without_reach(world: KeySnapshot, key: CurrentKey | None) -> CurrentKey | None:
    """What a list alone says is acted on only where no successor is on its way.

    Else the successor tells first whether the list was that of another user.
    """
    if key is None or world.live is None or world.mass is not LossVerdict.NONE:
        return key
    if world.deleting and not world.paused:
        return key
    if not key.buckets or key.id in {live.id for live in world.live}:
        return key
    rests = world.gate.closed is not None or world.fault is not None
    proven = key.id in world.revoked or (rests and key.id in world.confirmed_gone)
    return key.model_copy(update={"buckets": ()}) if proven else key


def _described(held: LiveKey, scope: Scope, issued: datetime) -> CurrentKey:
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


def _retiring(world: KeySnapshot) -> tuple[RetiringKey, ...]:
    """The keys that wait for their grace, with the buckets that each still reaches.

    The key that status names while no Secret holds it starts its grace here, so that it
    ends even if no successor can be issued.
    """
    times = dict(revoke_times(world))
    lost = _dangling_current(world)
    if lost is not None and lost not in times:
        times[lost] = (world.now + world.grace).replace(microsecond=0)
    return tuple(
        RetiringKey(id=key_id, buckets=buckets, issued_for=grant, revoke_after=when)
        for key_id, when in sorted(times.items())
        for buckets, grant in [_reach(world, key_id)]
    )


def _reach(world: KeySnapshot, key_id: str) -> tuple[tuple[str, ...], ScopeField | None]:
    """The buckets that one key of this CR reaches, and by which field of the spec.

    Where nobody knows, none are named, and the key's own marker keeps its names.
    """
    current = (world.status.key,) if world.status.key is not None else ()
    for named in (*world.status.retiring, *current):
        if named.id == key_id:
            return named.buckets, named.issued_for
    live = next((key for key in world.live or () if key.id == key_id), None)
    scope = known_scope(world, live) if live is not None else dict(world.scopes).get(key_id)
    return (scope.buckets, scope.issued_for) if scope is not None else ((), None)


def _dangling_current(world: KeySnapshot) -> str | None:
    """The id that status names as current, live, while our Secret is gone or damaged."""
    if world.status.key is None or world.secret is None or isinstance(world.secret, SecretForeign):
        return None
    if world.deleting or world.mass is not LossVerdict.NONE:
        return None
    if is_usable(world):
        return None
    live = {key.id for key in world.live} if world.live is not None else named_by_status(world)
    return world.status.key.id if world.status.key.id in live else None


def _binding(world: KeySnapshot) -> SecretBinding | None:
    return SecretBinding(name=world.secret_name) if isinstance(world.secret, SecretOurs) else None


def pinned(world: KeySnapshot) -> str:
    """That defaults which changed since have moved nothing; empty where they are the same."""
    key, spec, defaults = world.status.key, world.spec, world.defaults
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


def loss_conclusion(world: KeySnapshot) -> Conclusion:
    """Why nothing may be concluded from a missing key: only Synced says so, if pods have a key."""
    reason, message = _LOSSES[world.mass]
    conclusion = unsynced(reason, message)
    if isinstance(world.secret, SecretOurs) and world.secret.data_matches:
        return conclusion
    return Conclusion(synced=conclusion.synced, ready=Verdict("False", reason, message))


def await_key_list(
    world: KeySnapshot, conclusion: Conclusion, since: datetime | None = None
) -> steps.AwaitKeyList[KeyStatus]:
    """Wait for a list that shows every key; for one begun at a moment, where that is later."""
    begun = world.knows_from
    if since is not None:
        begun = max(begun, world.clock + (since - world.now).total_seconds())
    return steps.AwaitKeyList(status_of(world), conclusion, begun)
