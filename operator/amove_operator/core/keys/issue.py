"""Issuing a key: the gates before its create, and what becomes of it before it is written. Pure."""

from __future__ import annotations

from collections.abc import Callable

from amove_operator.core.keys import gates, messages, steps
from amove_operator.core.keys.derived import next_serial, reissue_reason, retiring_beside
from amove_operator.core.keys.revoke import revoke_pending_key
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict, SecretForeign
from amove_operator.core.keys.status import await_key_list, finish
from amove_operator.core.scope import Scope

# Asked of a create in this order, after no_mass_loss, clock_right and the buckets; the first that
# is closed says what is done instead.
GATES: tuple[Callable[[KeySnapshot, steps.Mint], steps.KeyStep | None], ...] = (
    gates.name_kept,  # until the object changes: the service renames, or cuts, what we ask for
    gates.keys_known,  # or a key that a crash left would become the second of three
    gates.two_live_keys,  # never a third: the retiring key goes, or its grace is waited for
    gates.within_budget,  # a few at once, then slower and slower
    gates.secret_writable,  # by a fresh read and a dry run
    gates.list_of_this_pass,  # the one that lacks our keys may have been another user's
    gates.attempt_recorded,  # in status, with serial and scope
)


def issue_if_needed(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Create a key where the Secret needs another than it holds and every gate is open."""
    why = reissue_reason(snapshot)
    if why is None:
        return None
    waiting = gates.no_mass_loss(snapshot) or gates.clock_right(snapshot, why)
    if waiting is not None:
        return waiting
    if not isinstance(snapshot.gate, Scope):
        return finish(snapshot, messages.blocked(snapshot))
    mint = steps.Mint(next_serial(snapshot), snapshot.gate, why)
    return next((step for gate in GATES if (step := gate(snapshot, mint)) is not None), mint)


def write_or_revoke_pending_key(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A key was issued that no Secret holds yet: write it where it is still wanted, else revoke it.

    Meanwhile the spec may have moved on, or a stranger's Secret may have taken the name.
    """
    pending = snapshot.expectations.pending_key
    if pending is None:
        return None
    if not snapshot.secret_fresh:
        return steps.ReadSecret()
    ours = snapshot.our_secret
    taken = isinstance(snapshot.secret, SecretForeign) or (ours is not None and ours.deleting)
    dying = pending.key.id in snapshot.expectations.failed_revokes
    if taken or snapshot.refused or dying or pending.renamed:
        return revoke_pending_key(snapshot, pending)
    if snapshot.live is None:
        showing = messages.Showing.STILL_NEEDED
        return await_key_list(snapshot, messages.await_list(snapshot, showing, keep_ready=False))
    outdated = snapshot.wanted_scope not in (None, pending.scope)
    other_user = snapshot.loss is LossVerdict.OTHER_USER
    if other_user or outdated or reissue_reason(snapshot) is None:
        return revoke_pending_key(snapshot, pending)
    return steps.WriteSecret(pending, retiring_beside(snapshot, pending.key.id))
