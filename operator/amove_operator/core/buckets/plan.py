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


def plan_bucket(snapshot: BucketSnapshot) -> steps.BucketStep:
    """Choose the next step towards the spec, or towards letting go."""
    if snapshot.deleting:
        return plan_deletion(snapshot)
    if snapshot.intent_void:
        return steps.WriteStatus(
            disowned(snapshot), _trying(snapshot, "Looking again, as before a create.")
        )
    if snapshot.paused:
        message = "Paused by annotation; nothing is called."
        return steps.Finish(as_it_was(snapshot), unsynced(Reason.Paused, message))
    if snapshot.fault is not None:
        return steps.Finish(as_it_was(snapshot), snapshot.fault)
    if isinstance(snapshot.claim, ClaimLost):
        claimed = stalled(Reason.BucketClaimed, words.claimed(snapshot, snapshot.claim))
        return steps.Finish(as_it_was(snapshot), claimed)
    if not snapshot.finalizer:
        return steps.AddFinalizer()
    match snapshot.seen:
        case None:
            return steps.Observe()
        case Unknown(reason, message):
            return steps.Finish(as_it_was(snapshot), unsynced(reason, message), retry=True)
        case Absent():
            return _plan_absent(snapshot)
        case Present(flags):
            return _plan_present(snapshot, flags)


# ---------------------------------------------------------------- absent


def _plan_absent(snapshot: BucketSnapshot) -> steps.BucketStep:
    if snapshot.mass_loss or (snapshot.status.provenance is not None and snapshot.loss_unconfirmed):
        return steps.Finish(found_absent(snapshot), words.loss(snapshot), retry=True)
    if snapshot.observe_only or snapshot.status.provenance == "Adopted":
        gone = stalled(Reason.BucketMissing, words.missing(snapshot))
        return steps.Finish(found_absent(snapshot), gone)
    refusal = snapshot.refusal
    if refusal is not None and refusal.what is Refused.CREATE:
        # Still absent, so a bucket of that name that shows up later is not ours.
        refused = words.create_refused(refusal.message, refusal.in_a_row)
        return steps.Finish(disowned(snapshot), refused, retry=refused.stalled is None)
    if refusal is not None and refusal.what is Refused.EXISTS:
        taken = stalled(Reason.BucketExists, words.taken(snapshot))
        return steps.Finish(found_absent(snapshot), taken)
    return _create(snapshot)


def _create(snapshot: BucketSnapshot) -> steps.BucketStep:
    if (waiting := _name_not_free(snapshot, found_absent(snapshot))) is not None:
        return waiting
    if snapshot.effect_pending:
        slow = "The service took the creation, but does not show the bucket yet."
        slowly = progressing(Reason.Progressing, slow)
        return steps.Finish(found_absent(snapshot), slowly, retry=True)
    noted = snapshot.status.observed is None if snapshot.recreating else snapshot.intent
    if not noted:
        what = "It was gone; creating it again." if snapshot.recreating else "Creating the bucket."
        return steps.WriteStatus(intending(snapshot), _trying(snapshot, what))
    return steps.Create(flags_at_creation(snapshot.spec))


def _trying(snapshot: BucketSnapshot, message: str) -> Conclusion:
    return unchanged(snapshot.status.conditions, _TRIED_AGAIN) or progressing(
        Reason.Progressing, message
    )


# ---------------------------------------------------------------- present


def _plan_present(snapshot: BucketSnapshot, flags: BucketFlags) -> steps.BucketStep:
    stranger = found_present(snapshot, flags, adopt=False)
    if not snapshot.ours and not snapshot.may_adopt:
        return steps.Finish(stranger, stalled(Reason.BucketExists, words.exists(snapshot)))
    if (waiting := _name_not_free(snapshot, stranger)) is not None:
        return waiting
    lock = snapshot.spec.object_lock_enabled
    if not snapshot.observe_only and lock not in (None, flags.object_lock_enabled):
        message = words.lock_differs(snapshot, locked=flags.object_lock_enabled)
        return steps.Finish(stranger, stalled(Reason.ObjectLockMismatch, message))
    differs = drift(snapshot.spec, flags)
    if differs and not snapshot.observe_only:
        return _repair(snapshot, flags, differs)
    found = found_present(snapshot, flags, adopt=True)
    if differs:
        return steps.Finish(
            found, words.usable(snapshot, Reason.DriftObserved, words.drift_observed(differs))
        )
    if snapshot.orphaned:
        return steps.Finish(found, words.reached_by_orphan(snapshot))
    well = in_sync(Reason.Available, words.available(snapshot), words.pinned(snapshot))
    return steps.Finish(found, well)


def _repair(
    snapshot: BucketSnapshot, flags: BucketFlags, differs: tuple[str, ...]
) -> steps.BucketStep:
    found = found_present(snapshot, flags, adopt=True)
    refusal = snapshot.refusal
    if refusal is not None and refusal.what is Refused.UPDATE:
        refused = words.update_refused(snapshot, refusal.message, refusal.in_a_row)
        return steps.Finish(found, refused, retry=refused.stalled is None)
    if snapshot.repairs_left > 0:
        return steps.Repair(flags_wanted(snapshot.spec, flags))
    return steps.Finish(
        found, words.usable(snapshot, Reason.FlagRejected, words.flag_rejected(differs))
    )


def _name_not_free(snapshot: BucketSnapshot, status: BucketStatus) -> steps.BucketStep | None:
    """A name is not given away while somebody else's live keys reach it, or may reach it."""
    if snapshot.ours:
        return None
    if snapshot.name_in_use is not None:
        return steps.Finish(status, progressing(Reason.NameInUse, snapshot.name_in_use))
    if snapshot.keys_listed:
        return None
    return steps.AwaitKeyList(status, words.await_key_list(snapshot), snapshot.list_since)
