"""Whose live keys reach a bucket's name, from what this process has on record (core/names.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.store import Ghost, bucket_name, own_bucket_status
from amove_operator.core import conditions, names
from amove_operator.core.buckets.snapshot import Claim, ClaimHeld, ClaimLost
from amove_operator.core.key_list import KeyList
from amove_operator.core.names import Claimant, claim_holder
from amove_operator.core.naming import Marker, cluster_digest
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.models import AmoveBucket, BucketStatus

_NO_CLAIM = {
    Reason.BucketExists,
    Reason.BucketMissing,
    Reason.NotPermitted,
    Reason.AccountMismatch,
    Reason.AccountUnknown,
    Reason.AccountUnusable,
    Reason.InvalidSpec,
    Reason.ObjectTooLarge,
}


def claim_of(context: Context, bucket: AmoveBucket) -> Claim:
    """Whether this CR is the one of its bucket name, among all namespaces and accounts."""
    mine = _claimant(bucket, asking=True)
    others = [one for one in claimants(context, bucket_name(bucket)) if one.uid != mine.uid]
    holder = claim_holder([mine, *others])
    if holder is None or holder.uid == mine.uid:
        return ClaimHeld()
    return ClaimLost(holder.namespace, holder.name)


def claimants(context: Context, name: str) -> list[Claimant]:
    """Every AmoveBucket that wants a bucket name."""
    return [_claimant(bucket) for _, bucket in context.cache.buckets_named(name)]


def ghost_claim(context: Context, bucket: AmoveBucket) -> Claim:
    """A vanished CR has no claim against one that is there: its successor's data stay."""
    for rival, _ in context.cache.buckets_named(bucket_name(bucket)):
        return ClaimLost(rival.namespace, rival.name)
    return ClaimHeld()


def _claimant(bucket: AmoveBucket, *, asking: bool = False) -> Claimant:
    meta = bucket.metadata
    return Claimant(
        meta.namespace,
        meta.name,
        meta.uid,
        meta.creation_timestamp,
        proven=_proven(bucket),
        stalled=not asking and _has_no_claim(bucket),
    )


def is_ours(status: BucketStatus) -> bool:
    """Whether status proves a bucket ours, or that it was about to be created."""
    return status.provenance is not None or bool(status.create_intent)


def _proven(bucket: AmoveBucket) -> bool:
    return not bucket.metadata.let_go and is_ours(own_bucket_status(bucket))


def _has_no_claim(bucket: AmoveBucket) -> bool:
    """Going, paused, or stalled for a reason that holds no claim, as far as this spec goes."""
    if bucket.metadata.deleting or bucket.metadata.paused:
        return True  # a paused one is never looked at: it could keep the name without any right
    found = conditions.find(bucket.status.conditions, "Stalled")
    if found is None or found.observed_generation != bucket.metadata.generation:
        return False
    return found.reason in {str(one) for one in _NO_CLAIM}


def holds_claim(bucket: AmoveBucket) -> bool:
    """Whether it counts among the claimants of its bucket's name (docs/policies.md)."""
    return _proven(bucket) or not _has_no_claim(bucket)


def name_in_use(context: Context, ref: Ref, name: str) -> str | None:
    """Whose live keys reach this name from elsewhere, in words; ``None``: it is free."""
    keeper = names.kept_from(_Records(context), ref.namespace, name)
    if keeper is None:
        return None
    return f"Waiting until {keeper.what} is revoked, which may reach bucket {name}."


def who_keeps(context: Context, ref: Ref, name: str) -> tuple[str, ...]:
    """The keys that keep a bucket's deletion waiting, in words for its owner."""
    waiting = {f"AmoveStorageKey {key.name}" for key in context.cache.keys_referring_to(ref)}
    for item, key in context.cache.keys_reaching(name):
        if key.metadata.namespace == ref.namespace:
            waiting.add(f"AmoveStorageKey {(item.ref if isinstance(item, Ghost) else item).name}")
    records = _Records(context)
    for keeper in names.keepers_by_status(records, name):
        if keeper.namespace != ref.namespace:
            waiting.add(keeper.what)
    waiting |= {keeper.what for keeper in unaccounted(context, name)}
    return tuple(sorted(waiting))


def unaccounted(context: Context, name: str) -> list[names.Keeper]:
    """What the listed keys keep that no record accounts for."""
    return [keeper for _, keeper in names.unaccounted_keys(_Records(context), name)]


def reached_by_orphan(context: Context, ref: Ref, name: str) -> bool:
    """Whether a key whose CR is gone may reach the bucket, and no Secret of its namespace has it.

    Told from settled lists only: an earlier one may show what was revoked a moment ago.
    """
    listing = context.key_lists.latest
    if listing is None or listing.begun < context.leading_since + context.settle:
        return False
    records = _Records(context)
    return any(
        keeper.namespace != ref.namespace
        for key, keeper in names.unaccounted_keys(records, name)
        if records.is_this_releases(key.id) and not context.cache.is_served(listing.owners[key.id])
    )


def list_needed_since(context: Context, namespace: str) -> float:
    """From when a key list must be begun (monotonic) before a name may be given to a namespace."""
    return names.list_needed_since(
        context.leading_since, context.settle, context.may_have_unlisted, namespace
    )


class _Records:
    """What this process has on record about live keys."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def cluster8(self) -> str:
        return cluster_digest(self._context.cluster_uid)

    @property
    def listing(self) -> KeyList | None:
        return self._context.key_lists.latest

    def namespaces_binding(self, name: str) -> Iterable[str]:
        return self._context.cache.namespaces_binding(name)

    def accounts_for(self, key_id: str, marker: Marker) -> bool:
        """Whether its buckets are known: from status, or to this process, which issued it.

        The names of one that this process issued are kept until status names it
        (``Cache.expect``).
        """
        cache = self._context.cache
        if cache.accounts_for(key_id):
            return True
        memory = self._context.keys.get(cache.uid_of(marker) or "")
        return memory is not None and any(
            key_id == known for known, _ in memory.expectations.scopes
        )

    def namespace_of(self, marker: Marker) -> str | None:
        return self._context.cache.namespace_of(marker)

    def holder_of(self, key_id: str) -> str | None:
        return self._context.holders.get(key_id)

    @property
    def hidden(self) -> Collection[str]:
        return self._context.hidden

    def is_this_releases(self, key_id: str) -> bool:
        """With a part of the namespaces, only what a Secret there claims is told from others'."""
        context = self._context
        return not context.settings.watch_namespaces or bool(context.secrets.claiming(key_id))
