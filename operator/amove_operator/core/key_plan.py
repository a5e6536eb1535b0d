"""The next step for one AmoveStorageKey: the marker protocol (design.md §5). Pure.

Read :func:`plan_key` as a list of questions asked in order; the first that has an answer
decides. The executor performs the step, looks again, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from amove_operator.core import conditions
from amove_operator.core.budget import next_issue_at, remember_issue
from amove_operator.core.conditions import Conclusion, progressing, stalled, unsynced
from amove_operator.core.key_deletion import plan_deletion
from amove_operator.core.key_facts import (
    held_id,
    named_by_status,
    reissue_reason,
    retiring_keys,
    revoke_times,
    wake_time,
)
from amove_operator.core.key_status import status_of
from amove_operator.core.key_world import (
    AddFinalizer,
    AwaitListing,
    DryRun,
    KeyStep,
    KeyWorld,
    Mass,
    Mint,
    ReadSecret,
    RecordIssue,
    Report,
    Revoke,
    SecretForeign,
    SecretOurs,
    TidySecret,
    Why,
    WriteSecret,
)
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import takes_away
from amove_operator.core.secret_record import Retiring, rfc3339

MOST_LIVE = 2
_DAMAGE = (Why.SECRET_MISSING, Why.DATA_EDITED)


def plan_key(world: KeyWorld) -> KeyStep:
    """Choose the next step towards the spec."""
    if world.deleting:
        return plan_deletion(world)
    for check in _CHECKS:
        if (step := check(world)) is not None:
            return step
    why = reissue_reason(world)
    if why is not None:
        return _reissue(world, why)
    if isinstance(world.secret, SecretOurs) and world.secret.untidy:
        return TidySecret()
    return _settled(world)


def _paused(world: KeyWorld) -> KeyStep | None:
    if not world.paused:
        return None
    return _report(world, unsynced(Reason.Paused, "Paused by annotation; nothing is called."))


def _refused(world: KeyWorld) -> KeyStep | None:
    if world.fault is None:
        return None
    return _report(world, world.fault)


def _unprotected(world: KeyWorld) -> KeyStep | None:
    return None if world.finalizer else AddFinalizer()


def _given_up(world: KeyWorld) -> KeyStep | None:
    """Our bucket's CR vanished and another team takes the name: the grace is cut."""
    if not world.given_up or world.mass is not Mass.NONE:
        return None
    if world.live is None:
        message = "The bucket's CR is gone and another takes its name; the key will be revoked."
        return AwaitListing(progressing(Reason.BucketNotFound, message))
    for key in world.live:
        if key.id in world.given_up:
            return Revoke(key.id, "bucket name given up")
    return None


def _unread(world: KeyWorld) -> KeyStep | None:
    return ReadSecret() if world.secret is None else None


def _in_hand(world: KeyWorld) -> KeyStep | None:
    """A fresh key is unwritten: write it where it is still wanted, else revoke it."""
    fresh = world.in_hand
    if fresh is None:
        return None
    if not world.secret_fresh:
        return ReadSecret()
    if isinstance(world.secret, SecretForeign):
        return Revoke(fresh.key.id, "unwritten")
    if world.live is None:
        return AwaitListing(progressing(Reason.Settling, "Waiting for a settled key list."))
    if world.mass is Mass.USER_CHANGED or _outdated(world) or reissue_reason(world) is None:
        return Revoke(fresh.key.id, "unwritten")
    if isinstance(world.secret, SecretOurs) and world.secret.deleting:
        return _waits_for_collection(world)
    return WriteSecret(_retiring_after_issue(world))


def _outdated(world: KeyWorld) -> bool:
    fresh, wanted = world.in_hand, world.gate.scope
    return fresh is not None and wanted is not None and fresh.scope.digest != wanted.digest


def _foreign(world: KeyWorld) -> KeyStep | None:
    secret = world.secret
    if isinstance(secret, SecretOurs) and secret.deleting:
        return _waits_for_collection(world)
    if not isinstance(secret, SecretForeign):
        return None
    if secret.leftover:
        return _report(world, progressing(Reason.SecretCollected, secret.message), retry=True)
    return _report(world, stalled(Reason.SecretConflict, secret.message))


def _waits_for_collection(world: KeyWorld) -> KeyStep:
    message = f"Secret {world.secret_name} is being deleted; its successor waits for that."
    return _report(world, progressing(Reason.SecretCollected, message), retry=True)


def _unheld(world: KeyWorld) -> KeyStep | None:
    """A marked key that the Secret neither holds nor retires and status does not name."""
    if world.live is None or world.mass is not Mass.NONE:
        return None
    wanted = {held_id(world), *named_by_status(world), *(key for key, _ in revoke_times(world))}
    if world.in_hand is not None:
        wanted.add(world.in_hand.key.id)
    for key in world.live:
        if key.id not in wanted:
            return _looking_again(world, Revoke(key.id, "unheld"))
    return None


def _overdue(world: KeyWorld) -> KeyStep | None:
    """A retiring key whose grace has ended."""
    due = [key_id for key_id, when in revoke_times(world) if when <= world.now]
    if not due or world.mass is not Mass.NONE or world.clock_skewed:
        return None
    if world.live is None:
        return None
    return _looking_again(world, Revoke(due[0], "retired"))


def _looking_again(world: KeyWorld, revocation: Revoke) -> KeyStep:
    """Revoke only on a Secret read just now: a remembered one may name the key of yesterday."""
    return revocation if world.secret_fresh else ReadSecret()


_CHECKS: tuple[Callable[[KeyWorld], KeyStep | None], ...] = (
    _paused,
    _refused,
    _unprotected,
    _given_up,
    _unread,
    _in_hand,
    _foreign,
    _unheld,
    _overdue,
)

# ---------------------------------------------------------------- issuing


def _reissue(world: KeyWorld, why: Why) -> KeyStep:
    """Mint only when every gate of design.md §5.1 is open, asked in its order of cost."""
    gate = world.gate
    usable = why not in (Why.FIRST, Why.KEY_GONE, *_DAMAGE)
    if (held := _held_back(world, why)) is not None:
        return held
    if gate.closed is not None or gate.scope is None:
        closed = gate.closed or Reason.BucketNotReady
        return _report(world, progressing(closed, gate.message, keep_ready=usable))
    if world.live is None:
        message = "Waiting for a settled key list, in case an earlier process issued a key."
        return AwaitListing(progressing(Reason.Settling, message, keep_ready=usable))
    if len(world.live) >= MOST_LIVE:
        return _make_room(world, why)
    ready_at = next_issue_at(world.status.recent_issues, world.limits.mint_budget, world.now)
    if ready_at > world.now and not world.issue_recorded:
        message = f"{why.value.capitalize()}; the next key may be issued at {rfc3339(ready_at)}."
        conclusion = progressing(Reason.MintBudgetExhausted, message, keep_ready=usable)
        return _report(world, conclusion, wake=ready_at)
    return _mint(world, why)


def _mint(world: KeyWorld, why: Why) -> KeyStep:
    assert world.gate.scope is not None and world.live is not None  # noqa: S101
    if not world.secret_fresh:
        return ReadSecret()
    if not world.dry_run_passed:
        return DryRun()
    if not world.untouched and not world.issue_recorded:
        recent = remember_issue(world.status.recent_issues, world.now.replace(microsecond=0))
        return RecordIssue(world.status.model_copy(update={"recent_issues": recent}))
    named = world.status.key.serial if world.status.key else 0
    serial = 1 + max((named, world.last_serial, *(key.serial for key in world.live)))
    return Mint(serial, world.gate.scope, why)


def _held_back(world: KeyWorld, why: Why) -> KeyStep | None:
    """Reasons not to replace a key just now, whatever the buckets say."""
    if world.status.key is not None and world.mass is Mass.LOSS:
        message = (
            "Too many keys vanished from the service at once; nothing is replaced until they "
            "are back, or the annotation storage.amove.io/accept-loss is set to a new value."
        )
        return _report(world, unsynced(Reason.MassKeyLoss, message), retry=True)
    if world.mass is Mass.USER_CHANGED:
        message = (
            "The API token belongs to another user than the one who issued the key; put the "
            "former user's token back, or set storage.amove.io/accept-loss to a new value."
        )
        return _report(world, unsynced(Reason.ApiUserChanged, message), retry=True)
    if why is Why.DUE and world.clock_skewed:
        message = "The local clock differs from the API server's by over a minute."
        return _report(world, unsynced(Reason.ClockSkew, message), retry=True)
    return None


def _make_room(world: KeyWorld, why: Why) -> KeyStep:
    """Two keys live already: the retiring one goes at once or the mint waits for its grace."""
    assert world.gate.scope is not None  # noqa: S101
    retiring = retiring_keys(world)
    times = dict(revoke_times(world))
    buckets = {key.id: key.buckets for key in world.status.retiring}
    for key in retiring:
        narrowed = takes_away(world.gate.scope, key.scope8, buckets.get(key.id, ()))
        if why in _DAMAGE or narrowed:
            return _looking_again(world, Revoke(key.id, "making room"))
    ends = min((times[key.id] for key in retiring if key.id in times), default=world.now)
    message = f"{why.value.capitalize()}; the replaced key lives until {rfc3339(ends)}."
    conclusion = progressing(Reason.GraceRunning, message, keep_ready=True)
    return _report(world, conclusion, wake=ends)


def _retiring_after_issue(world: KeyWorld) -> tuple[Retiring, ...]:
    """What the Secret lists as retiring beside the key in hand: every other live key."""
    times = dict(revoke_times(world))
    grace_ends = (world.now + world.grace).replace(microsecond=0)
    fresh = world.in_hand.key.id if world.in_hand else ""
    return tuple(
        Retiring(key.id, min(times.get(key.id, grace_ends), grace_ends))
        for key in world.live or ()
        if key.id != fresh
    )


# ---------------------------------------------------------------- reports


def _settled(world: KeyWorld) -> KeyStep:
    status = status_of(world)
    name = status.key.name if status.key else "?"
    message = f"Key {name} is in Secret {world.secret_name}."
    conclusion = conditions.settled(Reason.Issued, message)
    if world.gate.closed in (Reason.BucketNotFound, Reason.AccountMismatch):
        # The key that is out stays as it is; only a reader of the status must know.
        conclusion = Conclusion(
            ready=conclusion.ready, synced=unsynced(world.gate.closed, world.gate.message).synced
        )
    elif world.clock_skewed and wake_time(world) is not None:
        conclusion = Conclusion(
            ready=conclusion.ready,
            synced=unsynced(Reason.ClockSkew, "The local clock is off by over a minute.").synced,
        )
    return Report(status, conclusion, wake_time(world))


def _report(
    world: KeyWorld, conclusion: Conclusion, *, wake: datetime | None = None, retry: bool = False
) -> Report:
    moments = [moment for moment in (wake, wake_time(world)) if moment is not None]
    return Report(status_of(world), conclusion, min(moments, default=None), retry)
