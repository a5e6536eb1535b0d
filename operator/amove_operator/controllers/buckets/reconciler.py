"""The bucket reconciler: ask the planner, perform its step, look again."""

from __future__ import annotations

import logging
from contextlib import suppress
from math import inf

from amove_operator.amove import BucketAddress
from amove_operator.controllers.buckets.gather import gather_bucket
from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.enqueue import wake_claimants, wake_keys_of, wake_reaching
from amove_operator.controllers.shared.loss_guard import (
    is_concluded,
    is_known,
    judge_losses,
    look_at_the_others,
    wake_the_missing,
)
from amove_operator.controllers.shared.memory import REPAIRS, BucketMemory
from amove_operator.controllers.shared.name_registry import holds_claim
from amove_operator.controllers.shared.status_writer import explain, record_status, write_status
from amove_operator.controllers.shared.store import (
    Ghost,
    Item,
    bucket_name,
    fingerprint,
    own_bucket_status,
)
from amove_operator.core import conditions
from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketSnapshot,
    Present,
    Refusal,
    Refused,
    Unknown,
)
from amove_operator.core.conditions import unsynced
from amove_operator.core.reading import read_bucket
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.engine.keyed_lock import KeyedLock
from amove_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    NotEmpty,
    NotFound,
    Rejected,
)
from amove_operator.models import AmoveBucket, BucketStatus

_log = logging.getLogger(__name__)
_MOST_STEPS = 20
_SLOWLY = 5.0
_FRESH_SECONDS = 5.0
_ACCOUNT_REASONS = (Reason.AccountUnusable, Reason.AccountUnknown)
_EFFECTS = (steps.WriteStatus, steps.Create, steps.Repair, steps.Delete, steps.RemoveFinalizer)


class BucketReconciler:
    """Brings one AmoveBucket a step nearer to its spec, until it rests."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks: KeyedLock[str, Item] = KeyedLock(context.queue.add)

    async def reconcile(self, item: Item) -> None:
        """Serve one AmoveBucket, or the ghost of one.

        One at a time for each bucket name: the claim is decided and used in one turn.
        Raises Conflict, KubeUnavailable, KubeRefused, NotLeading.
        """
        bucket = self._look_up(item)
        if bucket is None:
            return
        with self._locks.try_acquire(bucket_name(bucket), item) as mine:
            if mine:
                await self._accounts_anew(bucket)
                await self._serve(item, bucket.metadata.uid)

    async def _serve(self, item: Item, uid: str) -> None:
        for _ in range(_MOST_STEPS):
            bucket = self._look_up(item)
            if bucket is None:
                return
            if bucket.metadata.uid != uid:  # a new object of that name: it has its own turn
                self._context.queue.add(item)
                return
            memory = self._context.buckets.setdefault(uid, BucketMemory())
            snapshot = gather_bucket(self._context, item, bucket, memory)
            step = plan_bucket(snapshot)
            if isinstance(step, steps.AwaitKeyList):
                if await self._key_list_waits(item, bucket, memory, step):
                    return
                continue
            if isinstance(step, steps.Finish):
                await self._rest(item, bucket, memory, step)
                return
            if isinstance(step, _EFFECTS) and self._outdated(memory):
                memory.seen = None  # it may have waited long for another: look before acting
                continue
            await self._perform(item, bucket, memory, snapshot, step)
        raise RuntimeError(f"{item}: no rest after {_MOST_STEPS} steps")

    async def _accounts_anew(self, bucket: AmoveBucket) -> None:
        """Who asks again about an account that was no good wants a fresh look at the accounts."""
        memory = self._context.buckets.get(bucket.metadata.uid)
        told = conditions.find(bucket.status.conditions, "Stalled")
        asked = memory is not None and memory.fingerprint != fingerprint(bucket.metadata)
        if asked and told is not None and told.reason in _ACCOUNT_REASONS:
            with suppress(ApiError):  # the accounts known so far go on
                await self._context.accounts.load()

    def _outdated(self, memory: BucketMemory) -> bool:
        age = self._context.clock() - memory.seen_at
        return memory.seen is not None and age > _FRESH_SECONDS

    def _look_up(self, item: Item) -> AmoveBucket | None:
        if isinstance(item, Ghost):
            ghost = self._context.cache.ghosts.get(item)
            return ghost if isinstance(ghost, AmoveBucket) else None
        return self._context.cache.buckets.get(item)

    async def _key_list_waits(
        self,
        item: Item,
        bucket: AmoveBucket,
        memory: BucketMemory,
        step: steps.AwaitKeyList[BucketStatus],
    ) -> bool:
        """Have a key list begun since that moment; whether the reconcile rests till then."""
        left = step.since - self._context.clock()
        if left > 0:
            await self._rest(item, bucket, memory, steps.Finish(step.status, step.conclusion))
            self._context.queue.add_after(item, left)
            return True
        try:
            await self._context.key_lists.begun_since(step.since)
        except ApiError as error:
            told = unsynced(*explain(error))
            await self._rest(item, bucket, memory, steps.Finish(step.status, told, retry=True))
            return True
        return False

    # -- steps ---------------------------------------------------------------------------------

    async def _perform(
        self,
        item: Item,
        bucket: AmoveBucket,
        memory: BucketMemory,
        snapshot: BucketSnapshot,
        step: steps.BucketStep,
    ) -> None:
        ref = item.ref if isinstance(item, Ghost) else item
        where = BucketAddress(snapshot.account, snapshot.name)
        match step:
            case steps.AddFinalizer():
                body = await self._context.kube.add_finalizer(ref, bucket.metadata)
                self._context.cache.put(ref, body)
            case steps.Observe():
                await self._observe(ref, bucket, memory, where)
            case steps.WriteStatus(status, conclusion):
                if memory.refusal is not None and memory.refusal.what is Refused.EXISTS:
                    memory.seen = None
                await record_status(self._context, item, bucket, status, conclusion)
            case steps.Create():
                await self._create(ref, bucket, memory, where, step)
            case steps.Repair():
                await self._repair(memory, where, step)
            case steps.Delete():
                if await self._is_current(item, bucket):
                    await self._delete(ref, bucket, memory, where)
            case steps.RemoveFinalizer():
                await self._release(item, bucket)

    async def _observe(
        self, ref: Ref, bucket: AmoveBucket, memory: BucketMemory, where: BucketAddress
    ) -> None:
        memory.looked_at = self._context.clock()
        try:
            memory.seen = Present(await self._context.api.bucket_status(where))
        except NotFound:
            memory.seen = Absent()
        except ApiError as error:
            self._unknown(memory, error)
            return
        memory.seen_at = self._context.clock()
        uid = bucket.metadata.uid
        if isinstance(memory.seen, Present):
            self._found(uid, memory)
            return
        if not memory.absent:
            memory.absent = True
            memory.accept_before = bucket.metadata.annotation("accept-loss")
        if uid not in self._context.absent_buckets and self._is_a_loss(bucket, memory):
            self._context.absent_buckets[uid] = ref, memory.seen_at
            self._context.metrics.buckets_lost.inc()
            look_at_the_others(self._context, uid)

    def _is_a_loss(self, bucket: AmoveBucket, memory: BucketMemory) -> bool:
        """One that was ours, and that we did not delete ourselves."""
        return is_known(bucket) and not memory.delete_sent

    def _found(self, uid: str, memory: BucketMemory) -> None:
        if memory.refusal is not None and memory.refusal.what is Refused.EXISTS:
            memory.refusal = None  # answered: it is there, as a stranger's
        memory.absent = False
        if not memory.delete_sent:
            memory.effect_at = -inf  # the create shows; what was deleted may still show for a while
        if self._context.absent_buckets.pop(uid, None) is not None:
            # What was absent with it may be back as well: nobody acts on the old look.
            wake_the_missing(self._context, look_again=True)

    def _unknown(self, memory: BucketMemory, error: ApiError) -> None:
        reason, message = explain(error)
        memory.seen = Unknown(reason, message)
        if isinstance(error, Rejected):
            memory.seen_at = self._context.clock()  # an answer about this bucket: it is no loss

    async def _create(
        self,
        ref: Ref,
        bucket: AmoveBucket,
        memory: BucketMemory,
        where: BucketAddress,
        step: steps.Create,
    ) -> None:
        try:
            await self._context.api.create_bucket(where, step.flags)
        except AlreadyExists as error:
            if memory.effect_at > -inf:  # our own, by a 200 before this: it only does not show yet
                self._taken_up(memory)
            elif self._proven_meanwhile(ref, bucket):
                self._accepted(memory)  # and so it exists: look again
            else:
                self._refused(memory, Refused.EXISTS, error)
        except Rejected as error:
            self._refused(memory, Refused.CREATE, error)
            memory.seen = None
        except ApiError as error:
            if not error.maybe_done:
                memory.refusal = Refusal(Refused.UNSENT, str(error), 0)
            self._unknown(memory, error)
        else:
            self._taken_up(memory)
            memory.created = True
            await self._tell_created(ref, bucket)

    def _proven_meanwhile(self, ref: Ref, before: AmoveBucket) -> bool:
        """Another process wrote, while our create was under way, that the bucket is the CR's."""
        now = self._context.cache.buckets.get(ref)
        if now is None or now.metadata.uid != before.metadata.uid:
            return False
        gained = own_bucket_status(now).provenance is not None
        return gained and own_bucket_status(before).provenance is None

    async def _tell_created(self, ref: Ref, bucket: AmoveBucket) -> None:
        uid, name = bucket.metadata.uid, bucket_name(bucket)
        self._context.absent_buckets.pop(uid, None)
        if own_bucket_status(bucket).provenance is None:
            self._context.metrics.buckets_created.inc()
            await self._context.tell(ref, uid, "Created", f"Created bucket {name}.")
            return
        self._context.metrics.buckets_recreated.inc()
        message = f"Bucket {name} was gone from the service and was created again, empty."
        await self._context.tell(ref, uid, "Recreated", message, warning=True)

    async def _repair(self, memory: BucketMemory, where: BucketAddress, step: steps.Repair) -> None:
        try:
            await self._context.api.update_bucket(where, step.flags)
        except Rejected as error:
            self._refused(memory, Refused.UPDATE, error)
        except ApiError as error:
            self._unknown(memory, error)
        else:
            self._accepted(memory)
            memory.repairs_left -= 1

    async def _is_current(self, item: Item, bucket: AmoveBucket) -> bool:
        """Whether the CR still says what we go by: nothing is deleted on the word of a cache."""
        if isinstance(item, Ghost):
            return await self._has_no_heir(item, bucket)
        body = await self._context.kube.get_object(item)
        if body is None or body["metadata"]["uid"] != bucket.metadata.uid:
            raise Conflict(f"{item} is gone or another")
        return self._context.cache.put(item, body) is None

    async def _has_no_heir(self, ghost: Ghost, bucket: AmoveBucket) -> bool:
        """Whether nobody was given the ghost's name: it would be the heir's bucket by now."""
        body = await self._context.kube.get_object(ghost.ref)
        if body is None or bucket_name(read_bucket(body)) != bucket_name(bucket):
            return True
        self._forget(ghost, bucket)
        return False

    async def _delete(
        self, ref: Ref, bucket: AmoveBucket, memory: BucketMemory, where: BucketAddress
    ) -> None:
        try:
            await self._context.api.delete_bucket(where)
        except NotFound:
            self._taken_up(memory)
            memory.delete_sent = True
        except NotEmpty as error:
            self._refused(memory, Refused.NOT_EMPTY, error)
        except Rejected as error:
            self._refused(memory, Refused.DELETE, error)
        except ApiError as error:
            memory.delete_sent = memory.delete_sent or error.maybe_done
            self._unknown(memory, error)
        else:
            self._taken_up(memory)
            memory.delete_sent = True
            self._context.metrics.buckets_deleted.inc()
            await self._context.tell(
                ref, bucket.metadata.uid, "Deleted", f"Deleted bucket {where[1]}."
            )

    def _refused(self, memory: BucketMemory, what: Refused, error: Rejected) -> None:
        memory.refusals_in_a_row += 1
        memory.refusal = Refusal(what, f"The service answered {error}", memory.refusals_in_a_row)

    def _accepted(self, memory: BucketMemory) -> None:
        memory.refusals_in_a_row = 0
        memory.refusal = None
        memory.seen = None

    def _taken_up(self, memory: BucketMemory) -> None:
        """A create or delete was answered 200: it may take a while to show, and is not repeated."""
        self._accepted(memory)
        memory.effect_at = self._context.clock()

    async def _release(self, item: Item, bucket: AmoveBucket) -> None:
        uid = bucket.metadata.uid
        if isinstance(item, Ref):
            self._context.cache.let_go(item, uid)
            try:
                await self._context.kube.remove_finalizer(item, bucket.metadata)
            except Conflict:
                self._context.cache.not_let_go(item, uid)
                raise
        self._forget(item, bucket)

    def _forget(self, item: Item, bucket: AmoveBucket) -> None:
        """It is served to its end: whoever waits for the name looks again."""
        if isinstance(item, Ghost):
            self._context.cache.lay(item)
        else:
            self._context.cache.drop_same(item, bucket.metadata.uid)
        self._context.forget_bucket(bucket.metadata.uid)
        self._context.queue.forget(item)
        wake_claimants(self._context, bucket_name(bucket))

    # -- rest ----------------------------------------------------------------------------------

    async def _rest(
        self,
        item: Item,
        bucket: AmoveBucket,
        memory: BucketMemory,
        report: steps.Finish[BucketStatus],
    ) -> None:
        if isinstance(item, Ref):
            before = bucket.status
            await write_status(self._context, item, bucket, report.status, report.conclusion)
            after = self._context.cache.buckets.get(item)
            if after is not None and is_concluded(after):
                self._context.absent_buckets.pop(after.metadata.uid, None)
            if after is not None and after.status != before:
                wake_keys_of(self._context, item)
                self._wake_rivals(bucket, after)
        memory.created = False  # told, or not to be told: what shows up later need not be ours
        if memory.seen is None:
            memory.seen_at = self._context.clock()  # not to be looked at: nobody waits for that
        if report.conclusion.synced.status == "True":
            memory.repairs_left = REPAIRS
        if report.retry and self._context.clock() < memory.retry_at < float("inf"):
            # Woken before its time, and nothing new was asked: the back-off stands.
            self._context.queue.add_after(item, memory.retry_at - self._context.clock())
        elif report.retry:
            began = self._context.clock()
            memory.retry_at = began + self._context.queue.fail(
                item, cap=self._context.resync, at_least=self._at_least(memory)
            )
        else:
            self._context.queue.forget(item)
        self._note_wanted_name(item, bucket, report)
        judge_losses(self._context)

    def _wake_rivals(self, before: AmoveBucket, after: AmoveBucket) -> None:
        """Who waits for the name looks again when this one's claim goes; and says so if it wins."""
        name = bucket_name(after)
        if holds_claim(before) and not holds_claim(after):
            wake_claimants(self._context, name)
        won = own_bucket_status(before).provenance is None
        if won and own_bucket_status(after).provenance is not None:
            for ref, rival in self._context.cache.buckets_named(name):
                if rival.metadata.uid != after.metadata.uid:
                    self._context.queue.add(ref)

    def _at_least(self, memory: BucketMemory) -> float:
        """Seconds until the next try: what a person must mend first is not asked hastily."""
        return min(_SLOWLY, self._context.resync) if memory.refusal is not None else 0.0

    def _note_wanted_name(
        self, item: Item, bucket: AmoveBucket, report: steps.Finish[BucketStatus]
    ) -> None:
        """Keys whose own bucket CR is gone give the name up to the CR that waits for it."""
        name = bucket_name(bucket)
        waits = report.conclusion.synced.reason is Reason.NameInUse and isinstance(item, Ref)
        if waits and isinstance(item, Ref):
            self._context.wanted_names[name] = item
            wake_reaching(self._context, name)
        elif self._context.wanted_names.get(name) == item:
            del self._context.wanted_names[name]
