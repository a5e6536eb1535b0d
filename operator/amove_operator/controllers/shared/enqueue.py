"""Who is reconciled again when something changed: so that nothing waits for the resync."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets, claimed_key
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.name_registry import holds_claim
from amove_operator.controllers.shared.store import Store
from amove_operator.core.buckets.snapshot import Unknown
from amove_operator.core.conditions import is_true, reason_of
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.engine.background import Background, Spawn
from amove_operator.engine.slices import in_slices
from amove_operator.engine.workqueue import WorkQueue
from amove_operator.fairness import Urgency
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveBucket, AmoveStorageKey
from amove_operator.models.refs import Kind, ObjectId, Ref
from amove_operator.models.shared import ACTED_ON


class Enqueuer:
    """Adds to the queue the objects that a change concerns; the queue drops duplicates.

    Whoever may be many is added in slices, so that nobody waits for the last of them. What comes
    meanwhile is enqueued by its own event; what is gone by its turn is passed over. ``spawn`` adds
    them beside all else.
    """

    def __init__(
        self,
        queue: WorkQueue[ObjectId],
        store: Store,
        memories: Memories,
        secrets: KnownSecrets,
        key_lists: KeyListCache,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        field_manager: str,
    ) -> None:
        self._add, self._add_after = queue.add, queue.add_after
        self._store = store
        self._memories = memories
        self._secrets = secrets
        self._key_lists = key_lists
        self._clock, self._now = clock, now
        self._field_manager = field_manager
        self.spawn: Spawn = Background("enqueue")

    def claimants(self, name: str) -> None:
        """Every AmoveBucket that wants the name: the name, or a key that reached it, went free.

        What was observed for one that waits may be long past: it is observed anew.
        """
        for bucket in self._store.buckets_named(name):
            if _has_its_name(bucket):
                continue
            memory = self._memories.buckets.get(bucket.metadata.uid)
            if memory is not None and bucket.proven.provenance is None:
                memory.stale = True
            self._add(bucket.object_id)
        for item, last in self._store.vanished.items():
            if isinstance(last, AmoveBucket) and last.bucket_name == name:
                self._add(item)

    def waiting(self, names: Iterable[str]) -> None:
        """Only the buckets whose condition says that they wait for a key."""
        for name in names:
            for bucket in self._store.buckets_named(name):
                synced = reason_of(bucket.status.conditions, "Synced")
                if synced in (Reason.NameInUse, Reason.DeletionBlocked):
                    self._add(bucket.object_id)

    def keys_reaching(self, name: str) -> None:
        """The keys that reach a bucket name: it may be another team's by now."""
        for key in self._store.keys_reaching(name):
            self._add(key.object_id)

    def keys_of(self, bucket: Ref) -> None:
        """The keys that refer to an AmoveBucket: it became ready, or unready, or went."""
        for item in self._store.keys_referring_to(bucket.namespace, bucket.name):
            self._add(item)

    def concerned_by(self, before: AmoveBucket, after: AmoveBucket) -> None:
        """Keys wait for a bucket to be ready; rivals for its name wait for its claim to go."""
        if after.status == before.status:
            return
        self.keys_of(after.object_id.ref)
        if holds_claim(before) and not holds_claim(after):
            self.claimants(after.bucket_name)
        if before.proven.provenance is None and after.proven.provenance is not None:
            for rival in self._store.buckets_named(after.bucket_name):
                if rival.metadata.uid != after.metadata.uid:
                    self._add(rival.object_id)

    def freed_by(self, gone: Object) -> None:
        """Whoever waits for the end of an object, and for the bucket names that go free with it."""
        if isinstance(gone, AmoveBucket):
            self.claimants(gone.bucket_name)
        else:
            self.buckets_of(gone)

    def buckets_of(self, key: AmoveStorageKey) -> None:
        """The buckets that a key referred to or reached: their deletion or claim may wait."""
        for named in key.spec.bucket_refs or ():
            ref = Ref(Kind.BUCKET, key.metadata.namespace, named.name)
            bucket = self._store.buckets.get(ref)
            if bucket is not None and not _has_its_name(bucket):
                self._add(bucket.object_id)
        for name in key.reached_buckets:
            self.claimants(name)

    async def all(self) -> None:
        """Everybody, as this process took the lead or learnt the accounts: the settled at last.

        A settled key whose Secret is there waits for the first key list, with which it is compared:
        served before that as well, each of ten thousand would be served twice.
        """
        async for item in in_slices((*self._store.vanished, *self._store)):
            seen = self._store.find(item.uid)
            if seen is not None and not self._waits_for_list(seen):
                self._by_need(seen)

    def after_first_list(self, items: Collection[ObjectId]) -> None:
        """These keys, the settled at last: what an earlier process minted is known by now.

        One that is as it was left, as far as can be told without reading its Secret, is the
        sweep's, or its rotation's if that is due before: the Secrets of ten thousand are not all
        read because a process was replaced.
        """
        self.spawn(self._all_by_need(items))

    async def _all_by_need(self, items: Collection[ObjectId]) -> None:
        async for item in in_slices(items):
            seen = self._store.find(item.uid)
            if isinstance(seen, AmoveStorageKey) and self._is_as_left(seen):
                if (due := seen.proven.next_rotation) is not None:
                    left = (due - self._now()).total_seconds()
                    self._add_after(item, left, Urgency.SWEEP)
            elif seen is not None:
                self._by_need(seen)

    def _by_need(self, seen: Object) -> None:
        settled = not seen.metadata.vanished and is_settled(seen)
        self._add(seen.object_id, Urgency.SWEEP if settled else Urgency.CHANGE)

    def _waits_for_list(self, seen: Object) -> bool:
        """Whether all that a settled key may need is found out with the first list, and not now."""
        if not isinstance(seen, AmoveStorageKey) or self._key_lists.latest is not None:
            return False
        return self._shown_settled(seen) is not None

    def _shown_settled(self, key: AmoveStorageKey) -> SecretMeta | None:
        """The Secret of a settled key, where it is shown and says to hold the key of status."""
        meta, status = key.metadata, key.proven
        if meta.vanished or meta.paused or status.key is None or status.retiring:
            return None
        shown = self._secrets.get((meta.namespace, key.secret_name))
        held = shown is not None and claimed_key(shown) == status.key.id
        return shown if held and is_settled(key) else None

    def _is_as_left(self, key: AmoveStorageKey) -> bool:
        """Whether a list shows the key of status and no other, and nobody wrote to its Secret.

        Not where a person asks for something by annotation: what was done of it says the Secret.
        """
        shown, listing = self._shown_settled(key), self._key_lists.latest
        if shown is None or listing is None or any(map(key.metadata.annotation, ACTED_ON)):
            return False
        if shown.sole_writer != self._field_manager or key.proven.key is None:
            return False
        key_id = key.proven.key.id
        marker = listing.owners.get(key_id)
        return marker is not None and [one.id for one in listing.of_marker(marker)] == [key_id]

    def each(self, items: Collection[ObjectId]) -> None:
        """All of these, soon."""
        if items:
            self.spawn(self._each(items))

    async def _each(self, items: Collection[ObjectId]) -> None:
        async for item in in_slices(items):
            if self._store.find(item.uid) is not None:
                self._add(item)

    def after_outage(self) -> None:
        """Everybody, in no hurry: the service can be reached again, and a list be had."""
        self._key_lists.outage_ended()
        self.spawn(self._all_again(self._clock()))

    async def _all_again(self, since: float) -> None:
        """What could not be asked is asked again; what was asked since then says what it says."""
        async for item in in_slices((*self._store, *self._store.vanished)):
            if self._store.find(item.uid) is None:
                continue
            memory = self._memories.buckets.get(item.uid)
            if memory is not None and isinstance(memory.seen, Unknown) and memory.asked_at < since:
                memory.retry_at = self._clock()
            self._add(item, Urgency.SWEEP)


def is_settled(seen: Object) -> bool:
    """Whether nobody waits for the operator to do something for this object."""
    status, meta = seen.status, seen.metadata
    of_now = status.observed_generation == meta.generation and not meta.deleting
    return of_now and is_true(status.conditions, "Ready") and is_true(status.conditions, "Synced")


def _has_its_name(bucket: AmoveBucket) -> bool:
    """Whether no name that goes free changes anything for it.

    A copy has the status of another object, until its first pass has written its own.
    """
    return is_settled(bucket) and bucket.proven.provenance is not None
