"""Too much gone at once: the guards against a mass loss, over what this process has seen.

Said of buckets in docs/bucket-protocol.md, "Losing"; of keys in docs/key-protocol.md, "When nothing
may be concluded".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.memory import BucketMemory
from amove_operator.controllers.shared.store import own_bucket_status, own_key_status
from amove_operator.core.buckets.snapshot import Absent
from amove_operator.core.conditions import deletion_begun, find
from amove_operator.core.key_list import KeyList
from amove_operator.core.mass_loss import is_mass_loss, most_lost
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Ref
from amove_operator.models import AmoveBucket, AmoveStorageKey, ObjectMeta

_FEW_LOOKS = 50


def accepted(meta: ObjectMeta, before: str | None) -> bool:
    """Whether ``accept-loss`` was set to a new value after the loss was seen."""
    value = meta.annotation("accept-loss")
    return bool(value) and value != before


def is_known(bucket: AmoveBucket) -> bool:
    """Whether a bucket ought to be there: it is ours, not going, and not told as missing before.

    A loss that was concluded in an earlier sweep is no part of a later one.
    """
    told = bucket.status.conditions
    begun = bucket.metadata.deleting and deletion_begun(told)
    return own_bucket_status(bucket).provenance is not None and not (begun or is_concluded(bucket))


def is_concluded(bucket: AmoveBucket) -> bool:
    """Whether the loss of a bucket is told for good: not made here, so not made again."""
    told = find(bucket.status.conditions, "Stalled")
    return told is not None and told.reason == Reason.BucketMissing


def mass_bucket_loss(context: Context) -> bool:
    """More of our buckets are absent than one sweep may lose."""
    lost = _lost(context)
    return is_mass_loss(lost, 0) and is_mass_loss(lost, _known(context))


def _lost(context: Context) -> int:
    """How many buckets of ours are absent, and no person said that this is right."""
    found = (
        (uid, context.cache.buckets.get(ref)) for uid, (ref, _) in context.absent_buckets.items()
    )
    return sum(
        bucket is not None
        and bucket.metadata.uid == uid
        and is_known(bucket)
        and not _is_accepted(context, bucket.metadata)
        for uid, bucket in found
    )


def _is_accepted(context: Context, meta: ObjectMeta) -> bool:
    memory = context.buckets.get(meta.uid)
    return accepted(meta, memory.accept_before if memory is not None else None)


def _known(context: Context) -> int:
    """How many buckets ought to be there; counted once a second, since this is asked often."""
    at, known = context.known_buckets
    if context.clock() - at > 1.0:
        known = sum(is_known(bucket) for bucket in context.cache.buckets.values())
        context.known_buckets = context.clock(), known
    return known


def look_at_the_others(context: Context, uid: str) -> None:
    """One of ours is gone: is it alone? A few are asked at once, many by the resync."""
    others = list(islice(_unlooked(context, uid), _FEW_LOOKS + 1))
    if len(others) > _FEW_LOOKS:
        return
    for ref in others:
        found = context.cache.buckets[ref].metadata.uid
        context.buckets.setdefault(found, BucketMemory()).stale = True
        context.queue.add(ref)
    # With many, each would wake all the others: they have a retry of their own.
    wake_the_missing(context)


def wake_the_missing(context: Context, *, look_again: bool = False) -> None:
    """All that are absent, those too that were never made: a mass loss holds them up alike."""
    for ref, bucket in context.cache.buckets.items():
        memory = context.buckets.get(bucket.metadata.uid)
        if memory is not None and isinstance(memory.seen, Absent):
            memory.stale = memory.stale or look_again
            context.queue.add(ref)


def judge_losses(context: Context) -> None:
    """What a mass loss held up goes on as soon as it is none any more."""
    before = context.mass_bucket_loss
    context.mass_bucket_loss = mass_bucket_loss(context)
    if before and not context.mass_bucket_loss:
        wake_the_missing(context)


def is_loss_unconfirmed(context: Context, uid: str) -> bool:
    """Whether it could be a mass loss, were all that were not looked at since gone as well.

    So a few that cannot be read, for whatever reason, hold nobody up.
    """
    most = most_lost(_known(context)) - _lost(context)
    return next(islice(_unlooked(context, uid), max(most, 0), None), None) is not None


def _unlooked(context: Context, uid: str) -> Iterator[Ref]:
    if uid not in context.absent_buckets:
        return
    _, since = context.absent_buckets[uid]
    for ref, bucket in context.cache.buckets.items():
        other = bucket.metadata.uid
        if other == uid or other in context.absent_buckets or _looked_at(context, other, since):
            continue
        if is_known(bucket):
            yield ref


def _looked_at(context: Context, uid: str, since: float) -> bool:
    other = context.buckets.get(uid)
    return other is not None and other.seen_at >= since


def note_missing_keys(context: Context, listing: KeyList) -> bool:
    """Note the known keys that a complete listing lacks; whether that is a mass loss.

    Known are the keys that status names. A key minted or revoked by this process is judged
    only by a listing that can show it.
    """
    known = missing = 0
    for key in context.cache.keys.values():
        current = own_key_status(key).key
        uid = key.metadata.uid
        if current is None or current.dead or key.metadata.let_go:
            context.missing_keys.discard(uid)
            continue
        if _moved_meanwhile(context, uid, current.id, listing):
            context.missing_keys.discard(uid)
            continue
        gone = current.id not in listing.owners
        _note(context, key, gone=gone)
        if being_revoked(key):
            continue  # by us, now or before a restart: no loss
        known += 1
        missing += gone
    return is_mass_loss(missing, known)


def missing_unasked(context: Context) -> set[str]:
    """The UIDs of CRs whose key a list lacks though nobody was asked to revoke it.

    Else whoever keeps a deleted CR with a finalizer of his own could have a key missing for ever.
    """
    if not context.missing_keys:
        return set()
    keys = context.cache.keys.values()
    return context.missing_keys - {key.metadata.uid for key in keys if being_revoked(key)}


def being_revoked(key: AmoveStorageKey) -> bool:
    """Whether status says that the key on record is deleted at the service by ourselves."""
    return key.metadata.deleting and deletion_begun(key.status.conditions)


def _moved_meanwhile(context: Context, uid: str, key_id: str, listing: KeyList) -> bool:
    memory = context.keys.get(uid)
    if memory is None:
        return False
    recent = {
        key.id for key, at in memory.expectations.created if listing.begun < at + context.settle
    }
    return key_id in recent or memory.expectations.was_deleted(key_id)


def _note(context: Context, key: AmoveStorageKey, *, gone: bool) -> None:
    """Note a loss with the ``accept-loss`` of that moment: only a later value accepts it."""
    uid = key.metadata.uid
    memory = context.keys.get(uid)
    loss_conclusion = uid in context.missing_keys or (
        memory is not None and memory.expectations.user_changed
    )
    if gone:
        context.missing_keys.add(uid)
    else:
        context.missing_keys.discard(uid)
    if not loss_conclusion:
        context.accept_before[uid] = key.metadata.annotation("accept-loss")


def loss_accepted(context: Context, key: AmoveStorageKey) -> bool:
    """Whether ``accept-loss`` of a key was set to a new value after its loss was seen."""
    now = key.metadata.annotation("accept-loss")
    return accepted(key.metadata, context.accept_before.get(key.metadata.uid, now))
