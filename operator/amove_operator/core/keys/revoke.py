"""Which keys must be revoked: displaced, dangling, expired, pending. Pure."""

from __future__ import annotations

from amove_operator.core.keys import messages, steps
from amove_operator.core.keys.derived import (
    dangling_keys,
    displaced_keys,
    live_key,
    revoke_times,
)
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict
from amove_operator.core.keys.status import await_key_list


def revoke_displaced_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Our bucket's CR vanished and another team takes the name: the grace is cut.

    Asked before a pause and before our own refusals: else a tenant who deletes his AmoveBucket and
    pauses the key, or makes its spec wrong, would keep a key to another team's bucket.
    """
    going = displaced_keys(snapshot)
    if not going or snapshot.loss is not LossVerdict.NONE:
        return None
    if snapshot.live is None:
        return await_key_list(snapshot, messages.DISPLACED)
    live = (key.id for key in snapshot.live if key.id in going)
    return next((steps.Revoke(key_id, steps.RevokeReason.NAME_RELEASED) for key_id in live), None)


def revoke_resurfaced_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Status says that the key reaches nothing, and a list shows that it lives.

    Its names are free since, so another team may have a bucket that it reaches: it goes at once,
    whether or not pods use it and whatever a pause or our refusals say.
    """
    named = snapshot.status.key
    if named is None or not named.dead or live_key(snapshot, named.id) is None:
        return None
    return steps.Revoke(named.id, steps.RevokeReason.SHOWN_AGAIN)


def revoke_dangling_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A crash after the create left a key that nobody names: its secret is lost, nobody uses it."""
    dangling = dangling_keys(snapshot)
    if not dangling or snapshot.loss is not LossVerdict.NONE:
        return None
    return on_fresh_secret(snapshot, steps.Revoke(dangling[0].id, steps.RevokeReason.NOT_HELD))


def revoke_expired_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A retiring key whose grace has ended."""
    if snapshot.live is None or snapshot.clock_skewed or snapshot.loss is not LossVerdict.NONE:
        return None
    due = (key_id for key_id, when in revoke_times(snapshot).items() if when <= snapshot.now)
    expired = next(due, None)
    return (
        on_fresh_secret(snapshot, steps.Revoke(expired, steps.RevokeReason.RETIRED))
        if expired
        else None
    )


def revoke_in_spite_of_fault(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A spec that we refuse asks the service for nothing, but keeps no key whose time has come."""
    if snapshot.live is None or not snapshot.finalizer:
        return None
    if snapshot.secret is None:
        # Read the Secret even for dead keys: until it was read status is not written anew, and
        # while status still names a dead key, its bucket names stay reserved.
        return steps.ReadSecret() if snapshot.live or snapshot.status.named_ids else None
    return revoke_dangling_key(snapshot) or revoke_expired_key(snapshot)


def revoke_pending_key(snapshot: KeySnapshot, pending: PendingKey) -> steps.KeyStep:
    """Revoke a key that is not wanted any more, unless the Secret holds it after all.

    The write of the Secret may have been done though its answer was lost: the fresh read shows it.
    """
    if not snapshot.secret_fresh:
        return steps.ReadSecret()
    if snapshot.live is None and snapshot.expectations.outcome_unknown:
        return await_key_list(snapshot, messages.await_revocation(snapshot, pending.key.id))
    return steps.Revoke(pending.key.id, steps.RevokeReason.UNWRITTEN)


def on_fresh_secret(snapshot: KeySnapshot, revocation: steps.Revoke) -> steps.KeyStep:
    """Revoke only on a Secret read just now.

    A remembered one may be yesterday's: a person put back the Secret of key 1 from a backup, and
    key 1, which seemed to be retired, is the one that pods use.
    """
    return revocation if snapshot.secret_fresh else steps.ReadSecret()
