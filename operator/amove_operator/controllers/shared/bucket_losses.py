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
    ended = is_being_ended(bucket) or is_concluded(bucket)
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
    _lost_at: dict[ObjectId, float] = field(default_factory=dict)
    _accept_before: dict[str, str | None] = field(default_factory=dict)
    _counted: tuple[float, int] = (-inf, 0)
    _held_up: bool = False

    # -- what was observed -----------------------------------------------------------------------

    def observed_absent(self, bucket: AmoveBucket, memory: BucketMemory) -> None:
        """The service says that there is no such bucket."""
        item, meta = bucket.object_id, bucket.metadata
        self._accept_before.setdefault(meta.uid, meta.annotation("accept-loss"))
        if item in self._lost_at or memory.delete_sent or not is_expected(bucket):
            return
        self._lost_at[item] = memory.seen_at
        self._metrics.buckets_lost.inc()
        self._observe_the_others(item)

    def observed_present(self, bucket: AmoveBucket) -> None:
        """The bucket is there. What was absent with it may be back as well: all are asked anew."""
        self._accept_before.pop(bucket.metadata.uid, None)
        if self._lost_at.pop(bucket.object_id, None) is not None:
            self._requeue_absent(observe=True)

    def concluded(self, item: ObjectId) -> None:
        """The loss is dealt with: created again, or reported for good."""
        self._lost_at.pop(item, None)

    def forget(self, item: ObjectId) -> None:
        """The AmoveBucket is gone."""
        self._lost_at.pop(item, None)
        self._accept_before.pop(item.uid, None)

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
        unconfirmed = self._is_unconfirmed(bucket.object_id)
        return BucketLoss.UNCONFIRMED if unconfirmed else BucketLoss.NONE

    @property
    def is_mass(self) -> bool:
        """Whether more of our buckets are absent than one sweep may lose."""
        lost = self._lost()
        return is_mass_loss(lost, 0) and is_mass_loss(lost, self._expected())

    def _is_unconfirmed(self, item: ObjectId) -> bool:
        """Whether it could be a mass loss, were all that were not observed since gone as well.

        So a few that cannot be read, for whatever reason, hold nobody up.
        """
        most = most_lost(self._expected()) - self._lost()
        return next(islice(self._unobserved(item), max(most, 0), None), None) is not None

    def _is_accepted(self, meta: ObjectMeta) -> bool:
        return is_new_acceptance(meta.annotation("accept-loss"), self._accept_before.get(meta.uid))

    def _lost(self) -> int:
        """How many buckets of ours are absent, without those whose loss a person accepted."""
        found = ((item, self._store.buckets.get(item.ref)) for item in self._lost_at)
        return sum(
            bucket is not None
            and bucket.metadata.uid == item.uid
            and is_expected(bucket)
            and not self._is_accepted(bucket.metadata)
            for item, bucket in found
        )

    def _expected(self) -> int:
        """How many buckets ought to be there; counted once a second, since this is asked often."""
        at, count = self._counted
        if self._clock() - at > 1.0:
            count = sum(map(is_expected, self._store.buckets.values()))
            self._counted = self._clock(), count
        return count

    # -- who is observed next --------------------------------------------------------------------

    def _observe_the_others(self, item: ObjectId) -> None:
        """One of ours is gone: is it alone? A few are asked at once, many by the resync."""
        others = list(islice(self._unobserved(item), _FEW + 1))
        if len(others) > _FEW:
            return
        for other in others:
            self._memories.bucket(other.uid).stale = True
            self._queue.add(other)
        # With many, each would requeue all the others: they have a retry of their own.
        self._requeue_absent()

    def _unobserved(self, item: ObjectId) -> Iterator[ObjectId]:
        """The buckets that ought to be there, and gave no clear answer since ``item`` was lost."""
        since = self._lost_at.get(item)
        if since is None:
            return
        for bucket in self._store.buckets.values():
            other = bucket.object_id
            if other == item or other in self._lost_at:
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
