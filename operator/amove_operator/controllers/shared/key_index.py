"""Which object has which keys at the service, and which bucket names those reach."""

from __future__ import annotations

from collections.abc import Iterable

from amove_operator.core.naming import Marker, owner_digest
from amove_operator.engine.index import Index
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import ObjectId


class KeyIndex:
    """Look-ups over AmoveStorageKeys, those too that vanished and whose keys are still live.

    A key that is about to be issued reaches buckets before status can say so. Its names are
    *reserved* until status names every live key of its object: else a name could go to another
    team between the create and the write of status.
    """

    def __init__(self) -> None:
        self._reserved: Index[str, str] = Index()
        self._reaching: Index[str, ObjectId] = Index()
        self._naming: Index[str, ObjectId] = Index()
        self._by_owner: Index[str, ObjectId] = Index()

    def put(self, item: ObjectId, key: AmoveStorageKey) -> None:
        """Index an object as it is now."""
        self._reaching.put(item, key.reached_buckets)
        self._naming.put(item, (one.id for one in key.named_keys if not one.dead))
        self._by_owner.put(item, [owner_digest(item.uid)])

    def drop(self, item: ObjectId) -> None:
        """Forget an object; what is reserved for it stays until it is released."""
        for index in (self._reaching, self._naming, self._by_owner):
            index.drop(item)

    def reaching(self, bucket_name: str) -> list[ObjectId]:
        """The objects of which a live key reaches that bucket, or is about to."""
        found = set(self._reaching.get(bucket_name))
        for uid in self._reserved.get(bucket_name):
            found.update(self._by_owner.get(owner_digest(uid)))
        return sorted(found, key=str)

    def is_named(self, key_id: str) -> bool:
        """Whether the status of some object names that key and the buckets that it reaches."""
        return bool(self._naming.get(key_id))

    def of_marker(self, marker: Marker) -> list[ObjectId]:
        """The objects that a key of this marker can have been issued for: one, while it exists."""
        return self._by_owner.get(marker.owner)

    def reserve(self, uid: str, names: Iterable[str]) -> None:
        """A key for these names is about to be issued: they count before status can say so."""
        self._reserved.put(uid, self._reserved.names(uid) | frozenset(names))

    def release(self, uid: str) -> frozenset[str]:
        """Drop what is reserved for an object; returns the bucket names."""
        names = self._reserved.names(uid)
        self._reserved.drop(uid)
        return names

    def binds(self, key: AmoveStorageKey, name: str) -> bool:
        """Whether the object's keys keep a bucket name from other namespaces.

        Keys of ``bucketRefs`` do. Keys of ``bucketNames``, as only trusted namespaces may have,
        block nobody.
        """
        if name in self._reserved.names(key.metadata.uid):
            return True
        return any(one.issued_for is None and name in one.buckets for one in key.named_keys)
