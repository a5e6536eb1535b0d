"""The next step in letting go of one AmoveBucket (docs/bucket-protocol.md, "Deleting"). Pure."""

from __future__ import annotations

from amove_operator.core.buckets.messages import await_key_list, few, loss, shortened
from amove_operator.core.buckets.snapshot import (
    Absent,
    AwaitKeyList,
    BucketReport,
    BucketStep,
    BucketWorld,
    ClaimLost,
    Delete,
    Observe,
    Present,
    Refused,
    ReleaseBucket,
    Unknown,
    WriteIntent,
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
from amove_operator.models.bucket import BucketFlags


def plan_deletion(world: BucketWorld) -> BucketStep:
    """Choose the next step towards letting go.

    Our own rules of trust play no part: what is ours by status was taken while it was allowed.
    """
    if not world.finalizer:
        return BucketReport(as_it_was(world), unsynced(Reason.Deleting, "Being deleted."))
    if world.paused:
        message = "Paused by annotation; nothing is called, and the deletion waits."
        return BucketReport(as_it_was(world), unsynced(Reason.Paused, message))
    if not _to_be_deleted(world):
        return ReleaseBucket()
    if world.blockers:
        return _blocked(world)
    if not world.keys_listed:
        return AwaitKeyList(as_it_was(world), await_key_list(world), world.list_since)
    match world.seen:
        case None:
            return Observe()
        case Unknown(reason, message):
            return BucketReport(as_it_was(world), unsynced(reason, message), retry=True)
        case Absent() if not _explained(world) and (world.mass_loss or world.loss_unclear):
            return BucketReport(found_absent(world), loss(world), retry=True)
        case Absent():
            return ReleaseBucket()
        case Present(flags):
            return _delete(world, flags)


def _to_be_deleted(world: BucketWorld) -> bool:
    """Asked for, and ours to delete: a bucket that was never ours is never deleted."""
    if world.spec.deletion_policy == "Retain" or world.observe_only:
        return False
    return world.ours and not world.intent_void and not isinstance(world.claim, ClaimLost)


def _blocked(world: BucketWorld) -> BucketStep:
    message = (
        f"Bucket {world.name} is not deleted while keys reach it: {few(world.blockers)}. Delete "
        "them, or set deletionPolicy: Retain."
    )
    return BucketReport(as_it_was(world), stalled(Reason.DeletionBlocked, message), retry=True)


def _delete(world: BucketWorld, flags: BucketFlags) -> BucketStep:
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
            return WriteIntent(as_it_was(world), deleting("The bucket is being deleted."))
        case _:
            return Delete()


def _refused_before(world: BucketWorld) -> bool:
    """Another try at what was refused changes nothing in status, unless it works."""
    told = find(world.status.conditions, "Stalled")
    return told is not None and told.reason in (Reason.BucketNotEmpty, Reason.DeleteRefused)


def _explained(world: BucketWorld) -> bool:
    """Whether it is gone since we deleted it, or an earlier process did."""
    return world.delete_sent or deletion_begun(world.status.conditions)


def _refused(world: BucketWorld, flags: BucketFlags, conclusion: Conclusion) -> BucketReport:
    return BucketReport(found_present(world, flags, adopt=False), conclusion, retry=True)
