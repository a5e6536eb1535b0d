"""Whose live keys keep a bucket's name from others: it is free only when none does. Pure.

Two records tell: the status of each key's CR names the buckets of its keys; and a live key that
no status accounts for keeps what the marker in its own remote name may mean. Such are the key
that a CR kept by ``Retain`` left behind, the orphan whose CR was taken away, and the key of a
process that ended before it wrote status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.naming import Marker

ORPHANED = "a live key that no resource names (have an admin run 'amove-operator orphans')"


class Keeper(NamedTuple):
    """What keeps a bucket's name. ``namespace``: whose it is; ``None`` where nobody can tell.

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
        """Whether the buckets of a listed key are known, so that its marker need not tell them."""

    def namespace_of(self, marker: Marker) -> str | None:
        """The namespace of a marker's CR, as long as that is there."""

    def holder_of(self, key_id: str) -> str | None:
        """The namespace of the Secret whose data carry a key without a CR."""

    @property
    def hidden(self) -> Collection[str]:
        """The namespaces whose Secrets cannot be listed, each of which may hold any key."""

    def is_this_releases(self, key_id: str) -> bool:
        """Whether a key without CR and holder cannot be another release's, which minds it."""


def keepers(records: KeyRecords, name: str) -> Iterator[Keeper]:
    """Everything that keeps a bucket's name, of whatever namespace."""
    yield from keepers_by_status(records, name)
    yield from (keeper for _, keeper in unaccounted_keys(records, name))


def keepers_by_status(records: KeyRecords, name: str) -> Iterator[Keeper]:
    """The keys of which status says that they reach the bucket, or that are about to."""
    for namespace in records.namespaces_binding(name):
        yield Keeper(namespace, f"a key of namespace {namespace}")


def unaccounted_keys(records: KeyRecords, name: str) -> Iterator[tuple[RemoteKey, Keeper]]:
    """The listed keys that may reach the bucket by their own names, and that no record knows."""
    listing = records.listing
    for key in listing.keeping(name) if listing is not None else ():
        marker = listing.owners[key.id] if listing is not None else None
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
    return next((one for one in keepers(records, name) if one.namespace != namespace), None)


def list_needed_since(
    leading_since: float, settle: float, unlisted: Iterable[str], namespace: str
) -> float:
    """From when a key list must be begun (monotonic) before a name may be given to a namespace.

    One begun while we lead shows every key that is not in the making. A key that the process
    before us issued in its last moments may show later: where another namespace may have such
    a key (``unlisted``), the list must be a settled one.
    """
    others = any(one != namespace for one in unlisted)
    return leading_since + (settle if others else 0.0)
