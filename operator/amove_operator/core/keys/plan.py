"""The next step for one AmoveStorageKey: the marker protocol (docs/key-protocol.md). Pure.

Read :func:`plan_key` as a list of questions asked in order; the first that has an answer
decides. The executor performs the step, looks again, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from amove_operator.core import conditions
from amove_operator.core.conditions import Conclusion, Verdict, progressing, stalled, unsynced
from amove_operator.core.keys.budget import next_issue_at, remember_issue
from amove_operator.core.keys.deletion import drop_in_hand, plan_deletion
from amove_operator.core.keys.derived import (
    given_up,
    is_usable,
    judged_from,
    known_scope,
    named_by_status,
    next_serial,
    reissue_reason,
    retiring_keys,
    revoke_times,
    unheld_keys,
    wake_time,
)
from amove_operator.core.keys.snapshot import (
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
from amove_operator.core.keys.status import in_doubt, pinned, status_of
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import takes_away
from amove_operator.core.secrets.record import Retiring, rfc3339
from amove_operator.models.key import RecentIssue

MOST_LIVE = 2
_DAMAGE = (Why.SECRET_MISSING, Why.DATA_EDITED)


def plan_key(world: KeyWorld) -> KeyStep:
    """Choose the next step towards the spec."""
    if world.deleting:
        return _paused_deletion(world) or plan_deletion(world)
    for check in _CHECKS:
        if (step := check(world)) is not None:
            return step
    return _settled(world)


# ---------------------------------------------------------------- before anything else


def _paused(world: KeyWorld) -> KeyStep | None:
    if not world.paused:
        return None
    untold = {key.id for key in world.live or ()} - named_by_status(world)
    if (world.given_up or untold) and world.secret is None:
        # No call: status must tell what lives and what was revoked, since others wait for it.
        return ReadSecret()
    waits = ", and the deletion waits" if world.deleting else ""
    conclusion = unsynced(Reason.Paused, f"Paused by annotation; nothing is called{waits}.")
    if world.given_up and not is_usable(world):
        revoked = "The key was revoked: its bucket is another team's."
        conclusion = replace(conclusion, ready=Verdict("False", Reason.BucketNotFound, revoked))
    return _report(world, conclusion)


def _paused_deletion(world: KeyWorld) -> KeyStep | None:
    """A deletion that a pause holds up keeps no more from another team than the pause alone."""
    if not world.paused or not world.finalizer:
        return None
    return _given_up(world) or _paused(world)


def _given_up(world: KeyWorld) -> KeyStep | None:
    """Our bucket's CR vanished and another team takes the name: the grace is cut.

    Asked before a pause and our own refusals: neither may keep a key on another team's bucket.
    """
    going = given_up(world)
    if not going or world.mass is not Mass.NONE:
        return None
    if world.live is None:
        message = "The bucket's CR is gone and another takes its name; the key will be revoked."
        return AwaitListing(progressing(Reason.BucketNotFound, message))
    for key in world.live:
        if key.id in going:
            return Revoke(key.id, "bucket name given up")
    return None


def _refused(world: KeyWorld) -> KeyStep | None:
    if world.fault is None:
        return None
    if world.in_hand is not None:
        return drop_in_hand(world, world.in_hand)
    return _revocation_due(world) or _report(world, world.fault)


def _revocation_due(world: KeyWorld) -> KeyStep | None:
    """A refusal asks the service for nothing, but keeps no key alive whose time has come."""
    if world.live is None or not world.finalizer:
        return None
    if world.secret is None:
        # What status names and is dead must be known as dead as well: it keeps names from others.
        return ReadSecret() if world.live or named_by_status(world) else None
    return _unheld(world) or _overdue(world)


def _unprotected(world: KeyWorld) -> KeyStep | None:
    return None if world.finalizer else AddFinalizer()


def _unread(world: KeyWorld) -> KeyStep | None:
    return ReadSecret() if world.secret is None else None


def _unjudged(world: KeyWorld) -> KeyStep | None:
    """The held key is too new to be missed: another process may have issued it just now."""
    since = judged_from(world)
    if since is None:
        return None
    message = "Waiting for a key list that can show the key in the Secret."
    return AwaitListing(progressing(Reason.WaitingForListing, message, keep_ready=True), since)


# ---------------------------------------------------------------- a key in hand


def _in_hand(world: KeyWorld) -> KeyStep | None:
    """A fresh key is unwritten: write it where it is still wanted, else revoke it."""
    if world.in_hand is None:
        return None
    if not world.secret_fresh:
        return ReadSecret()
    dying = world.in_hand.key.id in world.revoking
    if _is_taken(world) or world.refused or dying:
        return drop_in_hand(world, world.in_hand)
    if world.live is None:
        message = "Waiting for a settled key list."
        return AwaitListing(progressing(Reason.WaitingForListing, message))
    if world.mass is Mass.USER_CHANGED or _outdated(world) or reissue_reason(world) is None:
        return drop_in_hand(world, world.in_hand)
    return WriteSecret(_retiring_after_issue(world))


def _is_taken(world: KeyWorld) -> bool:
    """Whether nothing can be written to the Secret's name now."""
    secret = world.secret
    return isinstance(secret, SecretForeign) or (isinstance(secret, SecretOurs) and secret.deleting)


def _outdated(world: KeyWorld) -> bool:
    """Whether the spec asks for another scope by now than the key in hand has."""
    fresh, wanted = world.in_hand, world.gate.scope
    return fresh is not None and wanted is not None and fresh.scope != wanted


def _retiring_after_issue(world: KeyWorld) -> tuple[Retiring, ...]:
    """What the Secret lists as retiring beside the key in hand: every other live key."""
    times = dict(revoke_times(world))
    fresh = world.in_hand.key.id if world.in_hand else ""
    end = (world.now + world.grace).replace(microsecond=0)
    others = (key.id for key in world.live or () if key.id != fresh)
    return tuple(Retiring(key_id, min(times.get(key_id, end), end)) for key_id in others)


# ---------------------------------------------------------------- keys that must go


def _unheld(world: KeyWorld) -> KeyStep | None:
    """A marked key that the Secret neither holds nor retires and status does not name."""
    unheld = unheld_keys(world)
    if not unheld or world.mass is not Mass.NONE:
        return None
    return _looking_again(world, Revoke(unheld[0].id, "unheld"))


def _overdue(world: KeyWorld) -> KeyStep | None:
    """A retiring key whose grace has ended."""
    due = [key_id for key_id, when in revoke_times(world) if when <= world.now]
    if not due or world.mass is not Mass.NONE or world.clock_skewed or world.live is None:
        return None
    return _looking_again(world, Revoke(due[0], "retired"))


def _looking_again(world: KeyWorld, revocation: Revoke) -> KeyStep:
    """Revoke only on a Secret read just now: a remembered one may name the key of yesterday."""
    return revocation if world.secret_fresh else ReadSecret()


# ---------------------------------------------------------------- a Secret that is not ours


def _taken(world: KeyWorld) -> KeyStep | None:
    secret = world.secret
    if isinstance(secret, SecretForeign):
        if secret.leftover:
            return _report(world, progressing(Reason.SecretCollected, secret.message), retry=True)
        return _report(world, stalled(Reason.SecretConflict, secret.message))
    if _is_taken(world):
        message = f"Secret {world.secret_name} is being deleted; its successor waits for that."
        return _report(world, progressing(Reason.SecretCollected, message), retry=True)
    return None


# ---------------------------------------------------------------- issuing


def _reissue(world: KeyWorld) -> KeyStep | None:
    """Mint only when every gate is open, asked in the order of their cost."""
    why = reissue_reason(world)
    if why is None:
        return None
    for gate in _GATES:
        if (step := gate(world, why)) is not None:
            return step
    return _mint(world, why)


def _doubtful(world: KeyWorld, why: Why) -> KeyStep | None:
    """Reasons not to replace a key just now, whatever the buckets say."""
    known = world.status.key is not None or bool(unheld_keys(world))
    if world.mass is Mass.USER_CHANGED or (world.mass is Mass.LOSS and known):
        return _report(world, in_doubt(world), retry=True)
    return _waiting_for_the_clock(world) if why is Why.DUE and world.clock_skewed else None


def _waiting_for_the_clock(world: KeyWorld) -> KeyStep:
    message = "The local clock differs from the API server's by over a minute."
    return _report(world, unsynced(Reason.ClockSkew, message), retry=True)


def _closed(world: KeyWorld, _why: Why) -> KeyStep | None:
    gate = world.gate
    if gate.closed is None and gate.scope is not None:
        return None
    closed = gate.closed or Reason.BucketNotReady
    return _report(world, progressing(closed, gate.message, keep_ready=is_usable(world)))


def _unknown(world: KeyWorld, _why: Why) -> KeyStep | None:
    if world.live is not None:
        return None
    message = "Waiting for a settled key list, in case an earlier process issued a key."
    return AwaitListing(progressing(Reason.WaitingForListing, message, keep_ready=is_usable(world)))


def _crowded(world: KeyWorld, why: Why) -> KeyStep | None:
    """Two keys live already: the retiring one goes at once or the mint waits for its grace.

    One that only a list says to be gone, which may be that of another user, counts as alive.
    """
    assert world.gate.scope is not None  # noqa: S101 - the gate was asked before
    times = dict(revoke_times(world))
    hidden = sorted(times.keys() - {key.id for key in world.live or ()})
    if len(world.live or ()) + len(hidden) < MOST_LIVE:
        return None
    if hidden and why in _DAMAGE:
        return _looking_again(world, Revoke(hidden[0], "making room"))
    retiring = retiring_keys(world)
    for key in retiring:
        narrowed = takes_away(world.gate.scope, known_scope(world, key))
        if why in _DAMAGE or narrowed:
            return _looking_again(world, Revoke(key.id, "making room"))
    others = {*hidden, *(key.id for key in retiring)}
    ends = min((times[key_id] for key_id in others if key_id in times), default=None)
    if ends is None or ends <= world.now:
        # Due, and yet not revoked by now: the clock is not to be trusted.
        return _waiting_for_the_clock(world)
    message = f"{why.value.capitalize()}; the replaced key lives until {rfc3339(ends)}."
    waiting = progressing(Reason.GraceRunning, message, keep_ready=is_usable(world))
    return _report(world, waiting, wake=ends)


def _over_budget(world: KeyWorld, why: Why) -> KeyStep | None:
    if world.recorded is not None:
        return None
    ready_at = next_issue_at(world.status.recent_issues, world.limits.mint_budget, world.now)
    if ready_at <= world.now:
        return None
    message = f"{why.value.capitalize()}; the next key may be issued at {rfc3339(ready_at)}."
    waiting = progressing(Reason.MintBudgetExhausted, message, keep_ready=is_usable(world))
    return _report(world, waiting, wake=ready_at)


def _unwritable(world: KeyWorld, _why: Why) -> KeyStep | None:
    """The Secret could not be written: asked of the API server before a key is issued for it."""
    if world.refused:
        message = f"Kubernetes refuses Secret {world.secret_name}: {world.refused}"
        return _report(world, stalled(Reason.SecretWriteRefused, message), retry=True)
    if not world.secret_fresh:
        return ReadSecret()
    return None if world.dry_run_passed else DryRun()


def _unrecorded(world: KeyWorld, why: Why) -> KeyStep | None:
    """Every issue but the first is written down before it is made.

    So a crash loop is counted too, and a key that a crash leaves in the Secret has a scope.
    """
    serial, scope = next_serial(world), world.gate.scope
    assert scope is not None  # noqa: S101 - the gate was asked before
    if world.untouched or world.recorded == (serial, scope):
        return None
    status = status_of(world)
    now = world.now.replace(microsecond=0)
    issue = RecentIssue(serial=serial, issued_at=now, scope=scope.record)
    recent = remember_issue(status.recent_issues, issue)
    status = status.model_copy(update={"recent_issues": recent})
    message = f"{why.value.capitalize()}; a key is being issued."
    conclusion = progressing(Reason.Progressing, message, keep_ready=is_usable(world))
    return RecordIssue(serial, scope, status, conclusion)


_GATES: tuple[Callable[[KeyWorld, Why], KeyStep | None], ...] = (
    _doubtful,
    _closed,
    _unknown,
    _crowded,
    _over_budget,
    _unwritable,
    _unrecorded,
)


def _mint(world: KeyWorld, why: Why) -> KeyStep:
    assert world.gate.scope is not None  # noqa: S101 - the gates were asked before
    return Mint(next_serial(world), world.gate.scope, why)


# ---------------------------------------------------------------- at rest


def _untidy(world: KeyWorld) -> KeyStep | None:
    return TidySecret() if isinstance(world.secret, SecretOurs) and world.secret.untidy else None


def _unclear(world: KeyWorld) -> KeyStep | None:
    """A call of ours got no answer: what it left must be found although the Secret is sound."""
    if world.live is not None or not world.unclear:
        return None
    message = "Waiting for a key list that tells what became of a call without an answer."
    return AwaitListing(progressing(Reason.WaitingForListing, message, keep_ready=True))


_CHECKS: tuple[Callable[[KeyWorld], KeyStep | None], ...] = (
    _given_up,
    _paused,
    _refused,
    _unprotected,
    _unread,
    _unjudged,
    _in_hand,
    _unheld,
    _overdue,
    _taken,
    _reissue,
    _untidy,
    _unclear,
)


def _settled(world: KeyWorld) -> KeyStep:
    status = status_of(world)
    name = status.key.name if status.key else "?"
    held = f"Key {name} is in Secret {world.secret_name}."
    conclusion = conditions.settled(Reason.Issued, held, pinned(world))
    doubt = None
    if world.gate.closed in (Reason.BucketNotFound, Reason.AccountMismatch):
        # The key that is out stays as it is; only a reader of the status must know.
        doubt = unsynced(world.gate.closed, world.gate.message)
    elif world.clock_skewed and (world.interval is not None or revoke_times(world)):
        doubt = unsynced(Reason.ClockSkew, "The local clock is off by over a minute.")
    if doubt is not None:
        conclusion = Conclusion(ready=conclusion.ready, synced=doubt.synced)
    return Report(status, conclusion, wake_time(world))


def _report(
    world: KeyWorld, conclusion: Conclusion, *, wake: datetime | None = None, retry: bool = False
) -> Report:
    moments = [moment for moment in (wake, wake_time(world)) if moment is not None]
    return Report(status_of(world), conclusion, min(moments, default=None), retry)
