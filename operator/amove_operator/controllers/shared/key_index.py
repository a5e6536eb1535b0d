"""Which object has which keys at the service, and which bucket names those reach."""

from __future__ import annotations

from collections.abc import Iterable

from amove_operator.core.naming import Marker, owner_digest
from amove_operator.engine.index import Index
from amove_operator.models import AmoveStorageKey


class KeyIndex:
    """Look-ups of AmoveStorageKeys by UID, those too that vanished and whose keys are still live.

    A key that is about to be issued reaches buckets before status can say so. Its names are
    *reserved* until status names every live key of its object: else a name could go to another
    team between the create and the write of status.
    """

    def __init__(self) -> None:
        self._reserved: Index[str, str] = Index()
        self._reaching: Index[str, str] = Index()
        self._naming: Index[str, str] = Index()
        self._by_owner: Index[str, str] = Index()
        self._dead: dict[str, frozenset[str]] = {}

    def put(self, key: AmoveStorageKey) -> None:
        """Index an object as it is now."""
        uid = key.metadata.uid
        self._reaching.put(uid, key.reached_buckets)
        named = frozenset(one.id for one in key.named_keys if not one.dead)
        self._naming.put(uid, named)
        self.note_dead(uid, self._dead.get(uid, frozenset()) & named)
        self._by_owner.put(uid, [owner_digest(uid)])

    def drop(self, uid: str) -> None:
        """Forget an object; what is reserved for it stays until it is released."""
        for index in (self._reaching, self._naming, self._by_owner):
            index.drop(uid)
        self._dead.pop(uid, None)

    def note_dead(self, uid: str, key_ids: frozenset[str]) -> None:
        """These keys are proven gone, though the object's status cannot be written to say so."""
        if key_ids:
            self._dead[uid] = key_ids
        else:
            self._dead.pop(uid, None)

    def reaching(self, bucket_name: str) -> set[str]:
        """The objects of which a live key reaches that bucket, or is about to."""
        return {*self._reaching.get(bucket_name), *self._reserved.get(bucket_name)}

    def is_named(self, key_id: str) -> bool:
        """Whether the status of some object names that key and the buckets that it reaches."""
        return bool(self._naming.get(key_id))

    def of_marker(self, marker: Marker) -> list[str]:
        """The objects that a key of this marker can have been issued for: one, while it exists."""
        return self._by_owner.get(marker.owner)

    def owners(self) -> frozenset[str]:
        """The digests of all objects, as they stand in the markers of their keys."""
        return self._by_owner.in_use()

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
        dead = self._dead.get(key.metadata.uid, frozenset())
        alive = (one for one in key.named_keys if one.id not in dead)
        return any(one.issued_for is None and name in one.buckets for one in alive)
