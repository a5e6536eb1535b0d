"""The checks of a key that neither issue nor revoke: what is reported, read or waited for. Pure."""

from __future__ import annotations

from amove_operator.core.keys import derived, messages, steps
from amove_operator.core.keys.revoke import revoke_in_spite_of_fault, revoke_pending_key
from amove_operator.core.keys.snapshot import Blocked, KeySnapshot, SecretForeign
from amove_operator.core.keys.status import await_key_list, finish, status_of

NEW_BUCKET_SECONDS = 30.0
"""So long a new key says nothing of a bucket that is being made."""


def report_paused(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A pause stops all calls; what lives and what was revoked must still be in status.

    Another team may wait for a bucket's name until status says that no key reaches it.
    """
    if not snapshot.paused:
        return None
    unnamed = derived.live_ids(snapshot) - snapshot.status.named_ids
    if (snapshot.displaced.keys or unnamed) and snapshot.secret is None:
        return steps.ReadSecret()
    return finish(snapshot, messages.paused(snapshot))


def report_spec_error(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A spec that we refuse; the keys whose time has come are revoked all the same."""
    if snapshot.fault is None:
        return None
    if (pending := snapshot.expectations.pending_key) is not None:
        return revoke_pending_key(snapshot, pending)
    return revoke_in_spite_of_fault(snapshot) or finish(snapshot, snapshot.fault)


def await_new_bucket(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Beside a bucket that is made just now: ready in a moment, so that to tell costs a write.

    A thousand of them that are declared at once would cost a thousand.
    """
    blocked, tell_at = snapshot.gate, snapshot.first_seen + NEW_BUCKET_SECONDS
    begun = snapshot.finalizer or snapshot.status.named_ids
    if begun or not isinstance(blocked, Blocked) or not blocked.passing:
        return None
    return steps.ComeAgain(tell_at) if snapshot.clock < tell_at else None


def add_finalizer(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Without it, an object deleted during the create would leave a live key behind."""
    return None if snapshot.finalizer else steps.AddFinalizer()


def read_secret(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """The Secret says which key is in use: without it a key in use would count as dangling.

    Of a new object the dry run shows whether there is one.
    """
    unknown = snapshot.secret is None and not snapshot.expectations.is_new
    return steps.ReadSecret() if unknown else None


def wait_for_recent_key_to_show(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """The held key is too new to be missed: another process may have issued it just now."""
    since = derived.recent_key_shows_at(snapshot)
    if since is None:
        return None
    waiting = messages.await_list(snapshot, messages.Showing.RECENT_KEY)
    return await_key_list(snapshot, waiting, since)


def report_secret_conflict(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Nothing can be written to the Secret's name: a stranger has it, or ours is going."""
    secret = snapshot.secret
    if isinstance(secret, SecretForeign) and snapshot.refused:  # admission made it so
        return finish(snapshot, messages.secret_refused(snapshot, snapshot.refused), retry=True)
    if isinstance(secret, SecretForeign):
        return finish(snapshot, messages.secret_foreign(secret), retry=secret.leftover)
    if (ours := snapshot.our_secret) is not None and ours.deleting:
        return finish(snapshot, messages.secret_going(snapshot), retry=True)
    return None


def repair_secret_metadata(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """Labels, annotations or owner of our Secret were edited: repaired without another key."""
    secret = snapshot.our_secret
    if secret is None or not secret.metadata_drifted:
        return None
    return steps.RepairSecretMetadata(secret) if snapshot.secret_fresh else steps.ReadSecret()


def wait_for_lost_call(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A call of ours got no answer: what it left must be found although the Secret is sound."""
    if snapshot.live is not None or not snapshot.expectations.outcome_unknown:
        return None
    return await_key_list(snapshot, messages.await_list(snapshot, messages.Showing.LOST_CALL))


def wait_for_accepted_loss(snapshot: KeySnapshot) -> steps.KeyStep | None:
    """A person accepts that the key is gone: a list begun since shows whether it still is.

    Else the object would say that all is well, with a key that is gone, until the next sweep.
    """
    if snapshot.live is not None or not snapshot.loss_accepted:
        return None
    return await_key_list(snapshot, messages.await_list(snapshot, messages.Showing.STILL_GONE))


def report_in_sync(snapshot: KeySnapshot) -> steps.KeyStep:
    """Nothing is left to do until the clock or somebody changes something."""
    key = status_of(snapshot).key
    return finish(snapshot, messages.in_sync(snapshot, key.name if key is not None else "?"))
