"""Whose live keys reach a bucket's name: it is free only when none does.

Two records tell: the status of each key's CR names the buckets of its keys; and a live key that
no status accounts for keeps what the marker in its own remote name may mean. Such are the key
that a CR kept by ``Retain`` left behind, the orphan whose CR was taken away, and the key of a
process that ended before it wrote status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from amove_operator.controller.cache import Ghost
from amove_operator.controller.context import Context
from amove_operator.core.ledger import LiveKey
from amove_operator.core.naming import Marker, cluster_digest
from amove_operator.core.refs import Ref

ORPHANED = "a live key that no resource names (have an admin run 'amove-operator orphans')"


class Keeper(NamedTuple):
    """What keeps a bucket's name. ``namespace``: whose it is; ``None`` where nobody can tell.

    ``what`` names no object, since its readers may be another team.
    """

    namespace: str | None
    what: str


def name_in_use(context: Context, ref: Ref, name: str) -> str | None:
    """Whose live keys reach this name from elsewhere, in words; ``None``: it is free."""
    for keeper in (*_by_status(context, name), *unaccounted(context, name)):
        if keeper.namespace != ref.namespace:
            return f"Waiting until {keeper.what} is revoked, which may reach bucket {name}."
    return None


def who_keeps(context: Context, ref: Ref, name: str) -> tuple[str, ...]:
    """The keys that keep a bucket's deletion waiting, in words for its owner."""
    waiting = {f"AmoveStorageKey {key.name}" for key in context.cache.keys_referring_to(ref)}
    for item, key in context.cache.keys_reaching(name):
        if key.metadata.namespace == ref.namespace:
            waiting.add(f"AmoveStorageKey {(item.ref if isinstance(item, Ghost) else item).name}")
    for keeper in _by_status(context, name):
        if keeper.namespace != ref.namespace:
            waiting.add(keeper.what)
    waiting |= {keeper.what for keeper in unaccounted(context, name)}
    return tuple(sorted(waiting))


def reached_by_orphan(context: Context, ref: Ref, name: str) -> bool:
    """Whether a key whose CR is gone may reach the bucket, and no Secret of its namespace has it.

    Told from settled lists only: an earlier one may show what was revoked a moment ago.
    """
    listing = context.listings.latest
    if listing is None or listing.begun < context.leading_since + context.settle:
        return False
    return any(
        keeper.namespace != ref.namespace
        for key, keeper in _unaccounted_keys(context, name)
        if not context.cache.has_owner(listing.owners[key.id])
    )


def list_needed_since(context: Context, namespace: str) -> float:
    """From when a key list must be begun (monotonic) before a name may be given to a namespace.

    One begun while we lead shows every key that is not in the making. A key that the process
    before us issued in its last moments may show later: where another namespace may have such
    a key, the list must be a settled one.
    """
    others = context.may_have_unlisted - {namespace}
    return context.leading_since + (context.settle if others else 0.0)


# ---------------------------------------------------------------- the two records


def _by_status(context: Context, name: str) -> Iterator[Keeper]:
    for _, key in context.cache.keys_reaching(name):
        if context.cache.binds(key, name):
            namespace = key.metadata.namespace
            yield Keeper(namespace, f"a key of namespace {namespace}")


def unaccounted(context: Context, name: str) -> Iterator[Keeper]:
    """What the listed keys keep that no status accounts for."""
    return (keeper for _, keeper in _unaccounted_keys(context, name))


def _unaccounted_keys(context: Context, name: str) -> Iterator[tuple[LiveKey, Keeper]]:
    listing, cluster8 = context.listings.latest, cluster_digest(context.cluster_uid)
    for key in listing.keeping(name) if listing is not None else ():
        marker = listing.owners[key.id] if listing is not None else None
        if marker is None or marker.cluster != cluster8 or _is_accounted_for(context, key, marker):
            continue
        keeper = _keeper(context, key, context.cache.namespace_of(marker))
        if keeper is not None:
            yield key, keeper


def _is_accounted_for(context: Context, key: LiveKey, marker: Marker) -> bool:
    """Whether its buckets are known: from status, or to this process, which issued it.

    The names of one that this process issued are kept until status names it (``Cache.expect``).
    """
    if context.cache.accounts_for(key.id):
        return True
    memory = context.keys.get(context.cache.uid_of(marker) or "")
    return memory is not None and any(key.id == known for known, _ in memory.ledger.scopes)


def _keeper(context: Context, key: LiveKey, namespace: str | None) -> Keeper | None:
    """Who has a key that no status accounts for."""
    if namespace is not None:
        return Keeper(namespace, f"a key of namespace {namespace}")
    holder = context.holders.get(key.id)
    if holder is not None:
        return Keeper(holder, f"the key in a retained Secret of namespace {holder}")
    if context.settings.watch_namespaces and not context.secrets.claiming(key.id):
        return None  # nothing tells another release's key from an orphan of ours
    return Keeper(None, ORPHANED)
