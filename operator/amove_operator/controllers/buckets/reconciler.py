"""Performs the steps of the bucket planner (:mod:`amove_operator.core.buckets.plan`)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import inf
from typing import TypeAlias

from amove_operator.amove import FRESH_SECONDS, BucketAddress
from amove_operator.controllers.buckets.bucket_service import BucketService
from amove_operator.controllers.buckets.gather import gather_bucket
from amove_operator.controllers.reconciler import Decision, Reconciler
from amove_operator.controllers.shared.bucket_losses import is_concluded
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.memory import REPAIRS, BucketMemory
from amove_operator.controllers.shared.status_writer import explain, failed
from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import BucketSnapshot
from amove_operator.core.buckets.status import as_it_was
from amove_operator.core.conditions import reason_of
from amove_operator.core.outcomes import Outcome, Result
from amove_operator.core.reading import read_bucket
from amove_operator.core.reasons import Reason
from amove_operator.engine.workqueue import Run
from amove_operator.errors import (
    ApiError,
    Conflict,
    Paused,
)
from amove_operator.fairness import Urgency
from amove_operator.models import AmoveBucket, BucketStatus
from amove_operator.models.refs import ObjectId

_SLOWLY = 5.0
_MOMENT = 0.01
_ACCOUNT_REASONS = (Reason.AccountUnusable, Reason.AccountUnknown)
_CALLS = (steps.Observe, steps.WriteStatus, steps.Create, steps.Repair, steps.Delete)
_CALLS_OF_A_CHANGE = 3
_EFFECTS = (steps.WriteStatus, steps.Create, steps.Repair, steps.Delete, steps.RemoveFinalizer)

BucketDecision: TypeAlias = Decision[AmoveBucket, BucketMemory]


class BucketReconciler(Reconciler[AmoveBucket, BucketMemory]):
    """Serves AmoveBuckets, one at a time for each bucket name.

    So the claim of a name is decided and used in one pass: two objects of one name that were
    served side by side could both create, or one delete what the other has just created.
    """

    model = AmoveBucket

    def __init__(self, dependencies: Dependencies) -> None:
        super().__init__(dependencies)
        self._service = BucketService(dependencies)

    async def reconcile(self, item: ObjectId, run: Run) -> Result:
        """Serve one AmoveBucket. Raises Conflict, KubeUnavailable, KubeRefused, NotLeading."""
        if (bucket := self.find(item)) is None:
            return Result(Outcome.OK)
        wake = self.d.next_call.wake(item, run.urgency)
        with self.d.bucket_names.try_acquire(bucket.bucket_name, item.uid, wake) as mine:
            if not mine or not await self._knows_accounts(bucket, run.urgency):
                return Result(Outcome.WAITS)
            return await super().reconcile(item, run)

    async def _knows_accounts(self, bucket: AmoveBucket, urgency: Urgency) -> bool:
        """Whoever asks again about an account that could not be used wants the accounts of now.

        False where the call for them has to wait for its turn.
        """
        memory = self.d.memories.buckets.get(bucket.metadata.uid)
        stalled = reason_of(bucket.status.conditions, "Stalled")
        asked = memory is not None and memory.fingerprint != bucket.metadata.fingerprint
        if not asked or stalled not in _ACCOUNT_REASONS:
            return True
        try:
            if not self.d.next_call.has_turn(bucket.object_id, urgency, 1):
                return False
        except Paused:
            return True  # the pass itself will say so
        with self.d.permits.held_by(bucket.metadata.uid):
            await self.d.accounts.load()
        return True

    # -- deciding --------------------------------------------------------------------------------

    def begin(self, uid: str) -> BucketMemory:
        """A pass over a bucket learns nothing that is not remembered."""
        return self.d.memories.bucket(uid)

    def decide(
        self, seen: AmoveBucket, progress: BucketMemory
    ) -> tuple[BucketSnapshot, steps.BucketStep]:
        """Gather and plan; before an effect, on an observation that is at most seconds old."""
        progress.expire(seen, self.d.clock())
        snapshot = gather_bucket(self.d, seen, progress)
        step = plan_bucket(snapshot)
        if isinstance(step, _EFFECTS) and progress.is_outdated(self.d.clock() - FRESH_SECONDS):
            progress.seen = None  # it may have waited long for another pass: observe before acting
            snapshot = replace(snapshot, seen=None)
            step = plan_bucket(snapshot)
        return snapshot, step

    def calls_ahead(self, decision: BucketDecision) -> int:
        """One to observe what is settled; else the observation, the effect, and what came of it."""
        step, bucket = decision.step, decision.seen
        if isinstance(step, steps.Observe) and bucket.in_sync and not bucket.metadata.deleting:
            return 1
        return _CALLS_OF_A_CHANGE if isinstance(step, _CALLS) else 0

    def may_repeat(self, decision: BucketDecision) -> bool:
        """A create that was not sent is decided anew: its intent must not stand meanwhile."""
        return not isinstance(decision.step, steps.Create)

    # -- steps -----------------------------------------------------------------------------------

    async def perform(self, decision: BucketDecision) -> None:
        """Perform a step at the service. Raises ApiError too."""
        bucket, memory = decision.seen, decision.progress
        account = self.d.accounts.spelt(decision.snapshot.account)
        where = BucketAddress(account, decision.snapshot.name)
        match decision.step:
            case steps.Observe():
                await self._service.observe(bucket, memory, where)
            case steps.Create():
                await self._service.create(bucket, memory, where, decision.step.flags)
            case steps.Repair(flags):
                await self._service.repair(memory, where, flags, decision.snapshot.flags)
            case steps.Delete():
                if await self._is_current(bucket):
                    await self._service.delete(bucket, memory, where)

    async def _is_current(self, bucket: AmoveBucket) -> bool:
        """Whether the CR still says what we go by: nothing is deleted on the word of a cache.

        Of a vanished one: whether nobody has its name now, who would own the bucket by that name.
        """
        ref, meta = bucket.object_id.ref, bucket.metadata
        body = await self.d.kube.get_object(ref)
        if meta.vanished:
            if body is None or read_bucket(body).bucket_name != bucket.bucket_name:
                return True
            self.forget(bucket)
            return False
        if body is None or body["metadata"]["uid"] != meta.uid:
            raise Conflict(f"{ref} is gone or another")
        return self.d.store.put(bucket.KIND, body) is None

    def failed(
        self, decision: BucketDecision, error: ApiError
    ) -> steps.Finish[BucketStatus] | None:
        """Without a key list the pass ends; without an answer about the bucket, plan on that."""
        step = decision.step
        if isinstance(step, steps.AwaitKeyList):
            decision.progress.retry_after = getattr(error, "retry_after", None) or 0.0
            return steps.Finish(step.status, failed(error), retry=True)
        decision.progress.not_observed(error, *explain(error), self.d.clock())
        return None

    def known_status(self, decision: BucketDecision) -> BucketStatus:
        """What was observed is not in it: the next pass observes anew."""
        return as_it_was(decision.snapshot)

    # -- the end of a pass -----------------------------------------------------------------------

    async def finish(self, decision: BucketDecision, end: steps.Finish[BucketStatus]) -> None:
        """Write status, and enqueue whom the change concerns."""
        bucket, memory = decision.seen, decision.progress
        if memory.seen is None:
            memory.seen_at = self.d.clock()  # not observed (paused, stalled): no loss waits for it
        if not bucket.metadata.vanished:
            reported = memory.created and bucket.proven.provenance is None  # by the Event Created
            after = await self.d.status.write(bucket, end.status, end.conclusion, reported=reported)
            if is_concluded(after):
                self.d.bucket_losses.concluded(after.metadata.uid)
            self.d.enqueue.concerned_by(bucket, after)
        memory.created = False  # from here on only status proves that the bucket is ours
        if end.conclusion.synced.status == "True":
            memory.repairs_left = REPAIRS
        waits = end.conclusion.synced.reason is Reason.NameInUse and not bucket.metadata.vanished
        if self.d.names.want(bucket.bucket_name, bucket.metadata.uid, waits=waits):
            self.d.enqueue.keys_reaching(bucket.bucket_name)
        self.d.bucket_losses.observe_more(bucket.metadata.uid)

    def paced(self, decision: BucketDecision, result: Result) -> Result:
        """A back-off that has begun stands, and what was observed stands as long."""
        memory, clock = decision.progress, self.d.clock()
        asked_for, memory.retry_after = memory.retry_after, 0.0
        if not result.retry:
            return result
        if clock < memory.retry_at < inf:
            # An event came before the back-off ended, and nothing new was asked: it stands.
            return replace(result, retry=None, after=memory.retry_at - clock)
        # What a person must mend first is not tried hastily.
        slowly = min(_SLOWLY, self.d.resync) if memory.refusal is not None else 0.0
        # A timer may fire a moment early, and this one decides whether an absence is confirmed.
        until_confirmable = memory.confirmable_at - clock + _MOMENT
        at_least = max(slowly, asked_for, until_confirmable)
        backed_off = partial(memory.backed_off, clock)
        return replace(result, at_least=at_least, backed_off=backed_off)
