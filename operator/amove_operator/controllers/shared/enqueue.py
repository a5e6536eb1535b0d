"""Who must look again when something moved: so that nothing waits for the resync."""

from __future__ import annotations

from collections.abc import Iterable

from amove_operator.controllers.shared.context import Context
from amove_operator.controllers.shared.store import bucket_name, own_bucket_status, reached_buckets
from amove_operator.core import conditions
from amove_operator.core.reasons import Reason
from amove_operator.core.refs import Kind, Ref
from amove_operator.models import AmoveBucket, AmoveStorageKey


def wake_claimants(context: Context, name: str) -> None:
    """Every CR that wants the bucket name: the name, or a key that reached it, went free.

    What a waiting one saw before may be long past: it looks again.
    """
    for ref, bucket in context.cache.buckets_named(name):
        memory = context.buckets.get(bucket.metadata.uid)
        if memory is not None and own_bucket_status(bucket).provenance is None:
            memory.stale = True
        context.queue.add(ref)
    for ghost, last in context.cache.ghosts.items():
        if isinstance(last, AmoveBucket) and bucket_name(last) == name:
            context.queue.add(ghost)


def wake_waiting(context: Context, names: Iterable[str]) -> None:
    """Those alone that wait for a key which reaches the names: not to be looked at otherwise."""
    for name in names:
        for ref, bucket in context.cache.buckets_named(name):
            told = conditions.find(bucket.status.conditions, "Synced")
            if told is not None and told.reason in (Reason.NameInUse, Reason.DeletionBlocked):
                context.queue.add(ref)


def wake_reaching(context: Context, name: str) -> None:
    """The keys that reach a bucket name: it may be another team's by now."""
    for item, _ in context.cache.keys_reaching(name):
        context.queue.add(item)


def wake_keys_of(context: Context, bucket: Ref) -> None:
    """The keys that refer to an AmoveBucket: it became ready, or unready, or went."""
    for ref in context.cache.keys_referring_to(bucket):
        context.queue.add(ref)


def wake_buckets_of(context: Context, key: AmoveStorageKey) -> None:
    """The buckets that a key referred to or reached: their deletion or claim may wait for it."""
    for bucket in key.spec.bucket_refs or ():
        ref = Ref(Kind.BUCKET, key.metadata.namespace, bucket.name)
        if ref in context.cache.buckets:
            context.queue.add(ref)
    for name in reached_buckets(key):
        wake_claimants(context, name)


def wake_all(context: Context) -> None:
    """Everybody: the service can be reached again, or this process took the lead."""
    for ref in context.cache:
        context.queue.add(ref)
    for ghost in list(context.cache.ghosts):
        context.queue.add(ghost)
