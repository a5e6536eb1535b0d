"""Too many buckets gone at once is an account's trouble: the guard against a mass loss of buckets.

Said in docs/bucket-protocol.md, "Losing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from amove_operator.controllers.shared.memory import BucketMemory, Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Absent, BucketLoss
from amove_operator.core.conditions import reason_of
from amove_operator.core.mass_loss import (
    is_being_ended,
    is_mass_loss,
    is_new_acceptance,
    most_lost,
)
from amove_operator.core.reasons import Reason
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.models import AmoveBucket, ObjectMeta
from amove_operator.models.refs import ObjectId
from amove_operator.telemetry import Metrics

_FEW = 50


def is_expected(bucket: AmoveBucket) -> bool:
    """Whether a bucket ought to be there: ours, not being deleted, not reported as missing before.

    A loss that was concluded in an earlier sweep is no part of a later one.
    """
    ended = is_concluded(bucket) or is_being_ended(bucket)
    observed = not bucket.unread_status  # else it is left alone, and nobody waits for it
    return bucket.proven.provenance is not None and observed and not ended


def is_concluded(bucket: AmoveBucket) -> bool:
    """Whether a lost bucket is reported for good: not made here, so not made again."""
    return reason_of(bucket.status.conditions, "Stalled") == Reason.BucketMissing


@dataclass(slots=True)
class BucketLosses:
    """Which of our buckets are absent, and whether that may be acted on.

    Example: of 100 buckets 21 are absent. One of them would be created again, and 21 of them too,
    one by one, though the account was only switched off. So nothing is done as long as more than
    max(3, 20 %) are absent, nor as long as those not observed since could make it so many.
    """

    _store: Store
    _memories: Memories
    _queue: WorkQueue[ObjectId]
    _metrics: Metrics
    _clock: Callable[[], float]
    _lost_at: dict[str, float] = field(default_factory=dict)
    _accept_before: dict[str, str | None] = field(default_factory=dict)
    _counted: tuple[float, int] = (-inf, 0)
    _held_up: bool = False

    # -- what was observed -----------------------------------------------------------------------

    def observed_absent(self, bucket: AmoveBucket, memory: BucketMemory) -> None:
        """The service says that there is no such bucket."""
        uid, accept_loss = bucket.metadata.uid, bucket.metadata.annotation("accept-loss")
        self._accept_before.setdefault(uid, accept_loss)
        if uid in self._lost_at or memory.delete_sent or not is_expected(bucket):
            return
        self._lost_at[uid] = memory.seen_at
        self._metrics.buckets_lost.inc()
        self._observe_the_others(uid)

    def observed_present(self, bucket: AmoveBucket) -> None:
        """The bucket is there. What was absent with it may be back as well: all are asked anew."""
        self._accept_before.pop(bucket.metadata.uid, None)
        if self._lost_at.pop(bucket.metadata.uid, None) is not None:
            self._requeue_absent(observe=True)

    def concluded(self, uid: str) -> None:
        """The loss is dealt with: created again, or reported for good."""
        self._lost_at.pop(uid, None)

    def forget(self, uid: str) -> None:
        """The AmoveBucket is gone."""
        self._lost_at.pop(uid, None)
        self._accept_before.pop(uid, None)

    def judge(self) -> None:
        """Let go on what a mass loss held up, as soon as it is none any more."""
        before, self._held_up = self._held_up, self.is_mass
        if before and not self._held_up:
            self._requeue_absent()

    # -- verdicts --------------------------------------------------------------------------------

    def verdict(self, bucket: AmoveBucket, memory: BucketMemory) -> BucketLoss:
        """Whether this absence is part of a mass loss; and if not, whether it still may be."""
        if not isinstance(memory.seen, Absent) or self._is_accepted(bucket.metadata):
            return BucketLoss.NONE
        if is_concluded(bucket) and not bucket.metadata.deleting:
            return BucketLoss.NONE  # reported as missing before: nothing is made of it anyhow
        if self.is_mass:
            return BucketLoss.MASS
        unconfirmed = self._is_unconfirmed(bucket.metadata.uid)
        return BucketLoss.UNCONFIRMED if unconfirmed else BucketLoss.NONE

    @property
    def is_mass(self) -> bool:
        """Whether more of our buckets are absent than one sweep may lose."""
        lost = self._lost()
        return is_mass_loss(lost, 0) and is_mass_loss(lost, self._expected())

    def _is_unconfirmed(self, uid: str) -> bool:
        """Whether it could be a mass loss, were all that were not observed since gone as well.

        So a few that cannot be read, for whatever reason, hold nobody up.
        """
        most = most_lost(self._expected()) - self._lost()
        return next(islice(self._unobserved(uid), max(most, 0), None), None) is not None

    def _is_accepted(self, meta: ObjectMeta) -> bool:
        return is_new_acceptance(meta.annotation("accept-loss"), self._accept_before.get(meta.uid))

    def _lost(self) -> int:
        """How many buckets of ours are absent, without those whose loss a person accepted."""
        return sum(
            isinstance(bucket, AmoveBucket)
            and not bucket.metadata.vanished
            and is_expected(bucket)
            and not self._is_accepted(bucket.metadata)
            for bucket in map(self._store.find, self._lost_at)
        )

    def _expected(self) -> int:
        """How many buckets ought to be there; counted once a second, since this is asked often."""
        at, count = self._counted
        if self._clock() - at > 1.0:
            count = sum(map(is_expected, self._store.buckets.values()))
            self._counted = self._clock(), count
        return count

    # -- who is observed next --------------------------------------------------------------------

    def _observe_the_others(self, uid: str) -> None:
        """One of ours is gone: is it alone? A few are asked at once, many by the resync."""
        others = list(islice(self._unobserved(uid), _FEW + 1))
        if len(others) > _FEW:
            return
        for other in others:
            self._memories.bucket(other.uid).stale = True
            self._queue.add(other)
        # With many, each would requeue all the others: they have a retry of their own.
        self._requeue_absent()

    def _unobserved(self, uid: str) -> Iterator[ObjectId]:
        """The buckets that ought to be there, and gave no clear answer since that one was lost."""
        since = self._lost_at.get(uid)
        if since is None:
            return
        for bucket in self._store.buckets.values():
            other = bucket.object_id
            if other.uid in self._lost_at:
                continue
            memory = self._memories.buckets.get(other.uid)
            seen = memory is not None and memory.seen_at >= since
            if not seen and is_expected(bucket):
                yield other

    def _requeue_absent(self, *, observe: bool = False) -> None:
        """All that are absent, those too that were never made: a mass loss holds them up alike."""
        for bucket in self._store.buckets.values():
            memory = self._memories.buckets.get(bucket.metadata.uid)
            if memory is not None and isinstance(memory.seen, Absent):
                memory.stale = memory.stale or observe
                self._queue.add(bucket.object_id)
