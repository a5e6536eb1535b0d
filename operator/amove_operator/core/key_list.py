"""One complete list of the keys at the service, indexed by what the decisions ask of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from amove_operator.core.naming import Marker, mask_bit, mask_bits, names_digest, parse_name


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key under some CR's marker that is alive as far as is known."""

    id: str
    name: str
    access_key: str
    created: datetime | None = None
    user_id: str | None = None

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


@dataclass(frozen=True, slots=True)
class KeyList:
    """One complete listing, indexed by marker. ``begun`` is when its first call was sent.

    ``owners`` has every listed id, with the marker of its name or ``None``. ``kept``: the keys of
    one bucket by their ``names9``, those of several by each bit of their mask.
    """

    begun: float
    marked: dict[Marker, tuple[RemoteKey, ...]] = field(repr=False)
    owners: dict[str, Marker | None] = field(repr=False)
    user_ids: frozenset[str] = frozenset()
    kept: dict[str | int, list[RemoteKey]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, begun: float, keys: Iterable[RemoteKey]) -> KeyList:
        """Index the keys of one complete list."""
        listed = tuple(keys)
        users = frozenset(key.user_id for key in listed if key.user_id)
        listing = cls(begun, {}, {}, users)
        for key in listed:
            listing.add(key)
        return listing

    def add(self, key: RemoteKey) -> None:
        """A key was issued that the list may not show yet: it is spoken of as if it did."""
        if key.id in self.owners:
            return
        parsed = parse_name(key.name)
        self.owners[key.id] = parsed.marker if parsed else None
        if parsed is not None:
            self.marked[parsed.marker] = (*self.marked.get(parsed.marker, ()), key)
            for place in _places(parsed.names):
                self.kept.setdefault(place, []).append(key)

    def forget(self, key_id: str) -> None:
        """A listed key was revoked, by a 200: this listing is spoken of as if it had been before.

        In place, since a copy for each of many revocations would take long.
        """
        marker = self.owners.pop(key_id, None)
        if marker is not None:
            self.marked[marker] = tuple(key for key in self.marked[marker] if key.id != key_id)

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
