"""Too much gone at once is an account's trouble, not an absence: the guards against a mass loss.

Said of buckets in docs/bucket-protocol.md, "Losing"; of keys in docs/key-protocol.md, "When nothing
may be concluded".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from amove_operator.controllers.shared.memory import BucketMemory, Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Absent, BucketLoss
from amove_operator.core.conditions import deletion_begun, reason_of
from amove_operator.core.key_list import KeyList
from amove_operator.core.mass_loss import is_mass_loss, most_lost
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.models import AmoveBucket, AmoveStorageKey, ObjectMeta
from amove_operator.models.refs import ObjectId
from amove_operator.telemetry import Metrics

_FEW = 50


def _is_new_acceptance(meta: ObjectMeta, before: str | None) -> bool:
    """Whether ``accept-loss`` was set to a new value after the loss was seen."""
    value = meta.annotation("accept-loss")
    return bool(value) and value != before


def is_being_ended(seen: Object) -> bool:
    """Whether status says that its bucket or key is deleted at the service by ourselves."""
    return seen.metadata.deleting and deletion_begun(seen.status.conditions)


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
        return _is_new_acceptance(meta, self._accept_before.get(meta.uid))

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


@dataclass(slots=True)
class KeyLosses:
    """Which AmoveStorageKeys miss the key that status names, by complete lists.

    ``missing``: their UIDs. ``is_mass``: more than max(3, 20 %) of the known keys are missing.
    """

    _store: Store
    _memories: Memories
    _settle: float
    _accept_before: dict[str, str | None] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    is_mass: bool = False

    def observe(self, listing: KeyList) -> None:
        """Judge every known key by a complete list.

        Known are the keys that status names. One that this process issued or revoked is judged
        only by a list that can show it.
        """
        known = missing = 0
        for key in self._store.keys.values():
            current, uid = key.proven.key, key.metadata.uid
            dead = current is None or current.dead or key.metadata.let_go
            if current is None or dead or self._changed_since(uid, current.id, listing):
                self.missing.discard(uid)
                continue
            gone = current.id not in listing.owners
            self._note(key, gone=gone)
            if not is_being_ended(key):  # by us, now or before a restart: no loss
                known += 1
                missing += gone
        self.is_mass = is_mass_loss(missing, known)

    def accepted(self, key: AmoveStorageKey) -> bool:
        """Whether ``accept-loss`` was set to a new value after the loss was seen."""
        now = key.metadata.annotation("accept-loss")
        return _is_new_acceptance(key.metadata, self._accept_before.get(key.metadata.uid, now))

    def other_user(self, key: AmoveStorageKey) -> None:
        """A key came back for another user: only a later ``accept-loss`` accepts that."""
        self._accept_before[key.metadata.uid] = key.metadata.annotation("accept-loss")

    def unexplained(self) -> set[str]:
        """The UIDs of CRs whose key a list lacks although we did not revoke it.

        Keys of CRs being deleted are left out: a foreign finalizer could keep such a CR, and its
        missing key, for ever.
        """
        if not self.missing:
            return set()
        keys = self._store.keys.values()
        return self.missing - {key.metadata.uid for key in keys if is_being_ended(key)}

    def forget(self, uid: str) -> None:
        """The AmoveStorageKey is gone."""
        self.missing.discard(uid)
        self._accept_before.pop(uid, None)

    def _changed_since(self, uid: str, key_id: str, listing: KeyList) -> bool:
        memory = self._memories.keys.get(uid)
        if memory is None:
            return False
        made = memory.expectations
        recent = {key.id for key, at in made.created if listing.begun < at + self._settle}
        return key_id in recent or made.was_deleted(key_id)

    def _note(self, key: AmoveStorageKey, *, gone: bool) -> None:
        """Note a loss with the ``accept-loss`` of that moment: only a later value accepts it."""
        uid = key.metadata.uid
        memory = self._memories.keys.get(uid)
        noted = uid in self.missing or (memory is not None and memory.expectations.user_changed)
        (self.missing.add if gone else self.missing.discard)(uid)
        if not noted:
            self._accept_before[uid] = key.metadata.annotation("accept-loss")
