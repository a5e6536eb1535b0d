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
from amove_operator.models import KeyStatus, RecentIssue

MOST_LIVE = 2
_DAMAGE = (steps.IssueReason.SECRET_MISSING, steps.IssueReason.DATA_EDITED)


def plan_key(snapshot: KeySnapshot) -> steps.KeyStep:
    """Choose the next step towards the spec."""
    if snapshot.deleting:
        return _paused_deletion(snapshot) or plan_deletion(snapshot)
    for check in _CHECKS:
        if (step := check(snapshot)) is not None:
            return step
    return report_in_sync(snapshot)


# ---------------------------------------------------------------- before anything else


def report_paused(snapshot: KeySnapshot) -> steps.KeyStep | None:
    if not snapshot.paused:
        return None
    untold = {key.id for key in snapshot.live or ()} - named_by_status(snapshot)
    if (snapshot.displaced or untold) and snapshot.secret is None:
        # No call: status must tell what lives and what was revoked, since others wait for it.
        return steps.ReadSecret()
    waits = ", and the deletion waits" if snapshot.deleting else ""
    conclusion = unsynced(Reason.Paused, f"Paused by annotation; nothing is called{waits}.")
    if snapshot.displaced and not is_usable(snapshot):
        revoked = "The key was revoked: its bucket is another team's."
        conclusion = replace(conclusion, ready=Verdict("False", Reason.BucketNotFound, revoked))
    return _report(snapshot, conclusion)


def _paused_deletion(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A deletion that a pause holds up keeps no more from another team than the pause alone."""
    if not snapshot.paused or not snapshot.finalizer:
        return None
    return revoke_displaced_key(snapshot) or report_paused(snapshot)


def revoke_displaced_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Our bucket's CR vanished and another team takes the name: the grace is cut.

    Asked before a pause and our own refusals: neither may keep a key on another team's bucket.
    """
    going = displaced(snapshot)
    if not going or snapshot.mass is not LossVerdict.NONE:
        return None
    if snapshot.live is None:
        message = "The bucket's CR is gone and another takes its name; the key will be revoked."
        return await_key_list(snapshot, progressing(Reason.BucketNotFound, message))
    for key in snapshot.live:
        if key.id in going:
            return steps.Revoke(key.id, "bucket name given up")
    return None


def report_spec_error(snapshot: KeySnapshot) -> steps.KeyStep | None:
    if snapshot.fault is None:
        return None
    if snapshot.pending_key is not None:
        return revoke_pending_key(snapshot, snapshot.pending_key)
    return _revocation_due(snapshot) or _report(snapshot, snapshot.fault)


def _revocation_due(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A refusal asks the service for nothing, but keeps no key alive whose time has come."""
    if snapshot.live is None or not snapshot.finalizer:
        return None
    if snapshot.secret is None:
        # What status names and is dead must be known as dead as well: it keeps names from others.
        return steps.ReadSecret() if snapshot.live or named_by_status(snapshot) else None
    return revoke_dangling_key(snapshot) or revoke_expired_key(snapshot)


def add_finalizer(snapshot: KeySnapshot) -> steps.KeyStep | None:
    return None if snapshot.finalizer else steps.AddFinalizer()


def read_secret(snapshot: KeySnapshot) -> steps.KeyStep | None:
    return steps.ReadSecret() if snapshot.secret is None else None


def wait_for_recent_key_to_show(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """The held key is too new to be missed: another process may have issued it just now."""
    since = judged_from(snapshot)
    if since is None:
        return None
    message = "Waiting for a key list that can show the key in the Secret."
    return await_key_list(
        snapshot, progressing(Reason.WaitingForListing, message, keep_ready=True), since
    )


# ---------------------------------------------------------------- a key in hand


def write_or_revoke_pending_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A fresh key is unwritten: write it where it is still wanted, else revoke it."""
    if snapshot.pending_key is None:
        return None
    if not snapshot.secret_fresh:
        return steps.ReadSecret()
    dying = snapshot.pending_key.key.id in snapshot.revoking
    if _is_taken(snapshot) or snapshot.refused or dying:
        return revoke_pending_key(snapshot, snapshot.pending_key)
    if snapshot.live is None:
        message = "Waiting for a settled key list."
        return await_key_list(snapshot, progressing(Reason.WaitingForListing, message))
    if (
        snapshot.mass is LossVerdict.USER_CHANGED
        or _outdated(snapshot)
        or reissue_reason(snapshot) is None
    ):
        return revoke_pending_key(snapshot, snapshot.pending_key)
    return steps.WriteSecret(_retiring_after_issue(snapshot))


def _is_taken(snapshot: KeySnapshot) -> bool:
    """Whether nothing can be written to the Secret's name now."""
    secret = snapshot.secret
    return isinstance(secret, SecretForeign) or (isinstance(secret, SecretOurs) and secret.deleting)


def _outdated(snapshot: KeySnapshot) -> bool:
    """Whether the spec asks for another scope by now than the key in hand has."""
    fresh, wanted = snapshot.pending_key, snapshot.gate.scope
    return fresh is not None and wanted is not None and fresh.scope != wanted


def _retiring_after_issue(snapshot: KeySnapshot) -> tuple[Retiring, ...]:
    """What the Secret lists as retiring beside the key in hand: every other live key."""
    times = dict(revoke_times(snapshot))
    fresh = snapshot.pending_key.key.id if snapshot.pending_key else ""
    end = (snapshot.now + snapshot.grace).replace(microsecond=0)
    others = (key.id for key in snapshot.live or () if key.id != fresh)
    return tuple(Retiring(key_id, min(times.get(key_id, end), end)) for key_id in others)


# ---------------------------------------------------------------- keys that must go


def revoke_dangling_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A marked key that the Secret neither holds nor retires and status does not name."""
    unheld = dangling_keys(snapshot)
    if not unheld or snapshot.mass is not LossVerdict.NONE:
        return None
    return _looking_again(snapshot, steps.Revoke(unheld[0].id, "unheld"))


def revoke_expired_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A retiring key whose grace has ended."""
    due = [key_id for key_id, when in revoke_times(snapshot) if when <= snapshot.now]
    if (
        not due
        or snapshot.mass is not LossVerdict.NONE
        or snapshot.clock_skewed
        or snapshot.live is None
    ):
        return None
    return _looking_again(snapshot, steps.Revoke(due[0], "retired"))


def _looking_again(snapshot: KeySnapshot, revocation: steps.Revoke) -> steps.KeyStep:
    """Revoke only on a Secret read just now: a remembered one may name the key of yesterday."""
    return revocation if snapshot.secret_fresh else steps.ReadSecret()


# ---------------------------------------------------------------- a Secret that is not ours


def report_secret_conflict(snapshot: KeySnapshot) -> steps.KeyStep | None:
    secret = snapshot.secret
    if isinstance(secret, SecretForeign):
        if secret.leftover:
            return _report(
                snapshot, progressing(Reason.SecretBeingCollected, secret.message), retry=True
            )
        return _report(snapshot, stalled(Reason.SecretConflict, secret.message))
    if _is_taken(snapshot):
        message = f"Secret {snapshot.secret_name} is being deleted; its successor waits for that."
        return _report(snapshot, progressing(Reason.SecretBeingCollected, message), retry=True)
    return None


# ---------------------------------------------------------------- issuing


def issue_if_needed(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Mint only when every gate is open, asked in the order of their cost."""
    why = reissue_reason(snapshot)
    if why is None:
        return None
    for gate in _GATES:
        if (step := gate(snapshot, why)) is not None:
            return step
    return _mint(snapshot, why)


def no_mass_loss(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Reasons not to replace a key just now, whatever the buckets say."""
    known = snapshot.status.key is not None or bool(dangling_keys(snapshot))
    if snapshot.mass is LossVerdict.USER_CHANGED or (snapshot.mass is LossVerdict.LOSS and known):
        return _report(snapshot, loss_conclusion(snapshot), retry=True)
    return (
        _waiting_for_the_clock(snapshot)
        if why is steps.IssueReason.DUE and snapshot.clock_skewed
        else None
    )


def _waiting_for_the_clock(snapshot: KeySnapshot) -> steps.KeyStep:
    message = "The local clock differs from the API server's by over a minute."
    return _report(snapshot, unsynced(Reason.ClockSkew, message), retry=True)


def buckets_ready(snapshot: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    gate = snapshot.gate
    if gate.closed is None and gate.scope is not None:
        return None
    closed = gate.closed or Reason.BucketNotReady
    return _report(snapshot, progressing(closed, gate.message, keep_ready=is_usable(snapshot)))


def keys_known(snapshot: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    if snapshot.live is not None:
        return None
    message = "Waiting for a settled key list, in case an earlier process issued a key."
    return await_key_list(
        snapshot, progressing(Reason.WaitingForListing, message, keep_ready=is_usable(snapshot))
    )


def two_live_keys(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Two keys live already: the retiring one goes at once or the mint waits for its grace.

    One that only a list says to be gone, which may be that of another user, counts as alive.
    """
    assert snapshot.gate.scope is not None  # noqa: S101 - the gate was asked before
    times = dict(revoke_times(snapshot))
    hidden = sorted(times.keys() - {key.id for key in snapshot.live or ()})
    if len(snapshot.live or ()) + len(hidden) < MOST_LIVE:
        return None
    if hidden and why in _DAMAGE:
        return _looking_again(snapshot, steps.Revoke(hidden[0], "making room"))
    retiring = retiring_keys(snapshot)
    for key in retiring:
        narrowed = takes_away(snapshot.gate.scope, known_scope(snapshot, key))
        if why in _DAMAGE or narrowed:
            return _looking_again(snapshot, steps.Revoke(key.id, "making room"))
    others = {*hidden, *(key.id for key in retiring)}
    ends = min((times[key_id] for key_id in others if key_id in times), default=None)
    if ends is None or ends <= snapshot.now:
        # Due, and yet not revoked by now: the clock is not to be trusted.
        return _waiting_for_the_clock(snapshot)
    message = f"{why.value.capitalize()}; the replaced key lives until {rfc3339(ends)}."
    waiting = progressing(Reason.WaitingForGrace, message, keep_ready=is_usable(snapshot))
    return _report(snapshot, waiting, requeue_at=ends)


def within_budget(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    if snapshot.recorded is not None:
        return None
    ready_at = next_issue_at(
        snapshot.status.recent_issues, snapshot.limits.mint_budget, snapshot.now
    )
    if ready_at <= snapshot.now:
        return None
    message = f"{why.value.capitalize()}; the next key may be issued at {rfc3339(ready_at)}."
    waiting = progressing(Reason.MintBudgetExhausted, message, keep_ready=is_usable(snapshot))
    return _report(snapshot, waiting, requeue_at=ready_at)


def secret_writable(snapshot: KeySnapshot, _why: steps.IssueReason) -> steps.KeyStep | None:
    """The Secret could not be written: asked of the API server before a key is issued for it."""
    if snapshot.refused:
        message = f"Kubernetes refuses Secret {snapshot.secret_name}: {snapshot.refused}"
        return _report(snapshot, stalled(Reason.SecretWriteRefused, message), retry=True)
    if not snapshot.secret_fresh:
        return steps.ReadSecret()
    return None if snapshot.dry_run_passed else steps.DryRun()


def attempt_recorded(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """Every issue but the first is written down before it is made.

    So a crash loop is counted too, and a key that a crash leaves in the Secret has a scope.
    """
    serial, scope = next_serial(snapshot), snapshot.gate.scope
    assert scope is not None  # noqa: S101 - the gate was asked before
    if snapshot.is_new or snapshot.recorded == (serial, scope):
        return None
    status = status_of(snapshot)
    now = snapshot.now.replace(microsecond=0)
    issue = RecentIssue(serial=serial, issued_at=now, scope=scope.record)
    recent = remember_issue(status.recent_issues, issue)
    status = status.model_copy(update={"recent_issues": recent})
    message = f"{why.value.capitalize()}; a key is being issued."
    conclusion = progressing(Reason.Progressing, message, keep_ready=is_usable(snapshot))
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


def _mint(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep:
    assert snapshot.gate.scope is not None  # noqa: S101 - the gates were asked before
    return steps.Mint(next_serial(snapshot), snapshot.gate.scope, why)


# ---------------------------------------------------------------- at rest


def repair_secret_metadata(snapshot: KeySnapshot) -> steps.KeyStep | None:
    return (
        steps.RepairSecretMetadata()
        if isinstance(snapshot.secret, SecretOurs) and snapshot.secret.metadata_drifted
        else None
    )


def wait_for_lost_call(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A call of ours got no answer: what it left must be found although the Secret is sound."""
    if snapshot.live is not None or not snapshot.outcome_unknown:
        return None
    message = "Waiting for a key list that tells what became of a call without an answer."
    return await_key_list(snapshot, progressing(Reason.WaitingForListing, message, keep_ready=True))


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


def report_in_sync(snapshot: KeySnapshot) -> steps.KeyStep:
    status = status_of(snapshot)
    name = status.key.name if status.key else "?"
    held = f"Key {name} is in Secret {snapshot.secret_name}."
    conclusion = conditions.in_sync(Reason.Issued, held, pinned(snapshot))
    doubt = None
    if snapshot.gate.closed in (Reason.BucketNotFound, Reason.AccountMismatch):
        # The key that is out stays as it is; only a reader of the status must know.
        doubt = unsynced(snapshot.gate.closed, snapshot.gate.message)
    elif snapshot.clock_skewed and (snapshot.interval is not None or revoke_times(snapshot)):
        doubt = unsynced(Reason.ClockSkew, "The local clock is off by over a minute.")
    if doubt is not None:
        conclusion = Conclusion(ready=conclusion.ready, synced=doubt.synced)
    return steps.Finish(status, conclusion, wake_time(snapshot))


def _report(
    snapshot: KeySnapshot,
    conclusion: Conclusion,
    *,
    requeue_at: datetime | None = None,
    retry: bool = False,
) -> steps.Finish[KeyStatus]:
    moments = [moment for moment in (requeue_at, wake_time(snapshot)) if moment is not None]
    return steps.Finish(status_of(snapshot), conclusion, min(moments, default=None), retry)
