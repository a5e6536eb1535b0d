"""Too many buckets gone at once is an account's trouble: the guard against a mass loss of buckets.

Said in docs/bucket-protocol.md, "Losing". What is counted is counted as objects change, so that no
observation costs work that grows with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from amove_operator.controllers.shared.account_buckets import AccountBuckets, Counted
from amove_operator.controllers.shared.memory import BucketMemory, Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Absent, BucketLoss
from amove_operator.core.conditions import reason_of
from amove_operator.core.mass_loss import (
    Tally,
    holds_up,
    is_being_ended,
    is_mass_loss,
    is_new_acceptance,
)
from amove_operator.core.reasons import Reason
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.models import AmoveBucket, ObjectMeta
from amove_operator.models.refs import ObjectId
from amove_operator.telemetry import Metrics


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
class Loss:
    """One absence: when it was first seen, and the others that say whether it is alone."""

    item: ObjectId
    account: str
    at: float
    others: list[ObjectId] = field(default_factory=list)
    confirmed: bool = False


class BucketLosses:
    """Which of our buckets are absent, and whether that may be acted on.

    Example: of 100 buckets 21 are absent. One of them would be created again, and 21 of them too,
    one by one, though the account was only switched off. So the first absence has 20 others of its
    account observed; each of these that is absent has 20 more observed. Nothing is done about an
    absence as long as its others could be part of a mass loss, nor in one.
    """

    def __init__(
        self, store: Store, memories: Memories, queue: WorkQueue[ObjectId], metrics: Metrics
    ) -> None:
        self._store = store
        self._memories = memories
        self._queue = queue
        self._metrics = metrics
        self._losses: dict[str, Loss] = {}
        self._accept_before: dict[str, str | None] = {}
        self._counted: dict[ObjectId, Counted] = {}
        self._accounts: dict[str, AccountBuckets] = {}
        store.subscribe_to_buckets(self._recount)

    # -- what was observed -----------------------------------------------------------------------

    def observed_absent(self, bucket: AmoveBucket, memory: BucketMemory) -> None:
        """The service says that there is no such bucket, which is no surprise after our own write.

        It counts as lost from the first such answer, and in the metric from the second.
        """
        item, meta = bucket.object_id, bucket.metadata
        self._accept_before.setdefault(meta.uid, meta.annotation("accept-loss"))
        if memory.delete_sent or memory.awaits_effect or not is_expected(bucket):
            return
        loss = self._losses.get(meta.uid)
        if loss is None:
            loss = Loss(item, _account_of(bucket), memory.seen_at)
            self._losses[meta.uid] = loss
            self._recount(item)
            self._observe_others(loss)
        if memory.seen == Absent(confirmed=True) and not loss.confirmed:
            loss.confirmed = True
            self._metrics.buckets_lost.inc()

    def observed_present(self, uid: str) -> None:
        """The bucket is there. What was absent with it may be back as well: it is asked anew."""
        self._accept_before.pop(uid, None)
        self._end(uid, is_back=True)

    def concluded(self, uid: str) -> None:
        """The loss is dealt with: created again, or reported for good."""
        self._end(uid)

    def forget(self, uid: str) -> None:
        """The AmoveBucket is gone."""
        self._end(uid)
        self._accept_before.pop(uid, None)

    def observe_more(self, uid: str) -> None:
        """Ask for more others where all that were asked have answered, and too many are absent."""
        loss = self._losses.get(uid)
        if loss is None or next(self._unanswered(loss), None) is not None:
            return
        if not self._is_mass(loss) and self._may_be_mass(loss):
            self._observe_others(loss)

    # -- verdicts --------------------------------------------------------------------------------

    def verdict(self, bucket: AmoveBucket, memory: BucketMemory) -> BucketLoss:
        """Whether this absence is part of a mass loss; and if not, whether it still may be."""
        if not isinstance(memory.seen, Absent) or self._is_accepted(bucket.metadata):
            return BucketLoss.NONE
        if is_concluded(bucket) and not bucket.metadata.deleting:
            return BucketLoss.NONE  # reported as missing before: nothing is made of it anyhow
        known = self._losses.get(bucket.metadata.uid)
        loss = known or Loss(bucket.object_id, _account_of(bucket), memory.seen_at)
        if self._is_mass(loss):
            return BucketLoss.MASS
        open_yet = known is not None and self._may_be_mass(known)
        return BucketLoss.UNCONFIRMED if open_yet else BucketLoss.NONE

    @property
    def is_mass(self) -> bool:
        """Whether more of an account's buckets are absent than one sweep may lose."""
        each = self._accounts.values()
        return any(is_mass_loss(account.lost.total, account.known.total) for account in each)

    def _is_mass(self, loss: Loss) -> bool:
        account = self._accounts.get(loss.account)
        return account is not None and holds_up(
            loss.item.ref.namespace, account.lost, account.known
        )

    def _may_be_mass(self, loss: Loss) -> bool:
        """Whether it would be a mass loss if the whole account were like the others of this one.

        Those that gave no clear answer since count as absent, as long as that makes a difference.
        Once all of an account have answered, the account's own numbers decide.
        """
        unanswered = set(self._unanswered(loss))
        lost, known = Tally(), Tally()
        for other in (loss.item, *loss.others):
            if (counted := self._counted.get(other)) is not None:
                known.add(counted.namespace)
                if counted.lost or other in unanswered:
                    lost.add(counted.namespace)
        account = self._accounts.get(loss.account)
        all_answered = account is None or (not unanswered and known.total >= account.known.total)
        return not all_answered and holds_up(loss.item.ref.namespace, lost, known)

    def _unanswered(self, loss: Loss) -> Iterator[ObjectId]:
        """The others that ought to be there and gave no clear answer since the loss was seen."""
        for other in loss.others:
            counted = self._counted.get(other)
            if counted is None or counted.lost:
                continue
            memory = self._memories.buckets.get(other.uid)
            if memory is None or memory.seen_at < loss.at:
                yield other

    def _is_accepted(self, meta: ObjectMeta) -> bool:
        return is_new_acceptance(meta.annotation("accept-loss"), self._accept_before.get(meta.uid))

    # -- counting --------------------------------------------------------------------------------

    def _recount(self, item: ObjectId, *, is_back: bool = False) -> None:
        """Count one bucket as it is by now: its object, its loss or the acceptance changed."""
        before, now = self._counted.get(item), self._count_of(item)
        if before == now:
            return
        if before is not None:
            self._discount(item, before, is_back=is_back)
        if now is not None:
            self._counted[item] = now
            account = self._accounts.setdefault(now.account, AccountBuckets())
            account.count(item, now.namespace, lost=now.lost)

    def _discount(self, item: ObjectId, counted: Counted, *, is_back: bool) -> None:
        del self._counted[item]
        account = self._accounts[counted.account]
        account.discount(item, counted.namespace, lost=counted.lost)
        if not account.known.total:
            del self._accounts[counted.account]
        if counted.lost:
            self._requeue_absent(account, observe=is_back)

    def _count_of(self, item: ObjectId) -> Counted | None:
        bucket = self._store.buckets.get(item.ref)
        if bucket is None or bucket.metadata.uid != item.uid or not is_expected(bucket):
            return None
        lost = item.uid in self._losses and not self._is_accepted(bucket.metadata)
        return Counted(_account_of(bucket), item.ref.namespace, lost)

    def _end(self, uid: str, *, is_back: bool = False) -> None:
        if (loss := self._losses.pop(uid, None)) is not None:
            self._recount(loss.item, is_back=is_back)

    # -- who is observed next --------------------------------------------------------------------

    def _observe_others(self, loss: Loss) -> None:
        """One of ours is gone: is it alone? Losses seen at the same time share their others."""
        account = self._accounts.get(loss.account)
        if account is None:
            return
        memories = self._memories
        asked = (memories.buckets.get(one.uid) for one in account.asked)  # some may be gone
        if loss.others or not any(one is not None and one.stale for one in asked):
            account.asked = account.some_present({loss.item, *loss.others})
        loss.others += [other for other in account.asked if other != loss.item]
        for other in self._unanswered(loss):
            memories.bucket(other.uid).stale = True
            self._queue.add(other)

    def _requeue_absent(self, account: AccountBuckets, *, observe: bool) -> None:
        """One loss fewer: a few others may go on, or be back; each that is wakes a few more."""
        for item in account.some_absent():
            memory = self._memories.bucket(item.uid)
            memory.stale = memory.stale or observe
            self._queue.add(item)


def _account_of(bucket: AmoveBucket) -> str:
    """Its cloud account, which is pinned from its first use on."""
    return bucket.proven.cloud_account_id or bucket.spec.cloud_account_id or ""
