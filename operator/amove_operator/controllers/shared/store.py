"""Every object of ours as last seen, with the look-ups that decisions need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any

from amove_operator.controllers.shared.departed import Departed, is_newer
from amove_operator.controllers.shared.history import History
from amove_operator.controllers.shared.key_index import KeyIndex
from amove_operator.controllers.shared.object_counts import ObjectCounts
from amove_operator.core.conditions import Conclusion
from amove_operator.core.naming import Marker
from amove_operator.core.reading import Object, Seen, read_object
from amove_operator.engine.index import Index
from amove_operator.engine.slices import in_slices
from amove_operator.errors import Conflict
from amove_operator.models import AmoveBucket, AmoveStorageKey, BucketStatus, KeyStatus
from amove_operator.models.refs import Kind, ObjectId, Ref


def is_unserved(seen: Object) -> bool:
    """Whether there is something to serve should this object be gone all at once.

    One that goes without our finalizer was let go of before, and only somebody else kept it.
    """
    if seen.metadata.finalized_by_us:
        return True
    if seen.metadata.let_go:
        return False
    if isinstance(seen, AmoveBucket):
        return seen.proven.provenance is not None or bool(seen.proven.create_intent)
    return bool(seen.named_keys)


class Store:
    """All objects by reference, and by identity those that vanished and still need their end.

    Of each object there is one copy: as it is, or as it was last seen before it vanished.

    An object *vanishes* when it is gone without our finalizer's protocol: somebody took the
    finalizer off, or forced the deletion. Its last copy, marked ``metadata.vanished``, is served
    like an object that is being deleted, so that its keys are revoked.

    ``unserved``: the UIDs of objects whose protocol is not served to its end as far as we saw.
    ``unconfirmed``: objects that seem to have vanished, also if an event shows one again meanwhile,
    of which it is not proven yet; since when no GET shows them (monotonic), infinity where none was
    answered yet.
    """

    def __init__(self) -> None:
        self.buckets: dict[Ref, AmoveBucket] = {}
        self.keys: dict[Ref, AmoveStorageKey] = {}
        self.vanished: dict[ObjectId, Object] = {}
        self.unconfirmed: dict[ObjectId, float] = {}
        self.unserved: set[str] = set()
        self.departed = Departed()
        self.history = History()
        self.faults: dict[Ref, Conclusion] = {}
        self.key_index = KeyIndex()
        self.counts = ObjectCounts()
        self._by_uid: dict[str, Object] = {}
        self._by_bucket_name: Index[str, ObjectId] = Index()
        self._by_bucket_ref: Index[tuple[str, str], ObjectId] = Index()
        self._by_secret: Index[tuple[str, str], ObjectId] = Index()
        self._on_bucket: Callable[[ObjectId], None] = lambda _item: None

    def subscribe_to_buckets(self, changed: Callable[[ObjectId], None]) -> None:
        """Have an AmoveBucket counted anew whenever it is taken in, or is gone."""
        self._on_bucket = changed

    def __iter__(self) -> Iterator[ObjectId]:
        """The objects that are there, buckets first."""
        present: list[Object] = [*self.buckets.values(), *self.keys.values()]
        return iter([seen.object_id for seen in present])

    def get(self, ref: Ref) -> Object | None:
        """The object of that name as last seen."""
        return self.buckets.get(ref) if ref.kind is Kind.BUCKET else self.keys.get(ref)

    def find(self, uid: str) -> Object | None:
        """That very object, also after it vanished."""
        return self._by_uid.get(uid)

    # -- taking in -------------------------------------------------------------------------------

    def put(self, kind: Kind, body: Mapping[str, Any]) -> Object | None:
        """Take in an object. Returns it, or ``None`` if what we have is as new or says the same."""
        ref = Ref.of(kind, body["metadata"])
        if not self.is_news(ref, body["metadata"]):
            return None
        known, fault = self.get(ref), self.faults.get(ref)
        parsed = self._take_in(kind, body)
        same = known is not None and self.faults.get(ref) == fault and _same(known, parsed)
        return None if same else parsed

    def put_back(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Take in an object that a GET shows, although a watch or a list said that it is gone."""
        self.departed.forget(body["metadata"]["uid"])
        self._take_in(kind, body)

    def is_news(self, ref: Ref, meta: Mapping[str, Any]) -> bool:
        """Whether the object of that metadata is newer than what we have, or know to be past."""
        known = self.get(ref)
        unknown = known is None or known.metadata.uid != meta["uid"]
        if unknown and self.departed.is_stale(ref, meta):
            return False
        version = meta.get("resourceVersion", "")
        return known is None or is_newer(version, known.metadata.resource_version)

    def _take_in(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        parsed, fault = read_object(kind, body)
        self.history.note(kind, parsed.metadata.resource_version)
        self.faults.pop(parsed.object_id.ref, None)
        if fault is not None:
            self.faults[parsed.object_id.ref] = fault
        self._index(parsed)
        self.note_unserved(parsed)
        return parsed

    def _index(self, seen: Object) -> None:
        self._hold(seen)
        item, namespace = seen.object_id, seen.metadata.namespace
        if isinstance(seen, AmoveBucket):
            self._by_bucket_name.put(item, [seen.bucket_name])
            self._on_bucket(item)
            return
        self._by_bucket_ref.put(
            item, [(namespace, one.name) for one in seen.spec.bucket_refs or ()]
        )
        self._by_secret.put(item, [(namespace, seen.secret_name)])

    def _hold(self, seen: Object) -> None:
        """This is our copy of that very object from now on."""
        item = seen.object_id
        self._by_uid[item.uid] = seen
        self.vanished.pop(item, None)  # by an event that is newer than its end seemed to be
        if seen.metadata.vanished:
            self.vanished[item] = seen
        elif isinstance(seen, AmoveBucket):
            self.counts.moved(self.buckets.get(item.ref), seen)
            self.buckets[item.ref] = seen
        else:
            self.counts.moved(self.keys.get(item.ref), seen)
            self.keys[item.ref] = seen
        if isinstance(seen, AmoveStorageKey):
            self.key_index.put(seen)

    def note_status(self, seen: Seen, status: BucketStatus | KeyStatus) -> Seen:
        """Our copy of that very version says what could not be written, or has no place any more.

        Of a vanished object there is nothing but our copy.
        """
        noted = seen.with_status(status)
        if self.find(seen.metadata.uid) is seen:
            self._hold(noted)
        return noted

    # -- letting go ------------------------------------------------------------------------------

    async def lead_begins(self, unlisted: Collection[str]) -> None:
        """What is there now, in every namespace that can be listed, is this process's to serve.

        Walked in slices before the lead begins: until then nobody asks for it, and what an event
        shows meanwhile is noted by itself.
        """
        async for item in in_slices(self):
            if (seen := self.find(item.uid)) is None:
                continue
            self.unserved.discard(item.uid)
            if item.ref.namespace not in unlisted:
                self.note_unserved(seen)

    def note_unserved(self, seen: Object) -> None:
        """This object was seen as it is: should it vanish, its protocol is to be served."""
        if is_unserved(seen):
            self.unserved.add(seen.metadata.uid)

    @contextmanager
    def letting_go(self, item: ObjectId) -> Iterator[None]:
        """The finalizer comes off: its protocol is served, and its end no surprise.

        After a Conflict the object is not as it was read, and is judged anew.
        """
        self.unserved.discard(item.uid)
        self.departed.note_let_go(item.ref, item.uid)
        try:
            yield
        except Conflict:
            if item not in self.vanished and self.find(item.uid) is not None:
                self.unserved.add(item.uid)
                self.departed.forget(item.uid)
            raise

    def forget(self, uid: str) -> None:
        """That very object is served to its end; one made anew under its name stays."""
        if (seen := self.find(uid)) is None:
            return
        item = seen.object_id
        self.unconfirmed.pop(item, None)
        if self.vanished.pop(item, None) is None:
            self.drop(item.ref)
        else:
            self.key_index.drop(uid)
            del self._by_uid[uid]

    def drop(self, ref: Ref) -> None:
        """Forget the object of that name: it is gone."""
        self.faults.pop(ref, None)
        last = self.buckets.pop(ref, None) or self.keys.pop(ref, None)
        if last is None:
            return
        item = last.object_id
        self.counts.moved(last, None)
        for index in (self._by_bucket_name, self._by_bucket_ref, self._by_secret):
            index.drop(item)
        self.key_index.drop(item.uid)
        del self._by_uid[item.uid]
        self.unserved.discard(item.uid)
        self._on_bucket(item)

    def keep_vanished(self, last: Object) -> None:
        """Keep an object that seems to have vanished until its protocol is served."""
        self.unconfirmed[last.object_id] = inf
        self._hold(last.as_vanished())

    def confirm_vanished(self, item: ObjectId) -> None:
        """A GET shows that the object is gone, whatever an event showed since: serve its end."""
        self.unconfirmed.pop(item, None)
        last = self.find(item.uid)
        if last is not None and not last.metadata.vanished:
            self.drop(item.ref)
            self._hold(last.as_vanished())

    # -- look-ups --------------------------------------------------------------------------------

    def buckets_named(self, name: str) -> list[AmoveBucket]:
        """Every AmoveBucket that wants that bucket name."""
        return [self.buckets[item.ref] for item in self._by_bucket_name.get(name)]

    def keys_referring_to(self, namespace: str, bucket: str) -> list[ObjectId]:
        """The keys whose ``bucketRefs`` name that AmoveBucket."""
        return self._by_bucket_ref.get((namespace, bucket))

    def keys_writing_to(self, namespace: str, secret: str) -> list[ObjectId]:
        """The keys that write to that Secret."""
        return self._by_secret.get((namespace, secret))

    def keys_reaching(self, name: str) -> list[AmoveStorageKey]:
        """The keys, vanished ones too, of which a live key reaches that bucket name."""
        return self._found(self.key_index.reaching(name))

    def namespaces_binding(self, name: str) -> Iterator[str]:
        """The namespaces whose keys keep a bucket's name from others."""
        for key in self.keys_reaching(name):
            if self.key_index.binds(key, name):
                yield key.metadata.namespace

    def owner_of(self, marker: Marker) -> AmoveStorageKey | None:
        """The object of a marker, as long as it is there or its end is being served."""
        return next(iter(self._found(self.key_index.of_marker(marker))), None)

    def _found(self, uids: Iterable[str]) -> list[AmoveStorageKey]:
        found = (key for key in map(self.find, uids) if isinstance(key, AmoveStorageKey))
        return sorted(found, key=lambda key: key.object_id)


def _same(known: Object, now: Object) -> bool:
    """Whether nothing that is acted on differs: labels and what is others' come and go."""
    moved = ("resource_version", "finalizer_at", "finalizer_count")
    if known.metadata.finalized_by_us != now.metadata.finalized_by_us:
        return False
    as_now = {name: getattr(now.metadata, name) for name in moved}
    before = known.metadata.model_copy(update=as_now)
    acted_on = (known.spec, known.status, known.unread_status)
    return before == now.metadata and acted_on == (now.spec, now.status, now.unread_status)
