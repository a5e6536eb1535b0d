"""The next step in letting go of one AmoveBucket (docs/bucket-protocol.md, "Deleting"). Pure."""

from __future__ import annotations

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.messages import await_key_list, few, loss, shortened
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketSnapshot,
    ClaimLost,
    Present,
    Refused,
    Unknown,
)
from amove_operator.core.buckets.status import as_it_was, found_absent, found_present
from amove_operator.core.conditions import (
    Conclusion,
    deleting,
    deletion_begun,
    find,
    progressing,
    stalled,
    unsynced,
)
from amove_operator.core.reasons import Reason
from amove_operator.models.bucket import BucketFlags, BucketStatus


def plan_deletion(snapshot: BucketSnapshot) -> steps.BucketStep:
    """Choose the next step towards letting go.

    Our own rules of trust play no part: what is ours by status was taken while it was allowed.
    """
    if not snapshot.finalizer:
        return steps.Finish(as_it_was(snapshot), unsynced(Reason.Deleting, "Being deleted."))
    if snapshot.paused:
        message = "Paused by annotation; nothing is called, and the deletion waits."
        return steps.Finish(as_it_was(snapshot), unsynced(Reason.Paused, message))
    if not _to_be_deleted(snapshot):
        return steps.RemoveFinalizer()
    if snapshot.blockers:
        return _blocked(snapshot)
    if not snapshot.keys_listed:
        return steps.AwaitKeyList(
            as_it_was(snapshot), await_key_list(snapshot), snapshot.list_since
        )
    match snapshot.seen:
        case None:
            return steps.Observe()
        case Unknown(reason, message):
            return steps.Finish(as_it_was(snapshot), unsynced(reason, message), retry=True)
        case Absent() if not _explained(snapshot) and (
            snapshot.mass_loss or snapshot.loss_unconfirmed
        ):
            return steps.Finish(found_absent(snapshot), loss(snapshot), retry=True)
        case Absent():
            return steps.RemoveFinalizer()
        case Present(flags):
            return _delete(snapshot, flags)


def _to_be_deleted(snapshot: BucketSnapshot) -> bool:
    """Asked for, and ours to delete: a bucket that was never ours is never deleted."""
    if snapshot.spec.deletion_policy == "Retain" or snapshot.observe_only:
        return False
    return snapshot.ours and not snapshot.intent_void and not isinstance(snapshot.claim, ClaimLost)


def _blocked(snapshot: BucketSnapshot) -> steps.BucketStep:
    message = (
        f"Bucket {snapshot.name} is not deleted while keys reach it: {few(snapshot.blockers)}. Delete "
        "them, or set deletionPolicy: Retain."
    )
    return steps.Finish(as_it_was(snapshot), stalled(Reason.DeletionBlocked, message), retry=True)


def _delete(snapshot: BucketSnapshot, flags: BucketFlags) -> steps.BucketStep:
    match snapshot.refusal.what if snapshot.refusal is not None else None:
        case Refused.NOT_EMPTY:
            message = (
                f"Bucket {snapshot.name} still holds objects and is never emptied by the operator: "
                "empty it, or set deletionPolicy: Retain."
            )
            return _refused(snapshot, flags, stalled(Reason.BucketNotEmpty, message))
        case Refused.DELETE:
            assert snapshot.refusal is not None  # noqa: S101 - the case says so
            message = (
                f"The service refused to delete {snapshot.name}; set deletionPolicy: Retain to let "
                f"go of it. {shortened(snapshot.refusal.message)}"
            )
            return _refused(snapshot, flags, stalled(Reason.DeleteRefused, message))
        case _ if snapshot.effect_pending:
            slow = "The service took the deletion, but still shows the bucket."
            return _refused(snapshot, flags, progressing(Reason.Deleting, slow))
        case _ if not (deletion_begun(snapshot.status.conditions) or _refused_before(snapshot)):
            return steps.WriteStatus(as_it_was(snapshot), deleting("The bucket is being deleted."))
        case _:
            return steps.Delete()


def _refused_before(snapshot: BucketSnapshot) -> bool:
    """Another try at what was refused changes nothing in status, unless it works."""
    told = find(snapshot.status.conditions, "Stalled")
    return told is not None and told.reason in (Reason.BucketNotEmpty, Reason.DeleteRefused)


def _explained(snapshot: BucketSnapshot) -> bool:
    """Whether it is gone since we deleted it, or an earlier process did."""
    return snapshot.delete_sent or deletion_begun(snapshot.status.conditions)


def _refused(
    snapshot: BucketSnapshot, flags: BucketFlags, conclusion: Conclusion
) -> steps.Finish[BucketStatus]:
    return steps.Finish(found_present(snapshot, flags, adopt=False), conclusion, retry=True)
