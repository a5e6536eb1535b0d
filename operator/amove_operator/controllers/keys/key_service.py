"""Creates and revokes keys at the service, and notes what of it nobody can know yet."""

from __future__ import annotations

import logging

from amove_operator.amove import NewKey
from amove_operator.controllers.keys.reconcile_pass import ReconcilePass
from amove_operator.controllers.keys.unconfirmed import UnconfirmedKeys
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.core.keys import steps
from amove_operator.core.keys.expectations import PendingKey
from amove_operator.core.naming import key_name, marker_of
from amove_operator.core.reasons import EventReason
from amove_operator.errors import ApiError, Rejected
from amove_operator.models import AmoveStorageKey
from amove_operator.telemetry import register_secret

_log = logging.getLogger(__name__)


class KeyService:
    """The service's side of the key reconciler."""

    def __init__(self, dependencies: Dependencies, unconfirmed: UnconfirmedKeys) -> None:
        self._d, self._unconfirmed = dependencies, unconfirmed

    async def create(self, key: AmoveStorageKey, progress: ReconcilePass, step: steps.Mint) -> None:
        """Send ``create_storage_key`` once; an answer that is lost starts the settle time."""
        scope, memory = step.scope, progress.memory
        before = memory.expectations
        readable = key.spec.key_name or f"{key.metadata.namespace}-{key.metadata.name}"
        marker = marker_of(self._d.cluster_uid, key.metadata.uid)
        name = key_name(readable, marker, scope.names9, step.serial)
        new = NewKey(
            name=name,
            region=scope.region,
            storage_dn=scope.storage_dn,
            permission=scope.permission,
            all_buckets=scope.all_buckets,
            selected_buckets=scope.buckets,
            cloud_account_id=self._d.accounts.spelt(scope.account),
        )
        if key.spec.bucket_refs is not None:
            self._d.store.key_index.reserve(key.metadata.uid, scope.buckets)
        memory.expectations = before.sending(step.serial)
        try:
            issued = await self._d.api.create_storage_key(new)
        except BaseException as error:
            now, expectations = self._d.clock(), memory.expectations
            if isinstance(error, Rejected):
                memory.refusals += 1
                memory.expectations = expectations.create_refused(step.serial, now, self._d.settle)
            elif not isinstance(error, ApiError) or error.maybe_done:
                # Cancelled, or the Lease was lost on the way: nobody can know, as after a time-out.
                memory.expectations = expectations.lost(now, self._d.settle)
            else:
                memory.expectations = memory.expectations.not_sent(before)
            raise
        register_secret(issued.secret_key.get_secret_value())
        rotate_request = key.metadata.annotation("rotate-requested-at") or ""
        renamed = issued.name not in (None, name)
        pending = PendingKey(issued.named(name), issued.secret_key, scope, rotate_request, renamed)
        memory.refusals = 0
        memory.renamed = _renamed(name, issued.name) if renamed else ""
        await self._received(key, progress, pending)

    async def _received(
        self, key: AmoveStorageKey, progress: ReconcilePass, pending: PendingKey
    ) -> None:
        memory, remote, recorded = progress.memory, pending.key, key.proven.key
        memory.expectations = memory.expectations.received(pending, self._d.clock())
        self._d.key_lists.issued(remote)
        self._d.metrics.keys_minted.inc()
        _log.info("issued key %s (id %s)", remote.name, remote.id)
        known_user = recorded.user_id if recorded is not None else None
        changed = known_user is not None and remote.user_id not in (None, known_user)
        uid, accept_loss = key.metadata.uid, key.metadata.annotation("accept-loss")
        if changed and self._d.key_losses.accepted(uid, accept_loss):
            await self._unconfirmed.report_former_users(key)
        elif changed:
            self._d.key_losses.other_user(uid, accept_loss)
            memory.expectations = memory.expectations.other_user(self._d.clock())

    async def revoke(
        self, key: AmoveStorageKey, progress: ReconcilePass, step: steps.Revoke
    ) -> None:
        """Send ``delete_storage_key``; only a 200 counts as done. Raises ApiError."""
        key_id, why, memory = step.key_id, step.why, progress.memory
        try:
            await self._d.api.delete_storage_key(_spelt_at_first(key, memory, key_id))
        except ApiError as error:
            if not (error.maybe_done or isinstance(error, Rejected)):
                raise
            memory.expectations = memory.expectations.revoke_failed(key_id, self._d.clock())
            if key_id in memory.refused_revokes or not isinstance(error, Rejected):
                raise
            # The id may be gone already: only a complete list can show that. One, then back-off.
            memory.refused_revokes |= {key_id}
            return
        memory.expectations = memory.expectations.revoke_confirmed(key_id, self._d.clock())
        # Before the list forgets the key: whose name its mark keeps is read from there.
        self._d.enqueue.waiting(self._d.names.wanted_and_kept_by([key_id]))
        self._d.key_lists.revoked(key_id)
        self._d.metrics.keys_revoked.labels(why.label).inc()
        revoked = f"Revoked key {key_id}: {why}."
        _log.info("revoked key %s: %s", key_id, why)
        await self._d.status.emit_event(key, EventReason.KeyRevoked, revoked)


def _renamed(asked: str, given: str | None) -> str:
    """What to tell of a key that came back under another name, by which no crash would find it."""
    return (
        f"The service made the key {given} of what was asked for as {asked}, and it was revoked: "
        "set a shorter or plainer spec.keyName."
    )


def _spelt_at_first(key: AmoveStorageKey, memory: KeyMemory, key_id: str) -> str:
    """The id as status or this process first had it: a list may spell it in other letters."""
    known = (*key.proven.named_ids, *(one for one, _ in memory.expectations.scopes))
    return next((one for one in known if one == key_id), key_id)
