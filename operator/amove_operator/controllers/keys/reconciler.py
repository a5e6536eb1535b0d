"""The key reconciler: ask the planner, perform its step, look again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from amove_operator.amove import IssuedKey, NewKey
from amove_operator.controllers.keys.gather import Look, confirmed_gone, gather_key, marker
from amove_operator.controllers.keys.secret_writer import KeySecret
from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.enqueue import wake_buckets_of, wake_waiting
from amove_operator.controllers.shared.loss_guard import loss_accepted
from amove_operator.controllers.shared.memory import KeyMemory
from amove_operator.controllers.shared.status_writer import explain, record_status, write_status
from amove_operator.controllers.shared.store import Ghost, Item, fingerprint, own_key_status
from amove_operator.core.conditions import Verdict, unsynced
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys import steps
from amove_operator.core.keys.derived import is_usable, named_ids
from amove_operator.core.keys.expectations import Expectations, PendingKey
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import KeySnapshot, SecretOurs
from amove_operator.core.keys.status import status_of
from amove_operator.core.naming import key_name, may_reach
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secrets.rendering import TemplateFault
from amove_operator.engine.keyed_lock import KeyedLock
from amove_operator.errors import ApiError, Conflict, KubeRefused, Rejected
from amove_operator.models import AmoveStorageKey, KeyStatus
from amove_operator.telemetry import register_secret

_log = logging.getLogger(__name__)
_MOST_STEPS = 40


class KeyReconciler:
    """Brings one AmoveStorageKey a step nearer to its spec, until it rests."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secrets = KeySecret(context)
        self._locks: KeyedLock[str, Item] = KeyedLock(context.queue.add)

    async def reconcile(self, item: Item) -> None:
        """Serve one AmoveStorageKey, or the ghost of one.

        One at a time for each UID: a ghost waits until what its object began is answered.
        Raises Conflict, KubeUnavailable, KubeRefused, NotLeading.
        """
        key = self._look_up(item)
        if key is None:
            return
        with self._locks.try_acquire(key.metadata.uid, item) as mine:
            if mine:
                await self._serve(item, key.metadata.uid)

    async def _serve(self, item: Item, uid: str) -> None:
        look = Look()
        for _ in range(_MOST_STEPS):
            key = self._look_up(item)
            if key is None:
                return
            if key.metadata.uid != uid:  # a new object of that name: it has its own turn
                self._context.queue.add(item)
                return
            memory = self._memory(item, key)
            if look.secret is None:
                self._secrets.recall(key, memory)
            snapshot = gather_key(self._context, item, key, memory, look)
            step = plan_key(snapshot)
            if isinstance(step, steps.Finish):
                await self._rest(item, key, step)
                return
            try:
                rests = await self._perform(item, key, memory, look, snapshot, step)
            except ApiError as error:
                await self._rest(item, key, self._after_failure(snapshot, step, error), error)
                return
            if rests:
                return
        raise RuntimeError(f"{item}: no rest after {_MOST_STEPS} steps")

    def _look_up(self, item: Item) -> AmoveStorageKey | None:
        if isinstance(item, Ghost):
            ghost = self._context.cache.ghosts.get(item)
            return ghost if isinstance(ghost, AmoveStorageKey) else None
        return self._context.cache.keys.get(item)

    def _memory(self, item: Item, key: AmoveStorageKey) -> KeyMemory:
        memory = self._context.keys.get(key.metadata.uid)
        if memory is None:
            known = Expectations.for_known(self._context.leading_since, self._context.settle)
            memory = KeyMemory(known)
            self._context.keys[key.metadata.uid] = memory
        if memory.fingerprint != (now := fingerprint(key.metadata)):
            memory.secret = None  # whether it is tidy was judged by the former spec
            memory.fingerprint = now
            memory.refused = ""
            if loss_accepted(self._context, key):  # as it is from now on, not by an older list
                memory.expectations = memory.expectations.require_newer_list(self._context.clock())
        if self._context.clock() - memory.refused_at > self._context.resync:
            memory.refused = ""
        self._judge_user(key, memory)
        return memory

    def _judge_user(self, key: AmoveStorageKey, memory: KeyMemory) -> None:
        """The recorded user's keys show again: the token is the old user's once more."""
        changed_at, recorded = memory.expectations.other_user_at, own_key_status(key).key
        if changed_at is None or recorded is None:
            return
        listing = self._context.key_lists.latest
        back = (
            listing is not None
            and listing.begun > changed_at
            and recorded.user_id in listing.user_ids
        )
        if back or loss_accepted(self._context, key):
            memory.expectations = memory.expectations.same_user()

    # -- steps ---------------------------------------------------------------------------------

    async def _perform(
        self,
        item: Item,
        key: AmoveStorageKey,
        memory: KeyMemory,
        look: Look,
        snapshot: KeySnapshot,
        step: steps.KeyStep,
    ) -> bool:
        """Perform one step; whether the reconcile rests with it."""
        ref = item.ref if isinstance(item, Ghost) else item
        match step:
            case steps.AddFinalizer():
                await self._protect(ref, key, memory)
            case steps.ReadSecret():
                await self._secrets.read(key, memory, look)
            case steps.AwaitKeyList():
                return await self._await_listing(item, key, step)
            case steps.DryRun(dry_scope):
                await self._dry_run(key, look, dry_scope)
            case steps.RecordIssue(serial, scope, status, conclusion):
                await write_status(self._context, ref, key, status, conclusion)
                memory.expectations = memory.expectations.issue_recorded(serial, scope)
            case steps.WriteStatus(status, conclusion):
                await record_status(self._context, item, key, status, conclusion)
                look.secret, look.secret_fresh, memory.secret = None, False, None
            case steps.Mint():
                await self._mint(ref, key, memory, look, step)
            case steps.WriteSecret():
                await self._write(key, memory, look, step)
            case steps.RepairSecretMetadata(secret):
                await self._secrets.tidy(key, memory, look, secret)
            case steps.Revoke():
                await self._revoke(ref, key, memory, look, step)
            case steps.DeleteSecret(uid):
                await self._context.kube.delete_secret(ref.namespace, snapshot.secret_name, uid=uid)
                look.secret, look.secret_fresh, memory.secret = None, False, None
            case steps.RemoveFinalizer():
                self._note_holder(key, snapshot)
                await self._release(item, key)
                return True
        return False

    async def _protect(self, ref: Ref, key: AmoveStorageKey, memory: KeyMemory) -> None:
        """Put the finalizer on: on an untouched CR, that proves that nobody came before us.

        Not if we came before ourselves: anybody can take the finalizer off again.
        """
        body = await self._context.kube.add_finalizer(ref, key.metadata)
        self._context.cache.put(ref, body)
        is_new = key.status.observed_generation in (None, -1) and not key.status.conditions
        if is_new and memory.expectations.is_empty:
            memory.expectations = Expectations.for_new()

    async def _await_listing(
        self, item: Item, key: AmoveStorageKey, step: steps.AwaitKeyList[KeyStatus]
    ) -> bool:
        left = step.since - self._context.clock()
        if left > 0:
            await self._rest(item, key, steps.Finish(step.status, step.conclusion))
            self._context.queue.add_after(item, left)
            return True
        await self._context.key_lists.begun_since(step.since)
        return False

    async def _dry_run(self, key: AmoveStorageKey, look: Look, scope: Scope) -> None:
        try:
            await self._secrets.dry_run(key, look, scope)
        except KubeRefused as error:
            look.refused = str(error)
        else:
            look.dry_run_passed = True

    async def _write(
        self, key: AmoveStorageKey, memory: KeyMemory, look: Look, step: steps.WriteSecret
    ) -> None:
        """Write the Secret; a refusal that no dry run foretold costs the key in hand."""
        try:
            await self._secrets.write(key, memory, look, step)
        except (KubeRefused, TemplateFault) as error:
            memory.refused, memory.refused_at = str(error), self._context.clock()

    async def _mint(
        self, ref: Ref, key: AmoveStorageKey, memory: KeyMemory, look: Look, step: steps.Mint
    ) -> None:
        """Send ``create_storage_key`` once; an answer that is lost starts the settle time."""
        scope, before = step.scope, memory.expectations
        readable = key.spec.key_name or f"{key.metadata.namespace}-{key.metadata.name}"
        name = key_name(readable, marker(self._context, key), scope.names9, step.serial)
        new = NewKey(
            name=name,
            region=scope.region,
            storage_dn=scope.storage_dn,
            permission=scope.permission,
            all_buckets=scope.all_buckets,
            selected_buckets=scope.buckets,
            cloud_account_id=scope.account,
        )
        memory.expectations = memory.expectations.sending(step.serial)
        if key.spec.bucket_refs is not None:
            self._context.cache.expect(ref, key.metadata.uid, scope.buckets)
        sent = False
        try:
            issued = await self._context.api.create_storage_key(new)
            sent = True
        except ApiError as error:
            if error.maybe_done or isinstance(error, Rejected):
                now = self._context.clock()
                memory.expectations = memory.expectations.lost(now, self._context.settle)
            else:
                memory.expectations = memory.expectations.not_sent(before)
            sent = True
            raise
        finally:
            if not sent:  # cancelled, or the Lease was lost on the way: we cannot know
                memory.expectations = memory.expectations.lost(
                    self._context.clock(), self._context.settle
                )
        register_secret(issued.secret_key.get_secret_value())
        look.secret_fresh = False
        self._received(key, memory, step, name, issued)

    def _received(
        self,
        key: AmoveStorageKey,
        memory: KeyMemory,
        step: steps.Mint,
        name: str,
        issued: IssuedKey,
    ) -> None:
        live = RemoteKey(issued.id, name, issued.access_key, issued.create_date, issued.user_id)
        pending_key = PendingKey(
            key=live,
            secret_key=issued.secret_key,
            scope=step.scope,
            rotate_request=key.metadata.annotation("rotate-requested-at") or "",
        )
        memory.expectations = memory.expectations.received(pending_key, self._context.clock())
        self._context.key_lists.issued(live)
        self._context.metrics.keys_minted.inc()
        recorded = own_key_status(key).key
        known_user = recorded.user_id if recorded is not None else None
        changed = known_user is not None and issued.user_id not in (None, known_user)
        if changed and not loss_accepted(self._context, key):
            before = key.metadata.annotation("accept-loss")
            self._context.accept_before[key.metadata.uid] = before
            memory.expectations = memory.expectations.other_user(self._context.clock())

    async def _revoke(
        self, ref: Ref, key: AmoveStorageKey, memory: KeyMemory, look: Look, step: steps.Revoke
    ) -> None:
        key_id, why = step.key_id, step.why
        try:
            await self._context.api.delete_storage_key(key_id)
        except ApiError as error:
            if not (error.maybe_done or isinstance(error, Rejected)):
                raise
            memory.expectations = memory.expectations.revoke_failed(key_id, self._context.clock())
            if key_id in look.failed or not isinstance(error, Rejected):
                raise
            # The id may be gone already: only a complete list can tell. One look, then back-off.
            look.failed.add(key_id)
            return
        memory.expectations = memory.expectations.revoke_confirmed(key_id, self._context.clock())
        self._note_revoked(key_id)
        self._context.metrics.keys_revoked.labels(why).inc()
        message = f"Revoked key {key_id}: {why}."
        await self._context.tell(ref, key.metadata.uid, "KeyRevoked", message)

    def _note_revoked(self, key_id: str) -> None:
        """Whoever waits for a name that the key kept looks again."""
        self._wake_names_kept_by([key_id])
        self._context.key_lists.revoked(key_id)

    def _wake_names_kept_by(self, key_ids: Iterable[str]) -> None:
        """The buckets that wait for a name which the marker of one of these keys keeps."""
        listing, wanted = self._context.key_lists.latest, self._context.wanted_names
        if listing is None or not wanted:
            return
        kept = {listing.names9_of(key_id) for key_id in key_ids}
        names = [name for name in wanted if any(may_reach(names9, name) for names9 in kept)]
        wake_waiting(self._context, names)

    def _note_holder(self, key: AmoveStorageKey, snapshot: KeySnapshot) -> None:
        """A Secret that stays has its key, which is no orphan: known before a list is judged."""
        secret = snapshot.secret
        if isinstance(secret, SecretOurs) and not secret.deleting:
            self._context.holders[secret.record.key_id] = key.metadata.namespace

    async def _release(self, item: Item, key: AmoveStorageKey) -> None:
        context, uid = self._context, key.metadata.uid
        await self._note_unconfirmed(item.ref if isinstance(item, Ghost) else item, key)
        if isinstance(item, Ghost):
            context.cache.lay(item)
        else:
            context.cache.let_go(item, uid)
            try:
                await context.kube.remove_finalizer(item, key.metadata)
            except Conflict:
                context.cache.not_let_go(item, uid)
                raise
            context.cache.drop_same(item, uid)
        wake_waiting(context, context.forget_key(uid))
        context.queue.forget(item)
        wake_buckets_of(context, key)

    # -- rest ----------------------------------------------------------------------------------

    def _after_failure(
        self, snapshot: KeySnapshot, step: steps.KeyStep, error: ApiError
    ) -> steps.Finish[KeyStatus]:
        """A failed call changes only Synced; a failed mint says why there is no key yet."""
        reason, message = explain(error)
        if isinstance(step, steps.Revoke):
            reason = Reason.RevokePending if not isinstance(error, Rejected) else reason
            message = f"Key {step.key_id} is still to be revoked. {message}"
        conclusion = unsynced(reason, message)
        dead = isinstance(step, steps.Mint) and not is_usable(snapshot)
        held = isinstance(snapshot.secret, SecretOurs) and snapshot.secret.data_matches
        if dead or (snapshot.secret is not None and not held):
            unready = Verdict("False", reason, message)
            conclusion = replace(conclusion, ready=unready)
        return steps.Finish(status_of(snapshot), conclusion, retry=True)

    async def _rest(
        self,
        item: Item,
        key: AmoveStorageKey,
        report: steps.Finish[KeyStatus],
        error: ApiError | None = None,
    ) -> None:
        context = self._context
        if isinstance(item, Ref):
            before = own_key_status(key)
            await write_status(context, item, key, report.status, report.conclusion)
            if before.key != report.status.key or before.retiring != report.status.retiring:
                wake_buckets_of(context, key)
                self._wake_names_kept_by(named_ids(report.status))
            await self._note_unconfirmed(item, key)
            self._note_reach(key, report)
        if report.retry or error is not None:
            at_least = getattr(error, "retry_after", None) or 0.0
            context.queue.fail(item, cap=context.resync, at_least=at_least)
        else:
            context.queue.forget(item)
        if report.requeue_at is not None:
            context.queue.add_after(item, _seconds_until(report.requeue_at, context.now()))

    def _note_reach(self, key: AmoveStorageKey, report: steps.Finish[KeyStatus]) -> None:
        """Status was written: does it name every key that is alive, and so what they reach?"""
        memory = self._context.keys.get(key.metadata.uid)
        if memory is None or memory.expectations.pending_key is not None:
            return
        listing = self._context.key_lists.latest
        alive = memory.expectations.live(marker(self._context, key), listing, self._context.settle)
        if alive is not None and {one.id for one in alive} <= named_ids(report.status):
            wake_waiting(self._context, self._context.cache.expect_nothing(key.metadata.uid))

    async def _note_unconfirmed(self, ref: Ref, key: AmoveStorageKey) -> None:
        """A key that left the list without a 200 to its deletion may still live at the storage."""
        memory = self._context.keys.get(key.metadata.uid)
        if memory is None or not memory.expectations.unconfirmed:
            return
        status = own_key_status(key)
        unproven = named_ids(status) - confirmed_gone(self._context, key, memory, status)
        told, memory.expectations = (
            memory.expectations.unconfirmed - unproven,
            memory.expectations.unconfirmed_reported(),
        )
        for key_id in told:
            self._context.metrics.revoke_unconfirmed.inc()
            message = (
                f"Key {key_id} is gone from the list, but its revocation was never confirmed: "
                "check the storage service."
            )
            uid = key.metadata.uid
            await self._context.tell(ref, uid, "RevokeUnconfirmed", message, warning=True)


def _seconds_until(moment: datetime, now: datetime) -> float:
    return max((moment.astimezone(UTC) - now).total_seconds(), 0.0) + 0.05
