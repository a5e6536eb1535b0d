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
from amove_operator.core.keys import steps
from amove_operator.core.keys.budget import next_issue_at, remember_issue
from amove_operator.core.keys.deletion import plan_deletion, revoke_pending_key
from amove_operator.core.keys.derived import (
    dangling_keys,
    displaced,
    is_usable,
    judged_from,
    known_scope,
    named_by_status,
    next_serial,
    reissue_reason,
    retiring_keys,
    revoke_times,
    wake_time,
)
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretForeign, SecretOurs
from amove_operator.core.keys.status import await_key_list, loss_conclusion, pinned, status_of
from amove_operator.core.reasons import Reason
from amove_operator.core.scope import takes_away
from amove_operator.core.secrets.record import Retiring, rfc3339
from amove_operator.models.key import KeyStatus, RecentIssue

MOST_LIVE = 2
_DAMAGE = (steps.IssueReason.SECRET_MISSING, steps.IssueReason.DATA_EDITED)


def plan_key(world: KeySnapshot) -> steps.KeyStep:
    """Choose the next step towards the spec."""
    if world.deleting:
        return _paused_deletion(world) or plan_deletion(world)
    for check in _CHECKS:
        if (step := check(world)) is not None:
            return step
    return report_in_sync(world)


# ---------------------------------------------------------------- before anything else


def report_paused(world: KeySnapshot) -> steps.KeyStep | None:
    if not world.paused:
        return None
    untold = {key.id for key in world.live or ()} - named_by_status(world)
    if (world.displaced or untold) and world.secret is None:
        # No call: status must tell what lives and what was revoked, since others wait for it.
        return steps.ReadSecret()
    waits = ", and the deletion waits" if world.deleting else ""
    conclusion = unsynced(Reason.Paused, f"Paused by annotation; nothing is called{waits}.")
    if world.displaced and not is_usable(world):
        revoked = "The key was revoked: its bucket is another team's."
        conclusion = replace(conclusion, ready=Verdict("False", Reason.BucketNotFound, revoked))
    return _report(world, conclusion)


def _paused_deletion(world: KeySnapshot) -> steps.KeyStep | None:
    """A deletion that a pause holds up keeps no more from another team than the pause alone."""
    if not world.paused or not world.finalizer:
        return None
    return revoke_displaced_key(world) or report_paused(world)


def revoke_displaced_key(world: KeySnapshot) -> steps.KeyStep | None:
    """Our bucket's CR vanished and another team takes the name: the grace is cut.

    Asked before a pause and our own refusals: neither may keep a key on another team's bucket.
    """
    going = displaced(world)
    if not going or world.mass is not LossVerdict.NONE:
        return None
    if world.live is None:
        message = "The bucket's CR is gone and another takes its name; the key will be revoked."
        return await_key_list(world, progressing(Reason.BucketNotFound, message))
    for key in world.live:
        if key.id in going:
            return steps.Revoke(key.id, "bucket name given up")
    return None


def report_spec_error(world: KeySnapshot) -> steps.KeyStep | None:
    if world.fault is None:
        return None
    if world.pending_key is not None:
        return revoke_pending_key(world, world.pending_key)
    return _revocation_due(world) or _report(world, world.fault)


def _revocation_due(world: KeySnapshot) -> steps.KeyStep | None:
    """A refusal asks the service for nothing, but keeps no key alive whose time has come."""
    if world.live is None or not world.finalizer:
        return None
    if world.secret is None:
        # What status names and is dead must be known as dead as well: it keeps names from others.
        return steps.ReadSecret() if world.live or named_by_status(world) else None
    return revoke_dangling_key(world) or revoke_expired_key(world)


def add_finalizer(world: KeySnapshot) -> steps.KeyStep | None:
    return None if world.finalizer else steps.AddFinalizer()


def read_secret(world: KeySnapshot) -> steps.KeyStep | None:
    return steps.ReadSecret() if world.secret is None else None


def wait_for_recent_key_to_show(world: KeySnapshot) -> steps.KeyStep | None:
    """The held key is too new to be missed: another process may have issued it just now."""
    since = judged_from(world)
    if since is None:
        return None
    message = "Waiting for a key list that can show the key in the Secret."
    return await_key_list(
        world, progressing(Reason.WaitingForListing, message, keep_ready=True), since
    )


# ---------------------------------------------------------------- a key in hand


def write_or_revoke_pending_key(world: KeySnapshot) -> steps.KeyStep | None:
    """A fresh key is unwritten: write it where it is still wanted, else revoke it."""
    if world.pending_key is None:
        return None
    if not world.secret_fresh:
        return steps.ReadSecret()
    dying = world.pending_key.key.id in world.revoking
    if _is_taken(world) or world.refused or dying:
        return revoke_pending_key(world, world.pending_key)
    if world.live is None:
        message = "Waiting for a settled key list."
        return await_key_list(world, progressing(Reason.WaitingForListing, message))
    if world.mass is LossVerdict.USER_CHANGED or _outdated(world) or reissue_reason(world) is None:
        return revoke_pending_key(world, world.pending_key)
    return steps.WriteSecret(_retiring_after_issue(world))


def _is_taken(world: KeySnapshot) -> bool:
    """Whether nothing can be written to the Secret's name now."""
    secret = world.secret
    return isinstance(secret, SecretForeign) or (isinstance(secret, SecretOurs) and secret.deleting)


def _outdated(world: KeySnapshot) -> bool:
    """Whether the spec asks for another scope by now than the key in hand has."""
    fresh, wanted = world.pending_key, world.gate.scope
    return fresh is not None and wanted is not None and fresh.scope != wanted


def _retiring_after_issue(world: KeySnapshot) -> tuple[Retiring, ...]:
    """What the Secret lists as retiring beside the key in hand: every other live key."""
    times = dict(revoke_times(world))
    fresh = world.pending_key.key.id if world.pending_key else ""
    end = (world.now + world.grace).replace(microsecond=0)
    others = (key.id for key in world.live or () if key.id != fresh)
    return tuple(Retiring(key_id, min(times.get(key_id, end), end)) for key_id in others)


# ---------------------------------------------------------------- keys that must go


def revoke_dangling_key(world: KeySnapshot) -> steps.KeyStep | None:
    """A marked key that the Secret neither holds nor retires and status does not name."""
    unheld = dangling_keys(world)
    if not unheld or world.mass is not LossVerdict.NONE:
        return None
    return _looking_again(world, steps.Revoke(unheld[0].id, "unheld"))


def revoke_expired_key(world: KeySnapshot) -> steps.KeyStep | None:
    """A retiring key whose grace has ended."""
    due = [key_id for key_id, when in revoke_times(world) if when <= world.now]
    if not due or world.mass is not LossVerdict.NONE or world.clock_skewed or world.live is None:
        return None
    return _looking_again(world, steps.Revoke(due[0], "retired"))


def _looking_again(world: KeySnapshot, revocation: steps.Revoke) -> steps.KeyStep:
    """Revoke only on a Secret read just now: a remembered one may name the key of yesterday."""
    return revocation if world.secret_fresh else steps.ReadSecret()


# ---------------------------------------------------------------- a Secret that is not ours


def report_secret_conflict(world: KeySnapshot) -> steps.KeyStep | None:
    secret = world.secret
    if isinstance(secret, SecretForeign):
        if secret.leftover:
            return _report(
                world, progressing(Reason.SecretBeingCollected, secret.message), retry=True
            )
        return _report(world, stalled(Reason.SecretConflict, secret.message))
    if _is_taken(world):
        message = f"Secret {world.secret_name} is being deleted; its successor waits for that."
        return _report(world, progressing(Reason.SecretBeingCollected, message), retry=True)
    return None


# ---------------------------------------------------------------- issuing


def issue_if_needed(world: KeySnapshot) -> steps.KeyStep | None:
    """Mint only when every gate is open, asked in the order of their cost."""
    why = reissue_reason(world)
    if why is None:
        return None
    for gate in _GATES:
        if (step := gate(world, why)) is not None:
            return step
    return _mint(world, why)


def no_mass_loss(world: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Reasons not to replace a key just now, whatever the buckets say."""
    known = world.status.key is not None or bool(dangling_keys(world))
    if world.mass is LossVerdict.USER_CHANGED or (world.mass is LossVerdict.LOSS and known):
        return _report(world, loss_conclusion(world), retry=True)
    return (
        _waiting_for_the_clock(world)
        if why is steps.IssueReason.DUE and world.clock_skewed
        else None
    )


def _waiting_for_the_clock(world: KeySnapshot) -> steps.KeyStep:
    message = "The local clock differs from the API server's by over a minute."
    return _report(world, unsynced(Reason.ClockSkew, message), retry=True)


def buckets_ready(world: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    gate = world.gate
    if gate.closed is None and gate.scope is not None:
        return None
    closed = gate.closed or Reason.BucketNotReady
    return _report(world, progressing(closed, gate.message, keep_ready=is_usable(world)))


def keys_known(world: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    if world.live is not None:
        return None
    message = "Waiting for a settled key list, in case an earlier process issued a key."
    return await_key_list(
        world, progressing(Reason.WaitingForListing, message, keep_ready=is_usable(world))
    )


def two_live_keys(world: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Two keys live already: the retiring one goes at once or the mint waits for its grace.

    One that only a list says to be gone, which may be that of another user, counts as alive.
    """
    assert world.gate.scope is not None  # noqa: S101 - the gate was asked before
    times = dict(revoke_times(world))
    hidden = sorted(times.keys() - {key.id for key in world.live or ()})
    if len(world.live or ()) + len(hidden) < MOST_LIVE:
        return None
    if hidden and why in _DAMAGE:
        return _looking_again(world, steps.Revoke(hidden[0], "making room"))
    retiring = retiring_keys(world)
    for key in retiring:
        narrowed = takes_away(world.gate.scope, known_scope(world, key))
        if why in _DAMAGE or narrowed:
            return _looking_again(world, steps.Revoke(key.id, "making room"))
    others = {*hidden, *(key.id for key in retiring)}
    ends = min((times[key_id] for key_id in others if key_id in times), default=None)
    if ends is None or ends <= world.now:
        # Due, and yet not revoked by now: the clock is not to be trusted.
        return _waiting_for_the_clock(world)
    message = f"{why.value.capitalize()}; the replaced key lives until {rfc3339(ends)}."
    waiting = progressing(Reason.WaitingForGrace, message, keep_ready=is_usable(world))
    return _report(world, waiting, requeue_at=ends)


def within_budget(world: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    if world.recorded is not None:
        return None
    ready_at = next_issue_at(world.status.recent_issues, world.limits.mint_budget, world.now)
    if ready_at <= world.now:
        return None
    message = f"{why.value.capitalize()}; the next key may be issued at {rfc3339(ready_at)}."
    waiting = progressing(Reason.MintBudgetExhausted, message, keep_ready=is_usable(world))
    return _report(world, waiting, requeue_at=ready_at)


def secret_writable(world: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    """The Secret could not be written: asked of the API server before a key is issued for it."""
    if world.refused:
        message = f"Kubernetes refuses Secret {world.secret_name}: {world.refused}"
        return _report(world, stalled(Reason.SecretWriteRefused, message), retry=True)
    if not world.secret_fresh:
        return steps.ReadSecret()
    return None if world.dry_run_passed else steps.DryRun()


def attempt_recorded(world: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Every issue but the first is written down before it is made.

    So a crash loop is counted too, and a key that a crash leaves in the Secret has a scope.
    """
    serial, scope = next_serial(world), world.gate.scope
    assert scope is not None  # noqa: S101 - the gate was asked before
    if world.is_new or world.recorded == (serial, scope):
        return None
    status = status_of(world)
    now = world.now.replace(microsecond=0)
    issue = RecentIssue(serial=serial, issued_at=now, scope=scope.record)
    recent = remember_issue(status.recent_issues, issue)
    status = status.model_copy(update={"recent_issues": recent})
    message = f"{why.value.capitalize()}; a key is being issued."
    conclusion = progressing(Reason.Progressing, message, keep_ready=is_usable(world))
    return steps.RecordIssue(serial, scope, status, conclusion)


_GATES: tuple[Callable[[KeySnapshot, steps.IssueReason], steps.KeyStep | None], ...] = (
    no_mass_loss,
    buckets_ready,
    keys_known,
    two_live_keys,
    within_budget,
    secret_writable,
    attempt_recorded,
)


def _mint(world: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep:
    assert world.gate.scope is not None  # noqa: S101 - the gates were asked before
    return steps.Mint(next_serial(world), world.gate.scope, why)


# ---------------------------------------------------------------- at rest


def repair_secret_metadata(world: KeySnapshot) -> steps.KeyStep | None:
    return (
        steps.RepairSecretMetadata()
        if isinstance(world.secret, SecretOurs) and world.secret.metadata_drifted
        else None
    )


def wait_for_lost_call(world: KeySnapshot) -> steps.KeyStep | None:
    """A call of ours got no answer: what it left must be found although the Secret is sound."""
    if world.live is not None or not world.outcome_unknown:
        return None
    message = "Waiting for a key list that tells what became of a call without an answer."
    return await_key_list(world, progressing(Reason.WaitingForListing, message, keep_ready=True))


_CHECKS: tuple[Callable[[KeySnapshot], steps.KeyStep | None], ...] = (
    revoke_displaced_key,
    report_paused,
    report_spec_error,
    add_finalizer,
    read_secret,
    wait_for_recent_key_to_show,
    write_or_revoke_pending_key,
    revoke_dangling_key,
    revoke_expired_key,
    report_secret_conflict,
    issue_if_needed,
    repair_secret_metadata,
    wait_for_lost_call,
)


def report_in_sync(world: KeySnapshot) -> steps.KeyStep:
    status = status_of(world)
    name = status.key.name if status.key else "?"
    held = f"Key {name} is in Secret {world.secret_name}."
    conclusion = conditions.in_sync(Reason.Issued, held, pinned(world))
    doubt = None
    if world.gate.closed in (Reason.BucketNotFound, Reason.AccountMismatch):
        # The key that is out stays as it is; only a reader of the status must know.
        doubt = unsynced(world.gate.closed, world.gate.message)
    elif world.clock_skewed and (world.interval is not None or revoke_times(world)):
        doubt = unsynced(Reason.ClockSkew, "The local clock is off by over a minute.")
    if doubt is not None:
        conclusion = Conclusion(ready=conclusion.ready, synced=doubt.synced)
    return steps.Finish(status, conclusion, wake_time(world))


def _report(
    world: KeySnapshot,
    conclusion: Conclusion,
    *,
    requeue_at: datetime | None = None,
    retry: bool = False,
) -> steps.Finish[KeyStatus]:
    moments = [moment for moment in (requeue_at, wake_time(world)) if moment is not None]
    return steps.Finish(status_of(world), conclusion, min(moments, default=None), retry)
