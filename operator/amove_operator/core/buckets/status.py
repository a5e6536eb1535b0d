"""What a bucket reconcile writes into status: who the bucket is to us, and what was seen. Pure.

Provenance is proof of ownership, so each change of it is one function here, and no status
ever carries provenance and intent both (docs/bucket-protocol.md, "Whose a bucket is").
"""

from __future__ import annotations

from amove_operator.core.buckets.snapshot import BucketSnapshot, Refused
from amove_operator.models import BucketStatus


def as_it_was(snapshot: BucketSnapshot) -> BucketStatus:
    """Nothing was learned of the bucket: its status stays (an intent beside a provenance goes)."""
    if snapshot.status.provenance is None:
        return snapshot.status
    return snapshot.status.model_copy(update={"create_intent": None})


def found_absent(snapshot: BucketSnapshot) -> BucketStatus:
    """The service says that there is no such bucket; whose it was stays."""
    return _pinned(as_it_was(snapshot), snapshot, observed=None)


def found_present(snapshot: BucketSnapshot, *, adopt: bool = False) -> BucketStatus:
    """The bucket was seen: provenance in, intent out; a stranger's bucket stays a stranger's.

    For example a process crashed between create and status: the intent that it wrote before makes
    the bucket Created now. Without intent the same bucket is a stranger's, or Adopted.
    """
    status, flags = as_it_was(snapshot), snapshot.flags
    if status.provenance is None and (status.create_intent or snapshot.created):
        return _pinned(status, snapshot, provenance="Created", create_intent=None, observed=flags)
    if status.provenance is None and adopt:
        return _pinned(status, snapshot, provenance="Adopted", observed=flags)
    return _pinned(status, snapshot, observed=flags if status.provenance is not None else None)


def intending(snapshot: BucketSnapshot) -> BucketStatus:
    """``create_bucket`` is about to be sent; to make a lost one again, its provenance stays."""
    if snapshot.recreating:
        return found_absent(snapshot)
    return _pinned(snapshot.status, snapshot, provenance=None, create_intent=True, observed=None)


def disowned(snapshot: BucketSnapshot) -> BucketStatus:
    """Without intent and provenance: what shows up under the name is a stranger's.

    But a bucket of ours that was lost, and could not be made again, is ours if it comes back.
    """
    lost = snapshot.recreating and not snapshot.refused(Refused.EXISTS)
    kept = snapshot.status.provenance if lost else None
    return _pinned(snapshot.status, snapshot, provenance=kept, create_intent=None, observed=None)


def _pinned(status: BucketStatus, snapshot: BucketSnapshot, **changes: object) -> BucketStatus:
    """The changes, and the name and account that hold from the first use on."""
    pins = {
        "owner_uid": snapshot.meta.uid,
        "bucket_name": snapshot.name,
        "cloud_account_id": snapshot.account or None,
    }
    return status.model_copy(update={**pins, **changes})
