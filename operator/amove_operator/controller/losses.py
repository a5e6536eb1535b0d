"""Too much gone at once: the guards of design.md §4.6 and §5.7 over what the process has seen."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.controller.cache import own_bucket_status, own_key_status
from amove_operator.controller.context import Context
from amove_operator.core.guard import is_mass_loss
from amove_operator.core.ledger import Listing
from amove_operator.core.refs import Ref
from amove_operator.models import ObjectMeta


def accepted(meta: ObjectMeta, before: str | None) -> bool:
    """Whether ``accept-loss`` was set to a new value after the loss was seen."""
    value = meta.annotation("accept-loss")
    return bool(value) and value != before


def _known_buckets(context: Context) -> Iterator[str]:
    for bucket in context.cache.buckets.values():
        if own_bucket_status(bucket).provenance is not None:
            yield bucket.metadata.uid


def mass_bucket_loss(context: Context) -> bool:
    """More of our buckets are absent than one sweep may lose."""
    if not is_mass_loss(_absent_buckets(context), 0):
        return False  # without counting all: this is asked often
    known = list(_known_buckets(context))
    absent = sum(_is_absent(context, uid) for uid in known)
    return is_mass_loss(absent, len(known))


def _absent_buckets(context: Context) -> int:
    return sum(memory.absent_since is not None for memory in context.buckets.values())


def _is_absent(context: Context, uid: str) -> bool:
    memory = context.buckets.get(uid)
    return memory is not None and memory.absent_since is not None


def unlooked_buckets(context: Context, uid: str) -> list[Ref]:
    """Our other buckets that were not looked at since this one was found absent."""
    memory = context.buckets.get(uid)
    if memory is None or memory.absent_since is None:
        return []
    return [
        ref
        for ref, bucket in context.cache.buckets.items()
        if bucket.metadata.uid != uid
        and own_bucket_status(bucket).provenance is not None
        and not _looked_at(context, bucket.metadata.uid, memory.absent_since)
    ]


def _looked_at(context: Context, uid: str, since: float) -> bool:
    other = context.buckets.get(uid)
    return other is not None and other.seen_at >= since


def note_missing_keys(context: Context, listing: Listing) -> bool:
    """Mark the known keys that a complete listing lacks; whether that is a mass loss.

    Known are the keys that status names. A key minted or revoked by this process is judged
    only by a listing that can show it.
    """
    known = missing = 0
    for key in context.cache.keys.values():
        current = own_key_status(key).key
        memory = context.keys.get(key.metadata.uid)
        if current is None:
            continue
        gone = current.id not in listing.owners
        if memory is not None:
            recent = {
                entry.id
                for entry, at in memory.ledger.minted
                if listing.begun < at + context.settle
            }
            revoked = {key_id for key_id, _ in memory.ledger.revoked}
            if current.id in recent | revoked:
                memory.missing = False
                continue
            if gone and not memory.missing:
                memory.accept_before = key.metadata.annotation("accept-loss")
            memory.missing = gone
        known += 1
        missing += gone
    return is_mass_loss(missing, known)
