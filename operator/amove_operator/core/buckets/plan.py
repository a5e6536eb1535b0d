"""The next step for one AmoveBucket (docs/bucket-protocol.md). Pure: no I/O, no clock."""

from __future__ import annotations

from amove_operator.core.buckets import messages as words
from amove_operator.core.buckets import steps
from amove_operator.core.buckets.deletion import plan_deletion
from amove_operator.core.buckets.flags import drift, flags_at_creation, flags_wanted
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketSnapshot,
    ClaimLost,
    Present,
    Refused,
    Unknown,
)
from amove_operator.core.buckets.status import (
    as_it_was,
    disowned,
    found_absent,
    found_present,
    intending,
)
from amove_operator.core.conditions import (
    Conclusion,
    in_sync,
    progressing,
    stalled,
    unchanged,
    unsynced,
)
from amove_operator.core.reasons import Reason
from amove_operator.models.bucket import BucketFlags, BucketStatus

# A create that was refused before is tried again at each resync: its conditions stay meanwhile,
# or each try would show, and tell by Events, as a change and a change back.
_TRIED_AGAIN = {
    Reason.ApiRefused,
    Reason.ApiUnavailable,
    Reason.ApiUnauthorized,
    Reason.BucketExists,
}


def plan_bucket(world: BucketSnapshot) -> steps.BucketStep:
    """Choose the next step towards the spec, or towards letting go."""
    if world.deleting:
        return plan_deletion(world)
    if world.intent_void:
        return steps.WriteStatus(
            disowned(world), _trying(world, "Looking again, as before a create.")
        )
    if world.paused:
        message = "Paused by annotation; nothing is called."
        return steps.Finish(as_it_was(world), unsynced(Reason.Paused, message))
    if world.fault is not None:
        return steps.Finish(as_it_was(world), world.fault)
    if isinstance(world.claim, ClaimLost):
        claimed = stalled(Reason.BucketClaimed, words.claimed(world, world.claim))
        return steps.Finish(as_it_was(world), claimed)
    if not world.finalizer:
        return steps.AddFinalizer()
    match world.seen:
        case None:
            return steps.Observe()
        case Unknown(reason, message):
            return steps.Finish(as_it_was(world), unsynced(reason, message), retry=True)
        case Absent():
            return _plan_absent(world)
        case Present(flags):
            return _plan_present(world, flags)


# ---------------------------------------------------------------- absent


def _plan_absent(world: BucketSnapshot) -> steps.BucketStep:
    if world.mass_loss or (world.status.provenance is not None and world.loss_unconfirmed):
        return steps.Finish(found_absent(world), words.loss(world), retry=True)
    if world.observe_only or world.status.provenance == "Adopted":
        gone = stalled(Reason.BucketMissing, words.missing(world))
        return steps.Finish(found_absent(world), gone)
    refusal = world.refusal
    if refusal is not None and refusal.what is Refused.CREATE:
        # Still absent, so a bucket of that name that shows up later is not ours.
        refused = words.create_refused(refusal.message, refusal.in_a_row)
        return steps.Finish(disowned(world), refused, retry=refused.stalled is None)
    if refusal is not None and refusal.what is Refused.EXISTS:
        taken = stalled(Reason.BucketExists, words.taken(world))
        return steps.Finish(found_absent(world), taken)
    return _create(world)


def _create(world: BucketSnapshot) -> steps.BucketStep:
    if (waiting := _name_not_free(world, found_absent(world))) is not None:
        return waiting
    if world.effect_pending:
        slow = "The service took the creation, but does not show the bucket yet."
        slowly = progressing(Reason.Progressing, slow)
        return steps.Finish(found_absent(world), slowly, retry=True)
    noted = world.status.observed is None if world.recreating else world.intent
    if not noted:
        what = "It was gone; creating it again." if world.recreating else "Creating the bucket."
        return steps.WriteStatus(intending(world), _trying(world, what))
    return steps.Create(flags_at_creation(world.spec))


def _trying(world: BucketSnapshot, message: str) -> Conclusion:
    return unchanged(world.status.conditions, _TRIED_AGAIN) or progressing(
        Reason.Progressing, message
    )


# ---------------------------------------------------------------- present


def _plan_present(world: BucketSnapshot, flags: BucketFlags) -> steps.BucketStep:
    stranger = found_present(world, flags, adopt=False)
    if not world.ours and not world.may_adopt:
        return steps.Finish(stranger, stalled(Reason.BucketExists, words.exists(world)))
    if (waiting := _name_not_free(world, stranger)) is not None:
        return waiting
    lock = world.spec.object_lock_enabled
    if not world.observe_only and lock not in (None, flags.object_lock_enabled):
        message = words.lock_differs(world, locked=flags.object_lock_enabled)
        return steps.Finish(stranger, stalled(Reason.ObjectLockMismatch, message))
    differs = drift(world.spec, flags)
    if differs and not world.observe_only:
        return _repair(world, flags, differs)
    found = found_present(world, flags, adopt=True)
    if differs:
        return steps.Finish(
            found, words.usable(world, Reason.DriftObserved, words.drift_observed(differs))
        )
    if world.orphaned:
        return steps.Finish(found, words.reached_by_orphan(world))
    well = in_sync(Reason.Available, words.available(world), words.pinned(world))
    return steps.Finish(found, well)


def _repair(
    world: BucketSnapshot, flags: BucketFlags, differs: tuple[str, ...]
) -> steps.BucketStep:
    found = found_present(world, flags, adopt=True)
    refusal = world.refusal
    if refusal is not None and refusal.what is Refused.UPDATE:
        refused = words.update_refused(world, refusal.message, refusal.in_a_row)
        return steps.Finish(found, refused, retry=refused.stalled is None)
    if world.repairs_left > 0:
        return steps.Repair(flags_wanted(world.spec, flags))
    return steps.Finish(
        found, words.usable(world, Reason.FlagRejected, words.flag_rejected(differs))
    )


def _name_not_free(world: BucketSnapshot, status: BucketStatus) -> steps.BucketStep | None:
    """A name is not given away while somebody else's live keys reach it, or may reach it."""
    if world.ours:
        return None
    if world.name_in_use is not None:
        return steps.Finish(status, progressing(Reason.NameInUse, world.name_in_use))
    if world.keys_listed:
        return None
    return steps.AwaitKeyList(status, words.await_key_list(world), world.list_since)
