"""What a bucket reconcile writes into status: who the bucket is to us, and what was seen. Pure.

Provenance is proof of ownership, so each change of it is one function here, and no status
ever carries provenance and intent both (docs/bucket-protocol.md, "Whose a bucket is").
"""

from __future__ import annotations

from amove_operator.core.buckets.snapshot import BucketSnapshot, Refused
from amove_operator.models.bucket import BucketFlags, BucketStatus


def as_it_was(world: BucketSnapshot) -> BucketStatus:
    """Nothing was learned of the bucket: its status stays."""
    if world.status.provenance is None:
        return world.status
    return world.status.model_copy(update={"create_intent": None})


def found_absent(world: BucketSnapshot) -> BucketStatus:
    """The service says that there is no such bucket; whose it was stays."""
    return _pinned(as_it_was(world), world, observed=None)


def found_present(world: BucketSnapshot, flags: BucketFlags, *, adopt: bool) -> BucketStatus:
    """The bucket was seen: provenance in, intent out; a stranger's bucket stays a stranger's."""
    status = as_it_was(world)
    if status.provenance is None and (status.create_intent or world.created):
        return _pinned(status, world, provenance="Created", create_intent=None, observed=flags)
    if status.provenance is None and adopt:
        return _pinned(status, world, provenance="Adopted", observed=flags)
    return _pinned(status, world, observed=flags if status.provenance is not None else None)


def intending(world: BucketSnapshot) -> BucketStatus:
    """``create_bucket`` is about to be sent; to make a lost one again, its provenance stays."""
    if world.recreating:
        return found_absent(world)
    return _pinned(world.status, world, provenance=None, create_intent=True, observed=None)


def disowned(world: BucketSnapshot) -> BucketStatus:
    """Without intent and provenance: what shows up under the name is a stranger's.

    But a bucket of ours that was lost, and could not be made again, is ours if it comes back.
    """
    taken = world.refusal is not None and world.refusal.what is Refused.EXISTS
    kept = world.status.provenance if world.recreating and not taken else None
    return _pinned(world.status, world, provenance=kept, create_intent=None, observed=None)


def _pinned(status: BucketStatus, world: BucketSnapshot, **changes: object) -> BucketStatus:
    """The changes, and the name and account that hold from the first use on."""
    pins = {
        "owner_uid": world.uid,
        "bucket_name": world.name,
        "cloud_account_id": world.account or None,
    }
    return status.model_copy(update={**pins, **changes})
