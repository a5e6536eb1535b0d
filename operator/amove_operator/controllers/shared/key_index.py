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
        self._reserved: dict[str, frozenset[str]] = {}
        self._reaching: Index[str, ObjectId] = Index()
        self._naming: Index[str, ObjectId] = Index()
        self._by_owner: Index[str, ObjectId] = Index()

    def put(self, item: ObjectId, key: AmoveStorageKey) -> None:
        """Index an object as it is now."""
        self._reaching.put(item, key.reached_buckets | self.reserved(item.uid))
        self._naming.put(item, (one.id for one in key.named_keys if not one.dead))
        self._by_owner.put(item, [owner_digest(item.uid)])

    def drop(self, item: ObjectId) -> None:
        """Forget an object; what is reserved for it stays until it is released."""
        for index in (self._reaching, self._naming, self._by_owner):
            index.drop(item)

    def reaching(self, bucket_name: str) -> list[ObjectId]:
        """The objects of which a live key reaches that bucket, or is about to."""
        return self._reaching.get(bucket_name)

    def is_named(self, key_id: str) -> bool:
        """Whether the status of some object names that key and the buckets that it reaches."""
        return bool(self._naming.get(key_id))

    def of_marker(self, marker: Marker) -> list[ObjectId]:
        """The objects that a key of this marker can have been issued for: one, while it exists."""
        return self._by_owner.get(marker.owner)

    def reserve(self, uid: str, names: Iterable[str]) -> None:
        """A key for these bucket names is about to be issued; index the object anew after this."""
        self._reserved[uid] = self.reserved(uid) | frozenset(names)

    def release(self, uid: str) -> frozenset[str]:
        """Drop what is reserved; returns the bucket names. Index the object anew after this."""
        return self._reserved.pop(uid, frozenset())

    def reserved(self, uid: str) -> frozenset[str]:
        """The bucket names reserved for an object."""
        return self._reserved.get(uid, frozenset())

    def binds(self, key: AmoveStorageKey, name: str) -> bool:
        """Whether the object's keys keep a bucket name from other namespaces.

        Keys of ``bucketRefs`` do. Keys of ``bucketNames``, as only trusted namespaces may have,
        block nobody.
        """
        if name in self.reserved(key.metadata.uid):
            return True
        return any(one.issued_for is None and name in one.buckets for one in key.named_keys)
