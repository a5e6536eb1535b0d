"""Orphans: live keys of this cluster whose CR is gone and that no Secret holds. Pure.

One scan proves nothing: the list may still show a key that was revoked a moment ago, and a key
issued a moment ago may be in a Secret that the watch does not show yet. So a key is an orphan only
if it seemed one in a scan at least the listing lag earlier, and in every scan since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import cluster_digest, owner_digest


@dataclass(frozen=True, slots=True)
class OrphanScan:
    """A complete list of keys, and which CRs and Secrets there were when it was read.

    ``cluster8``: the digest in the names of this cluster's keys. ``owners``: the digests of all
    CRs that exist. ``held``: the ids of keys that a Secret holds, or may hold where it could not
    be read. A Secret that only names a key in its annotations holds nothing (:func:`holds`): else
    anybody could hide an orphan by writing its id into a Secret of his own.
    """

    cluster8: str
    listing: KeyList
    owners: frozenset[str]
    held: frozenset[str]

    @classmethod
    def of(
        cls, cluster_uid: str, listing: KeyList, cr_uids: Iterable[str], held: Iterable[str]
    ) -> OrphanScan:
        """From the UIDs of namespace kube-system and of every CR, and the ids that are held."""
        owners = frozenset(owner_digest(uid) for uid in cr_uids)
        return cls(cluster_digest(cluster_uid), listing, owners, frozenset(held))

    def unowned(self) -> dict[str, RemoteKey]:
        """The keys of this cluster that have neither CR nor Secret now, by id."""
        return {
            key.id: key
            for marker, keys in self.listing.marked.items()
            if marker.cluster == self.cluster8 and marker.owner not in self.owners
            for key in keys
            if key.id not in self.held
        }


def may_hold(annotated_owner: str, key: RemoteKey, listing: KeyList) -> bool:
    """Whether a Secret written for the CR of that UID can hold the key: it is that CR's."""
    marker = listing.owners.get(key.id)
    return marker is not None and marker.owner == owner_digest(annotated_owner)


def holds(data: Mapping[str, bytes], key: RemoteKey) -> bool:
    """Whether a Secret's data carry the key: its access key stands in them somewhere."""
    access_key = key.access_key.encode()
    return bool(access_key) and any(access_key in value for value in data.values())


@dataclass(frozen=True, slots=True)
class OrphanSuspects:
    """What the scans so far prove. ``suspects``: id → when the first such list was begun."""

    suspects: Mapping[str, float] = field(default_factory=dict)
    orphans: tuple[RemoteKey, ...] = ()

    def after(self, scan: OrphanScan, lag: float) -> OrphanSuspects:
        """With one more scan; scans are given in the order of their lists."""
        unowned = scan.unowned()
        proven = (
            key
            for key in unowned.values()
            if key.id in self.suspects and scan.listing.begun >= self.suspects[key.id] + lag
        )
        since = {key_id: self.suspects.get(key_id, scan.listing.begun) for key_id in unowned}
        return OrphanSuspects(since, tuple(sorted(proven, key=lambda key: (key.name, key.id))))


def too_many(orphans: int, listed: int) -> bool:
    """Whether so many of all listed keys are orphans that it is more likely a mistake of ours.

    In a copy of a cluster the original's keys look so; and where all objects were taken away at
    once, they may come back.
    """
    return orphans * 5 > listed


def ages(orphans: Iterable[RemoteKey], now: datetime) -> str:
    """How old they are, for a person; empty where the service does not say."""
    known = [now - key.created for key in orphans if key.created is not None]
    if not known:
        return ""
    youngest, oldest = _age(min(known)), _age(max(known))
    return f"{oldest} old" if youngest == oldest else f"{youngest} to {oldest} old"


def _age(age: timedelta) -> str:
    """In whole days, hours or minutes, as kubectl shows it; a clock that is behind counts as 0."""
    minutes = max(int(age.total_seconds()), 0) // 60
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)}d"
    return f"{minutes // 60}h" if minutes >= 2 * 60 else f"{minutes}m"
