"""What keeps each container of the process from growing over weeks: one row for each.

A row says how many members there may be while nothing is under way, as a function of what exists;
and in words why. Where a row says ``exactly``, fewer would be a fault as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.unit.leaks.containers import Size


@dataclass(frozen=True)
class Existing:
    """What there is: objects of each kind with those whose end waits, Secrets, live keys."""

    buckets: int
    keys: int
    secrets: int
    live: int

    @property
    def objects(self) -> int:
        return self.buckets + self.keys


Count = Callable[[Existing], int]


@dataclass(frozen=True)
class Bound:
    """``most``: of all such containers together, or of each of them alone."""

    most: Count
    exact: bool = False
    each: bool = False

    def fault(self, size: Size, existing: Existing) -> str | None:
        found = size.largest if self.each else size.total
        most = self.most(existing)
        if found > most or (self.exact and found < most):
            return f"{found} members where there should be {'' if self.exact else 'at most '}{most}"
        return None


def exactly(most: Count) -> Bound:
    return Bound(most, exact=True)


def at_most(most: Count) -> Bound:
    return Bound(most)


def constant(number: int) -> Bound:
    """By a limit in the code, or by what is wired."""
    return Bound(lambda _: number)


def each(number: int) -> Bound:
    """Of each such container: a value of a few parts, or as many as the definitions allow."""
    return Bound(lambda _: number, each=True)


def buckets(existing: Existing) -> int:
    return existing.buckets


def keys(existing: Existing) -> int:
    return existing.keys


def objects(existing: Existing) -> int:
    return existing.objects


def secrets(existing: Existing) -> int:
    return existing.secrets


def live(existing: Existing) -> int:
    return existing.live


def _several(count: Count, times: int) -> Count:
    return lambda existing: times * count(existing)


NOTHING = constant(0)
"""Only of what is under way."""
_MOST_NAMES = 64
"""A key names at most so many buckets (the definition's maxItems)."""
_MOST_RETIRING = 4
"""Beside the key in use; one at rest, and what a fault leaves until the next pass."""
_SCOPES = 4
"""Of the last keys that this process issued for an object (Expectations)."""

BOUNDS: dict[str, Bound] = {
    # The store has what exists, and its indexes are of that.
    "Store.buckets": at_most(buckets),
    "Store.keys": at_most(keys),
    "Store._by_uid": exactly(objects),
    "Store.faults": at_most(objects),
    "Store.vanished": at_most(objects),
    "Store.unconfirmed": NOTHING,
    "History._newest": constant(2),  # kinds
    "Store.unserved": at_most(objects),
    "Store._by_bucket_name._items": at_most(buckets),
    "Store._by_bucket_name._items[]": at_most(buckets),
    "Store._by_bucket_name._names": at_most(buckets),
    "Store._by_bucket_name._names[]": at_most(buckets),
    "Store._by_bucket_ref._items": at_most(_several(keys, _MOST_NAMES)),
    "Store._by_bucket_ref._items[]": at_most(_several(keys, _MOST_NAMES)),
    "Store._by_bucket_ref._names": at_most(keys),
    "Store._by_bucket_ref._names[]": at_most(_several(keys, _MOST_NAMES)),
    "Store._by_bucket_ref._names[][]": each(2),
    "Store._by_secret._items": at_most(keys),
    "Store._by_secret._items[]": at_most(_several(keys, 3)),
    "Store._by_secret._names": at_most(keys),
    "Store._by_secret._names[]": at_most(keys),
    "ObjectCounts._issuers": at_most(keys),
    "ObjectCounts._issuers[]": each(2),
    # Two numbers, and one for each kind, readiness and reason of ours.
    "ObjectCounts._counts": constant(2 + 2 * 2 * 50),
    "ObjectCounts._counts[]": each(3),
    # A moment for each object; of those that moved on, as many again and 64 may lie in a heap.
    "ObjectCounts.unready_since": constant(4),
    "ObjectCounts.unready_since[]": each(2),
    "ObjectCounts.issued._moments": at_most(keys),
    "ObjectCounts.issued._moments[]": each(2),
    "ObjectCounts.issued._heap": at_most(lambda existing: 2 * existing.keys + 64),
    "ObjectCounts.issued._heap[]": each(3),
    "ObjectCounts.rotations._moments": at_most(keys),
    "ObjectCounts.rotations._moments[]": each(2),
    "ObjectCounts.rotations._heap": at_most(lambda existing: 2 * existing.keys + 64),
    "ObjectCounts.rotations._heap[]": each(3),
    "ObjectCounts.revocations_due._moments": at_most(keys),
    "ObjectCounts.revocations_due._moments[]": each(2),
    "ObjectCounts.revocations_due._heap": at_most(lambda existing: 2 * existing.keys + 64),
    "ObjectCounts.revocations_due._heap[]": each(3),
    "ObjectCounts.unready_since[]._moments": at_most(objects),
    "ObjectCounts.unready_since[]._moments[]": each(2),
    "ObjectCounts.unready_since[]._heap": at_most(lambda existing: 2 * existing.objects + 4 * 64),
    "ObjectCounts.unready_since[]._heap[]": each(3),
    "KeyIndex._by_owner._items": exactly(keys),
    "KeyIndex._by_owner._items[]": exactly(keys),
    "KeyIndex._by_owner._names": exactly(keys),
    "KeyIndex._by_owner._names[]": exactly(keys),
    "KeyIndex._naming._items": at_most(_several(keys, 1 + _MOST_RETIRING)),
    "KeyIndex._naming._items[]": at_most(_several(keys, 1 + _MOST_RETIRING)),
    "KeyIndex._naming._names": exactly(keys),
    "KeyIndex._naming._names[]": at_most(_several(keys, 1 + _MOST_RETIRING)),
    "KeyIndex._reaching._items": at_most(_several(keys, _MOST_NAMES)),
    "KeyIndex._reaching._items[]": at_most(_several(keys, _MOST_NAMES)),
    "KeyIndex._reaching._names": exactly(keys),
    "KeyIndex._reaching._names[]": at_most(_several(keys, _MOST_NAMES)),
    "KeyIndex._dead": at_most(keys),
    "KeyIndex._reserved._items": NOTHING,
    "KeyIndex._reserved._names": NOTHING,
    "KeyIndex._reserved._items[]": NOTHING,
    "KeyIndex._reserved._names[]": NOTHING,
    # What left is remembered until a list that was begun later is there.
    "Departed._left": NOTHING,
    "Departed._listed": constant(8),  # one of each kind and watched namespace
    "Departed._listed[]": each(2),
    # What is remembered of an object goes with it (Dependencies.forget).
    "Memories.buckets": exactly(buckets),
    "Memories.keys": exactly(keys),
    "BucketMemory.fingerprint": each(6),
    "KeyMemory.fingerprint": each(6),
    "KeyMemory.refused_revokes": NOTHING,
    "KeyMemory.secret_version": each(2),
    "SecretRecord.retiring": each(_MOST_RETIRING),
    "Written.data": each(16),
    "Written.labels": each(32),
    "Written.annotations": each(32),
    # Expectations: until a list shows it (one comes each six hours here, in which a key is replaced
    # once at most), or as long as status names it.
    "Expectations.created": at_most(keys),
    "Expectations.created[]": each(2),
    "Expectations.deleted": at_most(keys),
    "Expectations.deleted[]": each(2),
    "Expectations.failed_revokes": NOTHING,
    "Expectations.unconfirmed": NOTHING,
    "Expectations.asked": each(1 + _MOST_RETIRING + _SCOPES),
    "Expectations.recorded": each(2),
    # Refusals are awaited up to the budget; the next create that is sent ends what was given back.
    "Expectations.refused": each(3),
    "Expectations.refused[]": each(2),
    "Expectations.given_back": each(3),
    "Expectations.scopes": each(_SCOPES),
    "Expectations.scopes[]": each(2),
    "Scope.buckets": each(_MOST_NAMES),
    # The list is replaced by the next one; what this process did since is added to it.
    "KeyList.owners": at_most(live),
    "KeyList.marked": at_most(live),
    "KeyList.marked[]": at_most(live),
    "KeyList.kept": at_most(_several(live, 40)),  # a mask has 40 bits
    "KeyList.kept[]": at_most(_several(live, 40)),
    "KeyList.unmarked": NOTHING,  # keys that are not of this cluster
    "KeyList.user_ids": constant(1),
    "KeyList.added": at_most(keys),
    "KeyListCache._issued": at_most(keys),
    "KeyListCache._issued[]": each(2),
    "KeyListCache._revoked": at_most(keys),
    "KeyListCache._judges": constant(1),
    "KeyListCache._waiting": NOTHING,
    "KeyListCache.spawn._tasks": NOTHING,
    "Enqueuer.spawn._tasks": NOTHING,
    "OrphanSuspects.suspects": at_most(live),
    "OrphanSuspects.orphans": at_most(live),
    # Secrets as the watch shows them.
    "SecretWatch.known": exactly(secrets),
    "SecretWatch.known[]": each(2),
    "SecretWatch._scopes": constant(4),
    "SecretWatch._unlisted": NOTHING,
    "SecretMeta.annotations": each(2),
    "KnownSecrets._behind": NOTHING,
    "KnownSecrets._by_place": exactly(secrets),
    "KnownSecrets._by_place[]": each(2),
    "KnownSecrets._by_key": at_most(secrets),
    "KnownSecrets._by_key[]": at_most(_several(secrets, 3)),
    # Names: who waits, and who holds a key without an object as long as that is listed.
    "NameRegistry.wanted": at_most(buckets),
    "NameRegistry._holders": at_most(live),
    "NameRegistry._may_have_unlisted": constant(4),  # namespaces, once when the lead is taken
    "Namespaces.unlisted": NOTHING,
    "Namespaces.hidden": NOTHING,
    "BucketLosses._losses": at_most(buckets),
    "BucketLosses._accept_before": at_most(buckets),
    "BucketLosses._counted": at_most(buckets),
    "BucketLosses._accounts": constant(1),
    "Loss.others": NOTHING,
    "AccountBuckets._present": constant(4),  # namespaces
    "AccountBuckets._present[]": at_most(buckets),
    "AccountBuckets.absent": at_most(buckets),
    "AccountBuckets.asked": each(20),
    "Tally._counts": each(4),
    "Tally._having": each(4),
    "Tally._having[]": each(4),
    "KeyLosses.missing": at_most(keys),
    "KeyLosses._accept_before": at_most(keys),
    "KeyLosses._lacked": at_most(keys),
    "KeyLosses._too_new": at_most(keys),
    "StatusWriter._unwritten": at_most(objects),
    # The queue holds what exists: at once (a standby), later, or after failed runs.
    "Dependencies.queue._processing": NOTHING,
    "Dependencies.queue._dirty": NOTHING,
    "Dependencies.queue._at_work": NOTHING,
    "Dependencies.queue._idle": constant(32),  # workers
    "Dependencies.queue._delayed": at_most(objects),
    "Dependencies.queue._schedule": at_most(lambda existing: 2 * existing.objects + 64),
    "Dependencies.queue._schedule[]": each(3),
    "Dependencies.queue._failures": at_most(objects),
    "Dependencies.bucket_names._held": NOTHING,
    "Dependencies.bucket_names._waiting": NOTHING,
    "Dependencies.bucket_names._waiting[]": NOTHING,
    "Dependencies.bucket_names._called": NOTHING,
    # Who waits for a worker (of a standby: everybody), or for a permit.
    "FairLine._classes": constant(2 * 3),
    "FairLine._classes[]": at_most(objects),
    "FairLine._classes[][]": at_most(objects),
    "FairLine._waiting": at_most(objects),
    "FairLine._waiting[]": each(2),
    "FairLine._went_first": constant(2 * 3),
    "FairLine._since": constant(2 * 3),
    "FairLine._since[]": at_most(objects),
    "CallPermits._asked": NOTHING,
    "CallPermits._held": NOTHING,
    "CallPermits._in_use": NOTHING,
    "Census._scopes": each(4),
    # The client and what else is made once.
    "AmoveClient._extensions": constant(1),
    "AmoveClient._extensions[]": constant(4),
    "Breaker._listeners": constant(2),
    "TokenFile._seen": constant(4),
    "CloudAccounts._accounts": constant(0),  # as many as the service has
    "Alarms._events": NOTHING,
    # Events of the ten minutes before the last one, so that none is repeated.
    "EventLog._sent_at": constant(64),
    "EventLog._sent_at[]": each(3),
    # The last credentials, in the few spellings that each may show in.
    "SecretValues._spellings": constant(16 + 128),
    "SecretValues._spellings[]": each(7),
    "SecretValues._starts": constant(7 * (16 + 128)),
    # Labels are words of ours: calls, outcomes, kinds, reasons.
    "Metrics.api_request_duration{}": constant(12),
    "Metrics.api_requests{}": constant(12 * 12),
    "Metrics.keys_revoked{}": constant(10),
    "Metrics.api_errors{}": constant(12 * 20 * 12),  # calls, error codes, statuses
    "Metrics.api_wait_duration{}": constant(3),
    "Metrics.kube_requests{}": constant(20 * 15),  # a method and a resource, statuses
    "LiveGauge._labels": each(3),
    "LiveGauge._values": each(3),
    "LiveGauge._values[]": each(3),
    "Metrics.reconcile{}": constant(2 * 9),
    "Metrics.reconcile_duration{}": constant(2),
}
