"""What the watches have shown: every object of ours, with the look-ups that decisions need."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from amove_operator.controllers.shared.departed import Departed, is_newer
from amove_operator.core import conditions
from amove_operator.core.conditions import Conclusion
from amove_operator.core.naming import Marker, owner_digest
from amove_operator.core.reading import Object, read_object
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Kind, Ref
from amove_operator.models import (
    AmoveBucket,
    AmoveStorageKey,
    BucketStatus,
    CurrentKey,
    KeyStatus,
    ObjectMeta,
    RetiringKey,
)

AnyObject = TypeVar("AnyObject", AmoveBucket, AmoveStorageKey)
Name = TypeVar("Name", bound=Hashable)


class Ghost(NamedTuple):
    """An object that vanished without our protocol; its UID, since the name may be reused."""

    ref: Ref
    uid: str

    def __str__(self) -> str:
        return f"{self.ref} (vanished, {self.uid})"


Item = Ref | Ghost


class Index(Generic[Name]):
    """Which objects go by a name; an object may go by several."""

    def __init__(self) -> None:
        self._objects: dict[Name, set[Item]] = {}
        self._names: dict[Item, frozenset[Name]] = {}

    def put(self, item: Item, names: Iterable[Name]) -> None:
        """Index ``item`` under exactly these names."""
        self.drop(item)
        self._names[item] = frozenset(names)
        for name in self._names[item]:
            self._objects.setdefault(name, set()).add(item)

    def drop(self, item: Item) -> None:
        """Forget ``item``."""
        for name in self._names.pop(item, ()):
            found = self._objects[name]
            found.discard(item)
            if not found:
                del self._objects[name]

    def get(self, name: Name) -> list[Item]:
        """The objects of that name, in a stable order."""
        return sorted(self._objects.get(name, ()), key=str)


def bucket_name(bucket: AmoveBucket) -> str:
    """The remote name."""
    return bucket.bucket_name


def secret_name(key: AmoveStorageKey) -> str:
    """The Secret's name."""
    return key.secret_name


def own_bucket_status(bucket: AmoveBucket) -> BucketStatus:
    """Status as far as it proves something."""
    return bucket.proven


def own_key_status(key: AmoveStorageKey) -> KeyStatus:
    """Status as far as it proves something."""
    return key.proven


def named_keys(key: AmoveStorageKey) -> tuple[CurrentKey | RetiringKey, ...]:
    """The keys that proven status names."""
    return key.named_keys


def reached_buckets(key: AmoveStorageKey) -> frozenset[str]:
    """The bucket names that the key's live keys reach."""
    return key.reached_buckets


def may_have_unlisted_key(key: AmoveStorageKey) -> bool:
    """Whether a process that ended may have issued a key for it that status does not name.

    Without our finalizer none was asked for; with it, status names a key and every later issue
    was noted before.
    """
    current = own_key_status(key).key
    if current is None:
        return key.metadata.finalized_by_us
    return any(issue.serial > current.serial for issue in own_key_status(key).recent_issues)


def is_unserved(seen: Object) -> bool:
    """Whether there is something to serve should this object be gone all at once.

    One that goes without our finalizer was let go of before, and only somebody else kept it.
    """
    if seen.metadata.finalized_by_us:
        return True
    if seen.metadata.let_go:
        return False
    if isinstance(seen, AmoveBucket):
        status = own_bucket_status(seen)
        return status.provenance is not None or bool(status.create_intent)
    return bool(named_keys(seen))


class Cache:
    """All objects as last seen, by reference; and the ghosts that still need their end.

    ``unserved``: the UIDs of those whose protocol is not served to its end as far as we saw.
    ``suspects``: the ghosts of which no GET has shown yet that their object is gone.
    """

    def __init__(self) -> None:
        self.buckets: dict[Ref, AmoveBucket] = {}
        self.keys: dict[Ref, AmoveStorageKey] = {}
        self.ghosts: dict[Ghost, Object] = {}
        self.suspects: set[Ghost] = set()
        self.unserved: set[str] = set()
        self.departed = Departed()
        self.faults: dict[Ref, Conclusion] = {}
        self._expected: dict[str, tuple[Ref, frozenset[str]]] = {}
        self._by_bucket_name: Index[str] = Index()
        self._by_bucket_ref: Index[Ref] = Index()
        self._by_secret: Index[tuple[str, str]] = Index()
        self._reaching: Index[str] = Index()
        self._named: Index[str] = Index()
        self._by_owner: Index[str] = Index()

    def __iter__(self) -> Iterator[Ref]:
        yield from list(self.buckets)
        yield from list(self.keys)

    def get(self, ref: Ref) -> Object | None:
        """The object as last seen."""
        return self.buckets.get(ref) if ref.kind is Kind.BUCKET else self.keys.get(ref)

    def put(self, ref: Ref, body: Mapping[str, Any]) -> Object | None:
        """Take in an object. Returns it, or ``None`` if what we have is as new or says the same."""
        if not self.is_news(ref, body["metadata"]):
            return None
        known, fault = self.get(ref), self.faults.get(ref)
        parsed = self._take_in(ref, body)
        same = known is not None and self.faults.get(ref) == fault and _same(known, parsed)
        return None if same else parsed

    def put_back(self, ref: Ref, body: Mapping[str, Any]) -> Object:
        """Take in an object that a GET shows, whatever was told of its end."""
        self.departed.forget(body["metadata"]["uid"])
        return self._take_in(ref, body)

    def is_news(self, ref: Ref, meta: Mapping[str, Any]) -> bool:
        """Whether the object of that metadata is newer than what we have, or know to be past."""
        known = self.get(ref)
        if (known is None or known.metadata.uid != meta["uid"]) and self.departed.is_stale(
            ref, meta
        ):
            return False
        version = meta.get("resourceVersion", "")
        return known is None or is_newer(version, known.metadata.resource_version)

    def _take_in(self, ref: Ref, body: Mapping[str, Any]) -> Object:
        parsed, fault = read_object(ref.kind, body)
        if fault is not None:
            self.faults[ref] = fault
        else:
            self.faults.pop(ref, None)
        self._index(ref, parsed)
        self.note_unserved(parsed)
        return parsed

    def note_status(self, ref: Ref, seen: Object, status: BucketStatus | KeyStatus) -> None:
        """Our copy of that very version says what could not be written."""
        if self.get(ref) is seen:
            self._index(ref, seen.with_status(status))

    def note_unserved(self, seen: Object) -> None:
        """This object was seen as it is: should it vanish, its protocol is to be served."""
        if is_unserved(seen):
            self.unserved.add(seen.metadata.uid)

    def let_go(self, ref: Ref, uid: str) -> None:
        """Its protocol is served: its end is no surprise any more."""
        self.unserved.discard(uid)
        self.departed.note_let_go(ref, uid)

    def not_let_go(self, ref: Ref, uid: str) -> None:
        """Letting go failed: the object is not as it was read, and is judged anew."""
        known = self.get(ref)
        if known is not None and known.metadata.uid == uid:
            self.unserved.add(uid)
            self.departed.forget(uid)

    def drop_same(self, ref: Ref, uid: str) -> None:
        """Forget that very object; one that was made anew under its name stays."""
        if (known := self.get(ref)) is not None and known.metadata.uid == uid:
            self.drop(ref)

    def drop(self, ref: Ref) -> Object | None:
        """Forget an object that is gone; returns how it was last seen."""
        self.faults.pop(ref, None)
        for index in (self._by_bucket_name, self._by_bucket_ref, self._by_secret):
            index.drop(ref)
        self._forget_keys_of(ref)
        last = self.buckets.pop(ref, None) or self.keys.pop(ref, None)
        if last is not None:
            self.unserved.discard(last.metadata.uid)
        return last

    def haunt(self, ghost: Ghost, last_seen: Object) -> None:
        """Keep an object that seems to have vanished until its protocol is served."""
        self.ghosts[ghost] = last_seen
        self.suspects.add(ghost)
        if isinstance(last_seen, AmoveStorageKey):
            self._index_keys_of(ghost, last_seen)

    def lay(self, ghost: Ghost) -> None:
        """The ghost's protocol is served, or its object is there."""
        self.ghosts.pop(ghost, None)
        self.suspects.discard(ghost)
        self._forget_keys_of(ghost)

    def buckets_named(self, name: str) -> list[tuple[Ref, AmoveBucket]]:
        """Every AmoveBucket that wants that bucket name."""
        found = (ref for ref in self._by_bucket_name.get(name) if isinstance(ref, Ref))
        return [(ref, self.buckets[ref]) for ref in found]

    def keys_referring_to(self, bucket: Ref) -> list[Ref]:
        """The keys whose ``bucketRefs`` name that AmoveBucket."""
        return [ref for ref in self._by_bucket_ref.get(bucket) if isinstance(ref, Ref)]

    def keys_writing_to(self, namespace: str, secret: str) -> list[Ref]:
        """The keys that write to that Secret."""
        return [ref for ref in self._by_secret.get((namespace, secret)) if isinstance(ref, Ref)]

    def keys_reaching(self, name: str) -> list[tuple[Item, AmoveStorageKey]]:
        """The keys, ghosts too, of which a live key reaches that bucket name."""
        found: list[tuple[Item, AmoveStorageKey]] = []
        for item in self._reaching.get(name):
            seen = self.ghosts.get(item) if isinstance(item, Ghost) else self.keys.get(item)
            if isinstance(seen, AmoveStorageKey):
                found.append((item, seen))
        return found

    def _index(self, ref: Ref, parsed: Object) -> None:
        if isinstance(parsed, AmoveBucket):
            self.buckets[ref] = parsed
            self._by_bucket_name.put(ref, [bucket_name(parsed)])
            return
        self.keys[ref] = parsed
        named = parsed.spec.bucket_refs or ()
        self._by_bucket_ref.put(
            ref, [Ref(Kind.BUCKET, ref.namespace, bucket.name) for bucket in named]
        )
        self._by_secret.put(ref, [(ref.namespace, secret_name(parsed))])
        self._index_keys_of(ref, parsed)

    # -- the keys at the service -----------------------------------------------------------------

    def accounts_for(self, key_id: str) -> bool:
        """Whether some CR's status names that key and the buckets that it reaches."""
        return bool(self._named.get(key_id))

    def is_served(self, marker: Marker | None) -> bool:
        """Whether the CR of a marker, or its ghost, is there and was not let go of."""
        found = self._owner(marker) if marker is not None else None
        return found is not None and not found.metadata.let_go

    def namespace_of(self, marker: Marker) -> str | None:
        """The namespace of the CR of a marker, as long as it is there."""
        owners = self._by_owner.get(marker.owner)
        found = (item.ref if isinstance(item, Ghost) else item for item in owners)
        return next((ref.namespace for ref in found), None)

    def uid_of(self, marker: Marker) -> str | None:
        """The UID of the CR of a marker, as long as it is there."""
        found = self._owner(marker)
        return found.metadata.uid if found is not None else None

    def _owner(self, marker: Marker) -> Object | None:
        for item in self._by_owner.get(marker.owner):
            found = self.ghosts.get(item) if isinstance(item, Ghost) else self.keys.get(item)
            if found is not None:
                return found
        return None

    def _index_keys_of(self, item: Item, key: AmoveStorageKey) -> None:
        self._reaching.put(item, self._all_reached(key))
        self._named.put(item, (one.id for one in named_keys(key) if not one.dead))
        self._by_owner.put(item, [owner_digest(key.metadata.uid)])

    def _forget_keys_of(self, item: Item) -> None:
        for index in (self._reaching, self._named, self._by_owner):
            index.drop(item)

    # -- names that a key is about to reach ------------------------------------------------------

    def expect(self, ref: Ref, uid: str, names: Iterable[str]) -> None:
        """A key for these names is about to be issued: they count before status can say so."""
        self._expected[uid] = ref, self._expected_of(uid) | frozenset(names)
        self._index_reach(uid)

    def expect_nothing(self, uid: str) -> frozenset[str]:
        """Status names every key of that CR by now, or none is left; the names held till now."""
        if uid not in self._expected:
            return frozenset()
        ref, names = self._expected[uid]
        self._expected[uid] = ref, frozenset()
        self._index_reach(uid)
        del self._expected[uid]
        return names

    def _index_reach(self, uid: str) -> None:
        ref, _ = self._expected[uid]
        ghost = Ghost(ref, uid)
        for item, key in ((ref, self.keys.get(ref)), (ghost, self.ghosts.get(ghost))):
            if isinstance(key, AmoveStorageKey) and key.metadata.uid == uid:
                self._reaching.put(item, self._all_reached(key))

    def _expected_of(self, uid: str) -> frozenset[str]:
        return self._expected[uid][1] if uid in self._expected else frozenset()

    def binds(self, key: AmoveStorageKey, name: str) -> bool:
        """Whether the key keeps a bucket's name from other namespaces: one of ``bucketRefs`` does.

        Keys of ``bucketNames``, as only trusted namespaces may have, block nobody.
        """
        if name in self._expected_of(key.metadata.uid):
            return True
        return any(one.issued_for is None and name in one.buckets for one in named_keys(key))

    def namespaces_binding(self, name: str) -> Iterator[str]:
        """The namespaces whose keys keep a bucket's name from others."""
        for _, key in self.keys_reaching(name):
            if self.binds(key, name):
                yield key.metadata.namespace

    def _all_reached(self, key: AmoveStorageKey) -> frozenset[str]:
        return reached_buckets(key) | self._expected_of(key.metadata.uid)


def _same(known: Object, now: Object) -> bool:
    """Whether nothing that is acted on differs: labels and what is others' come and go."""
    moved = ("resource_version", "finalizer_at", "finalizer_count")
    if known.metadata.finalized_by_us != now.metadata.finalized_by_us:
        return False
    as_now = {name: getattr(now.metadata, name) for name in moved}
    before = known.metadata.model_copy(update=as_now)
    return (before, known.spec, known.status) == (now.metadata, now.spec, now.status)


def count_objects(cache: Cache, kind: Kind, *, ready: bool) -> int:
    """How many objects of a kind are Ready, or are not."""
    found = cache.buckets.values() if kind is Kind.BUCKET else cache.keys.values()
    return sum(conditions.is_true(one.status.conditions, "Ready") == ready for one in found)


def count_exhausted_keys(cache: Cache) -> int:
    """How many AmoveStorageKeys wait because they had too many keys issued."""
    return sum(_says(key, Reason.MintBudgetExhausted) for key in cache.keys.values())


def count_untrusted_keys(cache: Cache) -> int:
    """How many AmoveStorageKeys hold a live key that their namespace is not trusted with."""
    return sum(
        own_key_status(key).key is not None and _says(key, Reason.NotPermitted)
        for key in cache.keys.values()
    )


def _says(key: AmoveStorageKey, reason: Reason) -> bool:
    return any(one.reason == reason for one in key.status.conditions)


def fingerprint(meta: ObjectMeta) -> tuple[object, ...]:
    """What a person changes to have an object looked at anew."""
    return (
        meta.generation,
        meta.deleting,
        meta.annotation("paused"),
        meta.annotation("reconcile-requested-at"),
        meta.annotation("rotate-requested-at"),
        meta.annotation("accept-loss"),
    )
