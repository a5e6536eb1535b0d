"""What holds back a key that is about to be issued: asked of the very create. Pure."""

from __future__ import annotations

from datetime import timedelta

from amove_operator.core.keys import derived, messages, schedule, steps
from amove_operator.core.keys.revoke import on_fresh_secret
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict
from amove_operator.core.keys.status import await_key_list, finish, status_of
from amove_operator.core.scope import takes_away
from amove_operator.models import RecentIssue

MOST_LIVE = 2
_DAMAGE = (steps.IssueReason.SECRET_MISSING, steps.IssueReason.DATA_EDITED)


def no_mass_loss(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Where a key seems to be gone with many others, or with its user, none is issued for it."""
    known = snapshot.status.key is not None or bool(derived.dangling_keys(snapshot))
    lost = snapshot.loss is LossVerdict.MASS_LOSS and known
    if not lost and snapshot.loss is not LossVerdict.OTHER_USER:
        return None
    return finish(snapshot, messages.loss(snapshot), retry=True)


def clock_right(snapshot: KeySnapshot, why: steps.IssueReason) -> steps.KeyStep | None:
    """By a clock that is wrong no rotation is due."""
    if why is not steps.IssueReason.DUE or not snapshot.clock_skewed:
        return None
    return finish(snapshot, messages.CLOCK_SKEW, retry=True)


def name_kept(snapshot: KeySnapshot, _mint: steps.Mint) -> steps.KeyStep | None:
    """The service made the last key under another name: the next one would go the same way."""
    if not snapshot.renamed:
        return None
    return finish(snapshot, messages.renamed(snapshot))


def keys_known(snapshot: KeySnapshot, _mint: steps.Mint) -> steps.KeyStep | None:
    """A process that crashed after its create may have left a key: a list must rule that out."""
    if snapshot.live is not None:
        return None
    usable, showing = derived.is_usable(snapshot), messages.Showing.EARLIER_KEYS
    return await_key_list(snapshot, messages.await_list(snapshot, showing, keep_ready=usable))


def two_live_keys(snapshot: KeySnapshot, mint: steps.Mint) -> steps.KeyStep | None:
    """With two keys alive the retiring one goes at once, or the new one waits for its grace.

    A rotation at 12:00 leaves key 1 retiring until 13:00. Another one asked for at 12:10 waits
    until then, since pods may still use key 1. If instead the Secret is deleted at 12:10, no pod
    can get a key while we wait; and if the spec takes a bucket away at 12:10, waiting would leave
    access to it open for 50 minutes. In both cases key 1 is revoked and key 3 issued at once.

    A retiring key that only the list lacks counts as alive, and goes first: the list may be
    another user's, and then there would be three.
    """
    times, damaged = derived.revoke_times(snapshot), mint.why in _DAMAGE
    missing = sorted(times.keys() - derived.live_ids(snapshot))
    if len(snapshot.live or ()) + len(missing) < MOST_LIVE:
        return None
    scopes = {key.id: derived.known_scope(snapshot, key) for key in derived.retiring_keys(snapshot)}
    others = [*missing, *scopes]
    too_wide = [key_id for key_id, scope in scopes.items() if takes_away(mint.scope, scope)]
    if room := others if damaged else too_wide:
        return on_fresh_secret(snapshot, steps.Revoke(room[0], steps.RevokeReason.MAKING_ROOM))
    ends = min((when for key_id, when in times.items() if key_id in others), default=None)
    if ends is None or ends <= snapshot.now:
        # Due, and yet not revoked by now: the clock is not to be trusted.
        return finish(snapshot, messages.CLOCK_SKEW, retry=True)
    return finish(snapshot, messages.grace_running(snapshot, mint.why, ends), requeue_at=ends)


def within_budget(snapshot: KeySnapshot, mint: steps.Mint) -> steps.KeyStep | None:
    """A script that deletes the Secret every second gets no key every second."""
    if snapshot.expectations.recorded is not None:
        return None
    recent, budget = derived.counted_issues(snapshot), snapshot.limits.mint_budget
    ready_at = schedule.next_issue_at(recent, budget, snapshot.now)
    if ready_at <= snapshot.now:
        return None
    refused = snapshot.expectations.refused
    others = [one for one in recent if one.serial not in dict(refused)]
    if refused and schedule.next_issue_at(others, budget, snapshot.now) <= snapshot.now:
        return _await_refused(snapshot, refused[-1][1])
    waiting = messages.budget_exhausted(snapshot, mint.why, ready_at)
    return finish(snapshot, waiting, requeue_at=ready_at)


def _await_refused(snapshot: KeySnapshot, refused_at: float) -> steps.KeyStep:
    """Wait for the list that shows whether what was refused made a key: it may give issues back."""
    ago = timedelta(seconds=snapshot.clock - refused_at)
    usable, showing = derived.is_usable(snapshot), messages.Showing.EARLIER_KEYS
    waiting = messages.await_list(snapshot, showing, keep_ready=usable)
    shows_at = snapshot.now - ago + snapshot.limits.listing_lag
    return await_key_list(snapshot, waiting, shows_at + timedelta.resolution)


def secret_writable(snapshot: KeySnapshot, mint: steps.Mint) -> steps.KeyStep | None:
    """The API server is asked whether it would take the Secret before a key is issued for it."""
    if snapshot.refused:
        return finish(snapshot, messages.secret_refused(snapshot, snapshot.refused), retry=True)
    if snapshot.secret is not None and not snapshot.secret_fresh:
        return steps.ReadSecret()
    if snapshot.dry_run_passed:
        return None
    return steps.DryRun(mint.scope, derived.retiring_beside(snapshot))


def list_of_this_pass(snapshot: KeySnapshot, _mint: steps.Mint) -> steps.KeyStep | None:
    """A list that lacks our keys, and may be another user's, is read anew right before the create.

    At 12:00 the token is replaced by another user's, whose list is empty; at 12:05 the right one is
    put back. By the list of 12:00 key 2 is gone, and key 1, which retires, is too: key 3 would be
    issued beside two that live.
    """
    if not snapshot.list_outdated:
        return None
    usable, showing = derived.is_usable(snapshot), messages.Showing.STILL_GONE
    waiting = messages.await_list(snapshot, showing, keep_ready=usable)
    return await_key_list(snapshot, waiting, snapshot.now)


def attempt_recorded(snapshot: KeySnapshot, mint: steps.Mint) -> steps.KeyStep | None:
    """Every issue but the first is written to status before it is made.

    So a crash loop is counted too, and a key that a crash leaves in the Secret has a scope.
    """
    expected = snapshot.expectations
    if expected.is_new or expected.recorded == (mint.serial, mint.scope):
        return None
    status, now = status_of(snapshot), snapshot.now.replace(microsecond=0)
    issue = RecentIssue(serial=mint.serial, issued_at=now, scope=mint.scope.record)
    recent = schedule.remember_issue(status.recent_issues, issue)
    status = status.model_copy(update={"recent_issues": recent})
    conclusion = messages.issuing(snapshot, mint.why)
    return steps.RecordIssue(mint.serial, mint.scope, status, conclusion)
