"""The end of an AmoveStorageKey: revoke, delete the Secret, let go; or keep both. Pure."""

from __future__ import annotations

from amove_operator.core.conditions import deleting, deletion_begun
from amove_operator.core.keys import derived, messages, steps
from amove_operator.core.keys.revoke import revoke_pending_key
from amove_operator.core.keys.snapshot import KeySnapshot, LossVerdict
from amove_operator.core.keys.status import await_key_list, status_of


def plan_deletion(snapshot: KeySnapshot) -> steps.KeyStep:
    """Revoke what is live, delete our Secret, then let go; or keep both under ``Retain``."""
    if not snapshot.finalizer and not _abandoned(snapshot):
        return steps.Finish(snapshot.status, messages.NOT_OURS_ANY_MORE)
    if snapshot.secret is None or (_wants_retention(snapshot) and not snapshot.secret_fresh):
        return steps.ReadSecret()
    if (pending := snapshot.expectations.pending_key) is not None:
        return revoke_pending_key(snapshot, pending)
    if snapshot.live is None and not _never_issued(snapshot):
        return await_key_list(snapshot, messages.await_list(snapshot, messages.Showing.ALL_KEYS))
    kept = _kept(snapshot)
    if (revocation := _next_revocation(snapshot, kept)) is not None:
        return revocation
    ours = snapshot.our_secret
    if ours is None or ours.deleting:
        return steps.RemoveFinalizer()
    if kept is None:
        return steps.DeleteSecret(ours.uid) if snapshot.secret_fresh else steps.ReadSecret()
    # The Secret must not go with its CR: without an owner it stays.
    return steps.RepairSecretMetadata(ours) if ours.metadata_drifted else steps.RemoveFinalizer()


def _never_issued(snapshot: KeySnapshot) -> bool:
    """Whether no process can have issued a key: then no list needs to be waited for."""
    return snapshot.expectations.is_new and snapshot.status.key is None


def _abandoned(snapshot: KeySnapshot) -> bool:
    """Whether somebody else took our finalizer off before the keys were revoked.

    An admin can, and so can a GitOps controller with his rights that applies what a tenant wrote;
    another finalizer then keeps the object, and its key would live as long. Not under Retain:
    there we take the finalizer off ourselves while the key lives.
    """
    return snapshot.spec.deletion_policy == "Delete" and not snapshot.paused and bool(snapshot.live)


def _wants_retention(snapshot: KeySnapshot) -> bool:
    """Whether the policy asks to keep the key and may: only trusted namespaces can."""
    return snapshot.spec.deletion_policy == "Retain" and snapshot.trusted


def _kept(snapshot: KeySnapshot) -> str | None:
    """The id of the key that stays, if its Secret can stay too."""
    if not _wants_retention(snapshot) or snapshot.namespace_terminating:
        return None
    secret, held = snapshot.sound_secret, derived.held_key(snapshot)
    return held.id if secret is not None and not secret.deleting and held is not None else None


def _next_revocation(snapshot: KeySnapshot, kept: str | None) -> steps.KeyStep | None:
    """Every live key first; then each id of ours that nothing proves gone.

    A list that lacks an id may be another user's, so the service is asked to revoke it as well.
    """
    alive = [key.id for key in snapshot.live or ()]
    unproven = snapshot.status.named_ids - snapshot.gone.confirmed
    missing = sorted((unproven | snapshot.gone.presumed) - set(alive))
    for key_id in (*alive, *missing):
        if key_id != kept:
            if key_id in missing and snapshot.loss is not LossVerdict.NONE:
                return steps.Finish(status_of(snapshot), messages.loss(snapshot), retry=True)
            return _revoke(snapshot, key_id)
    return None


def _revoke(snapshot: KeySnapshot, key_id: str) -> steps.KeyStep:
    """The key on record is revoked only after status says so.

    Else a crash would leave a CR whose key is missing for no known reason, and twenty such CRs in
    a namespace that is deleted would look like a mass loss.
    """
    current = snapshot.status.key
    if current is None or current.id != key_id or deletion_begun(snapshot.status.conditions):
        return steps.Revoke(key_id, steps.RevokeReason.DELETED)
    return steps.WriteStatus(status_of(snapshot), deleting("The key is being revoked."))
