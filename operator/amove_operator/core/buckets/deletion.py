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


def plan_deletion(world: BucketSnapshot) -> steps.BucketStep:
    """Choose the next step towards letting go.

    Our own rules of trust play no part: what is ours by status was taken while it was allowed.
    """
    if not world.finalizer:
        return steps.Finish(as_it_was(world), unsynced(Reason.Deleting, "Being deleted."))
    if world.paused:
        message = "Paused by annotation; nothing is called, and the deletion waits."
        return steps.Finish(as_it_was(world), unsynced(Reason.Paused, message))
    if not _to_be_deleted(world):
        return steps.RemoveFinalizer()
    if world.blockers:
        return _blocked(world)
    if not world.keys_listed:
        return steps.AwaitKeyList(as_it_was(world), await_key_list(world), world.list_since)
    match world.seen:
        case None:
            return steps.Observe()
        case Unknown(reason, message):
            return steps.Finish(as_it_was(world), unsynced(reason, message), retry=True)
        case Absent() if not _explained(world) and (world.mass_loss or world.loss_unconfirmed):
            return steps.Finish(found_absent(world), loss(world), retry=True)
        case Absent():
            return steps.RemoveFinalizer()
        case Present(flags):
            return _delete(world, flags)


def _to_be_deleted(world: BucketSnapshot) -> bool:
    """Asked for, and ours to delete: a bucket that was never ours is never deleted."""
    if world.spec.deletion_policy == "Retain" or world.observe_only:
        return False
    return world.ours and not world.intent_void and not isinstance(world.claim, ClaimLost)


def _blocked(world: BucketSnapshot) -> steps.BucketStep:
    message = (
        f"Bucket {world.name} is not deleted while keys reach it: {few(world.blockers)}. Delete "
        "them, or set deletionPolicy: Retain."
    )
    return steps.Finish(as_it_was(world), stalled(Reason.DeletionBlocked, message), retry=True)


def _delete(world: BucketSnapshot, flags: BucketFlags) -> steps.BucketStep:
    match world.refusal.what if world.refusal is not None else None:
        case Refused.NOT_EMPTY:
            message = (
                f"Bucket {world.name} still holds objects and is never emptied by the operator: "
                "empty it, or set deletionPolicy: Retain."
            )
            return _refused(world, flags, stalled(Reason.BucketNotEmpty, message))
        case Refused.DELETE:
            assert world.refusal is not None  # noqa: S101 - the case says so
            message = (
                f"The service refused to delete {world.name}; set deletionPolicy: Retain to let "
                f"go of it. {shortened(world.refusal.message)}"
            )
            return _refused(world, flags, stalled(Reason.DeleteRefused, message))
        case _ if world.effect_pending:
            slow = "The service took the deletion, but still shows the bucket."
            return _refused(world, flags, progressing(Reason.Deleting, slow))
        case _ if not (deletion_begun(world.status.conditions) or _refused_before(world)):
            return steps.WriteStatus(as_it_was(world), deleting("The bucket is being deleted."))
        case _:
            return steps.Delete()


def _refused_before(world: BucketSnapshot) -> bool:
    """Another try at what was refused changes nothing in status, unless it works."""
    told = find(world.status.conditions, "Stalled")
    return told is not None and told.reason in (Reason.BucketNotEmpty, Reason.DeleteRefused)


def _explained(world: BucketSnapshot) -> bool:
    """Whether it is gone since we deleted it, or an earlier process did."""
    return world.delete_sent or deletion_begun(world.status.conditions)


def _refused(
    world: BucketSnapshot, flags: BucketFlags, conclusion: Conclusion
) -> steps.Finish[BucketStatus]:
    return steps.Finish(found_present(world, flags, adopt=False), conclusion, retry=True)
