"""Who may have a bucket name: one AmoveBucket, and only while no other team's key reaches it. Pure.

Keys reach buckets by name, so two AmoveBuckets of one name, or one of a name that an older key
still reaches, would share a bucket between two teams (docs/policies.md, "One name, one
AmoveBucket").

Which keys reach a name is on two records. The status of each key's CR names the buckets of its
keys. A live key that no status accounts for keeps what the marker in its own remote name may mean:
the key that a CR kept by ``Retain`` left behind, the orphan whose CR was taken away, the key of a
process that ended before it wrote status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple, Protocol

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import Marker

ORPHANED = "a live key that no resource names (have an admin run 'amove-operator orphans')"
_LAST = datetime.max.replace(tzinfo=UTC)

# ---------------------------------------------------------------- which AmoveBucket has the claim


@dataclass(frozen=True, slots=True)
class Claimant:
    """An AmoveBucket that wants a name. ``proven``: provenance or intent in its own status."""

    namespace: str
    name: str
    uid: str
    created: datetime | None
    proven: bool
    stalled: bool = False


def claim_holder(claimants: Iterable[Claimant]) -> Claimant | None:
    """Who has the name: provenance or intent wins, then the oldest, then the UID.

    A claimant that is stalled and proves nothing has no claim: else a spec that nobody mends would
    keep the name from everybody.
    """
    entitled = (one for one in claimants if one.proven or not one.stalled)
    return min(
        entitled, key=lambda one: (not one.proven, one.created or _LAST, one.uid), default=None
    )


# ---------------------------------------------------------------- whose live keys keep the name


class Keeper(NamedTuple):
    """What keeps a bucket's name. ``namespace``: whose it is; ``None`` where that is not known.

    ``what`` names no object, since its readers may be another team.
    """

    namespace: str | None
    what: str


class KeyRecords(Protocol):
    """What is on record about live keys, as look-ups."""

    @property
    def cluster8(self) -> str:
        """The digest in the names of this cluster's keys."""

    @property
    def listing(self) -> KeyList | None:
        """The last complete key list."""

    def namespaces_binding(self, name: str) -> Iterable[str]:
        """The namespaces with a key that status, or a create under way, gives that bucket."""

    def accounts_for(self, key_id: str, marker: Marker) -> bool:
        """Whether the buckets of a listed key are known, so that its marker does not count."""

    def namespace_of(self, marker: Marker) -> str | None:
        """The namespace of a marker's CR, as long as that is there."""

    def holder_of(self, key_id: str) -> str | None:
        """The namespace of the Secret whose data carry a key without a CR."""

    @property
    def hidden(self) -> Collection[str]:
        """The namespaces whose Secrets cannot be listed, each of which may hold any key."""

    def is_this_releases(self, key_id: str) -> bool:
        """Whether a key without CR and holder cannot be another release's, which minds it."""


def keepers_by_status(records: KeyRecords, name: str) -> Iterator[Keeper]:
    """The keys of which status says that they reach the bucket, or that are about to."""
    for namespace in records.namespaces_binding(name):
        yield Keeper(namespace, f"a key of namespace {namespace}")


def unaccounted_keys(records: KeyRecords, name: str) -> Iterator[tuple[RemoteKey, Keeper]]:
    """The listed keys that may reach the bucket by their own names, and that no record knows."""
    if (listing := records.listing) is None:
        return
    for key in listing.keeping(name):
        marker = listing.owners[key.id]
        if marker is None or marker.cluster != records.cluster8:
            continue
        keeper = None if records.accounts_for(key.id, marker) else _keeper(records, key, marker)
        if keeper is not None:
            yield key, keeper


def _keeper(records: KeyRecords, key: RemoteKey, marker: Marker) -> Keeper | None:
    namespace = records.namespace_of(marker)
    if namespace is not None:
        return Keeper(namespace, f"a key of namespace {namespace}")
    holder = records.holder_of(key.id)
    if holder is not None:
        return Keeper(holder, f"the key in a retained Secret of namespace {holder}")
    if records.is_this_releases(key.id):
        return Keeper(None, ORPHANED)
    return Keeper(None, _hidden_in(records.hidden)) if records.hidden else None


def _hidden_in(namespaces: Collection[str]) -> str:
    first, *others = sorted(namespaces)
    where = f"{first} or {len(others)} more" if others else first
    return (
        f"a live key that a Secret of namespace {where} may hold, where the operator may list none "
        "(have an admin give it its role there, or take that namespace out of "
        "AMOVE_WATCH_NAMESPACES)"
    )


def kept_from(records: KeyRecords, namespace: str, name: str) -> Keeper | None:
    """What keeps a bucket's name from a namespace; ``None``: it is free for it."""
    by_name = (keeper for _, keeper in unaccounted_keys(records, name))
    keepers = chain(keepers_by_status(records, name), by_name)
    return next((one for one in keepers if one.namespace != namespace), None)


def list_needed_since(
    leading_since: float, settle: float, unlisted: Iterable[str], namespace: str
) -> float:
    """From when a key list must be begun (monotonic) before ``namespace`` may be given a name.

    A list begun while we lead shows every key but those that were issued a moment before. Say the
    process before us issued a key of namespace red at 100, wrote no status and ended; we lead
    since 101, and a list begun at 102 lacks that key still. So where another namespace may have
    such a key (``unlisted``), a name waits for a list begun at 101 + ``settle``. Where only the
    asking namespace may, its own key keeps nothing from it, and the list of 102 will do.
    """
    others = any(one != namespace for one in unlisted)
    return leading_since + (settle if others else 0.0)
