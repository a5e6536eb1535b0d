"""One complete list of the keys at the service, indexed by what the decisions ask of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from amove_operator.core.naming import Marker, mask_bit, mask_bits, names_digest, parse_name


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key under some CR's marker that is alive as far as is known.

    ``created``: in UTC, if the service said so. A date without a zone (not ``zoned``) may be local
    time of anywhere, hours off: good for an order, not for an age.
    """

    id: str
    name: str
    access_key: str
    created: datetime | None = None
    user_id: str | None = None
    zoned: bool = field(default=True, compare=False)

    @property
    def dated(self) -> datetime | None:
        """When it was created, if the service said in which zone."""
        return self.created if self.zoned else None

    @property
    def names9(self) -> str:
        """The digest of the bucket names that it may reach, from its name."""
        parsed = parse_name(self.name)
        return parsed.names if parsed else ""

    @property
    def serial(self) -> int:
        """Which issue it is, from the name."""
        parsed = parse_name(self.name)
        return parsed.serial if parsed else 0


@dataclass(slots=True)
class KeyList:
    """One complete list of keys, and what this process did to them since: it changes in place.

    A key issued since the list was read is added and a revoked one taken out, so that the thousand
    CRs that share the list need no copy each. ``begun``: when the list's first call was sent,
    whatever was added later. ``marked``: the keys by the marker in their names. ``owners``: every
    listed id, with the marker of its name or ``None``. ``added``: those that this process added.
    ``unmarked``: those without a marker. ``kept``: the keys of one bucket by their ``names9``,
    those of several by each bit of their mask.
    """

    begun: float
    marked: dict[Marker, tuple[RemoteKey, ...]] = field(default_factory=dict, repr=False)
    owners: dict[str, Marker | None] = field(default_factory=dict, repr=False)
    added: set[str] = field(default_factory=set, repr=False)
    unmarked: dict[str, RemoteKey] = field(default_factory=dict, repr=False)
    user_ids: frozenset[str] = frozenset()
    kept: dict[str | int, list[RemoteKey]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, begun: float, keys: Iterable[RemoteKey]) -> KeyList:
        """Index the keys of one complete list."""
        listing = cls(begun)
        for key in keys:
            listing.show(key)
        return listing

    def show(self, key: RemoteKey) -> None:
        """Take in a key that the service listed. Changes the list in place."""
        if key.user_id and key.user_id not in self.user_ids:
            self.user_ids |= {key.user_id}
        self._index(key)

    def add(self, key: RemoteKey) -> None:
        """Add a key that was issued since this list was read. Changes the list in place."""
        if key.id not in self.owners:
            self.added.add(key.id)
            self._index(key)

    def _index(self, key: RemoteKey) -> None:
        parsed = parse_name(key.name)
        self.owners[key.id] = parsed.marker if parsed else None
        if parsed is None:
            self.unmarked[key.id] = key
        else:
            self.marked[parsed.marker] = (*self.marked.get(parsed.marker, ()), key)
            for place in _places(parsed.names):
                self.kept.setdefault(place, []).append(key)

    def forget(self, key_id: str) -> None:
        """Drop a key that was revoked since this list was read. Changes the list in place."""
        marker = self.owners.pop(key_id, None)
        self.unmarked.pop(key_id, None)
        if marker is not None:
            self.marked[marker] = tuple(key for key in self.marked[marker] if key.id != key_id)

    def shows(self, key_id: str) -> bool:
        """Whether the service listed the key: what was added here proves nothing."""
        return key_id in self.owners and key_id not in self.added

    def speaks_for(self, user_id: str | None) -> bool | None:
        """Whether the list would show that user's keys; ``None`` where nobody can tell.

        A list shows the keys of one user only, whose the API token is. A list of alice's keys lacks
        each of bob's though they live: taken for bob's, it would have them all replaced. An empty
        list does not say whose it is, and of an old status no user may be known.
        """
        return user_id in self.user_ids if user_id is not None and self.user_ids else None

    def of_marker(self, marker: Marker) -> tuple[RemoteKey, ...]:
        """The keys under one CR's marker."""
        return self.marked.get(marker, ())

    def names9_of(self, key_id: str) -> str:
        """Which bucket names a listed key may reach, by its own name; empty for one not listed."""
        marker = self.owners.get(key_id)
        keys = self.of_marker(marker) if marker is not None else ()
        return next((key.names9 for key in keys if key.id == key_id), "")

    def keeping(self, name: str) -> Iterator[RemoteKey]:
        """The listed keys, of any cluster, whose own names keep a bucket's name."""
        one, several = names_digest([name]), mask_bit(name)
        for key in (*self.kept.get(one, ()), *self.kept.get(several, ())):
            if key.id in self.owners:
                yield key


def _places(names9: str) -> Iterable[str | int]:
    """Under which keys of :attr:`KeyList.kept` a key stands; one of all buckets keeps no name."""
    if names9.startswith("m"):
        return mask_bits(names9)
    return (names9,) if names9.startswith("o") else ()
