"""The next step for one AmoveBucket (docs/bucket-protocol.md). Pure: no I/O, no clock.

Each list of checks is asked in its order, and the first check that answers decides. The reconciler
performs the step, gathers a new snapshot, and asks again.
"""

from __future__ import annotations

from amove_operator.core.buckets import messages, status, steps
from amove_operator.core.buckets.deletion import observe, plan_deletion, report_paused
from amove_operator.core.buckets.flags import drift, flags_wanted
from amove_operator.core.buckets.snapshot import BucketLoss, BucketSnapshot, Refused
from amove_operator.core.conditions import Conclusion, progressing, unchanged
from amove_operator.core.reasons import Reason

Step = steps.BucketStep


def plan_bucket(snapshot: BucketSnapshot) -> Step:
    """Choose the next step towards the spec, or towards letting go."""
    if snapshot.meta.deleting:
        return plan_deletion(snapshot)
    return (
        disown_unmade_bucket(snapshot)  # our create surely made none: status may claim none
        or report_paused(snapshot)  # by annotation: no call at all
        or report_refused_spec(snapshot)  # our own rules refuse it, before any call
        or report_lost_claim(snapshot)  # another AmoveBucket has the bucket name
        or add_finalizer(snapshot)  # before anything of ours is at the service
        or observe(snapshot)  # only the service's answer proves presence or absence
        or (_plan_absent if snapshot.absent else _plan_present)(snapshot)
    )


def _plan_absent(snapshot: BucketSnapshot) -> Step:
    return (
        report_loss(snapshot)  # the account may be what is gone: nothing is made anew meanwhile
        or report_absent_once(snapshot)  # a service may flap
        or report_missing(snapshot)  # adopted or only observed: not ours to make
        or report_refused_create(snapshot)  # the service answered that it makes none
        or report_taken_name(snapshot)  # the name is taken, where this account cannot see it
        or await_free_name(snapshot)  # live keys of others would reach the new bucket
        or await_creation(snapshot)  # answered 200, and not shown yet
        or note_intent(snapshot)  # before the call: after a crash it alone proves the bucket ours
        or steps.Create(flags_wanted(snapshot.spec, snapshot.flags))
    )


def _plan_present(snapshot: BucketSnapshot) -> Step:
    return (
        report_strangers_bucket(snapshot)  # neither made here, nor to be adopted
        or await_free_name(snapshot)  # live keys of others would reach our bucket
        or report_other_lock(snapshot)  # no call can change an object lock
        or repair(snapshot)  # until a flag is refused, or does not move
        or report_present(snapshot)  # and what a person should know of it all the same
    )


# ---------------------------------------------------------------- before the service is asked


def disown_unmade_bucket(snapshot: BucketSnapshot) -> Step | None:
    """Take the intent out of status, since our create surely did not make the bucket."""
    if not snapshot.intent_void:
        return None
    message = "The service says the name is taken; checking whose bucket it is."
    if snapshot.refused(Refused.UNSENT):
        message = "The create was not done; it is tried again."
    return steps.WriteStatus(status.disowned(snapshot), _trying(snapshot, message))


def report_refused_spec(snapshot: BucketSnapshot) -> Step | None:
    """Say why our own rules refuse the spec."""
    return steps.Finish(status.as_it_was(snapshot), snapshot.fault) if snapshot.fault else None


def report_lost_claim(snapshot: BucketSnapshot) -> Step | None:
    """Say which AmoveBucket has the bucket name."""
    if snapshot.claimed_by is None:
        return None
    return steps.Finish(status.as_it_was(snapshot), messages.claimed(snapshot, snapshot.claimed_by))


def add_finalizer(snapshot: BucketSnapshot) -> Step | None:
    """Put the finalizer on: without it a deletion would leave the bucket behind."""
    return None if snapshot.meta.finalized_by_us else steps.AddFinalizer()


# ---------------------------------------------------------------- absent


def report_loss(snapshot: BucketSnapshot) -> Step | None:
    """Wait while too many buckets are gone, or while it is not known whether they are.

    A new bucket is no loss, and does not wait.
    """
    if snapshot.status.provenance is None or snapshot.loss is BucketLoss.NONE:
        return None
    return steps.Finish(status.as_it_was(snapshot), messages.loss(snapshot), retry=True)


def report_absent_once(snapshot: BucketSnapshot) -> Step | None:
    """Wait for a second observation before a bucket of ours is taken for gone."""
    ours = snapshot.status.provenance is not None
    if not ours or not snapshot.absent_once or snapshot.effect_pending:
        return None
    return steps.Finish(status.as_it_was(snapshot), messages.absent_once(snapshot), retry=True)


def report_missing(snapshot: BucketSnapshot) -> Step | None:
    """Say that a bucket is gone which was not made here."""
    if snapshot.observe_only or snapshot.status.provenance == "Adopted":
        return steps.Finish(status.found_absent(snapshot), messages.missing(snapshot))
    return None


def report_refused_create(snapshot: BucketSnapshot) -> Step | None:
    """Say why the service makes no bucket. One that shows up under the name later is not ours."""
    if (refusal := snapshot.refused(Refused.CREATE)) is None:
        return None
    refused = messages.create_refused(refusal)
    return steps.Finish(status.disowned(snapshot), refused, retry=refused.stalled is None)


def report_taken_name(snapshot: BucketSnapshot) -> Step | None:
    """Say that another account has the name: our create was answered that it exists."""
    if snapshot.refused(Refused.EXISTS):
        return steps.Finish(status.found_absent(snapshot), messages.taken(snapshot))
    return None


def await_creation(snapshot: BucketSnapshot) -> Step | None:
    """Wait until a bucket shows whose create was answered 200.

    A second create would be answered "exists", which looks like a stranger's bucket.
    """
    if not snapshot.effect_pending:
        return None
    message = "The service took the creation, but does not show the bucket yet."
    slow = progressing(Reason.Progressing, message)
    return steps.Finish(status.found_absent(snapshot), slow, retry=True)


def note_intent(snapshot: BucketSnapshot) -> Step | None:
    """Write that a create is about to be sent, unless status says so already."""
    recreating = snapshot.recreating
    if snapshot.status.observed is None if recreating else snapshot.intent:
        return None
    message = "It was gone; creating it again." if recreating else "Creating the bucket."
    return steps.WriteStatus(status.intending(snapshot), _trying(snapshot, message))


_TRIED_AGAIN = {
    Reason.ApiRefused,
    Reason.ApiUnavailable,
    Reason.ApiUnauthorized,
    Reason.BucketExists,
}
"""Why a create that is tried again was not done before: its conditions stay meanwhile."""


def _trying(snapshot: BucketSnapshot, message: str) -> Conclusion:
    same = unchanged(snapshot.status.conditions, _TRIED_AGAIN)
    return same or progressing(Reason.Progressing, message)


# ---------------------------------------------------------------- present


def report_strangers_bucket(snapshot: BucketSnapshot) -> Step | None:
    """Say that the bucket was not made here, and how it could become ours."""
    if snapshot.ours or snapshot.may_adopt:
        return None
    return steps.Finish(status.found_present(snapshot), messages.exists(snapshot))


def report_other_lock(snapshot: BucketSnapshot) -> Step | None:
    """Say that the object lock is not as the spec wants it."""
    wanted = snapshot.spec.object_lock_enabled
    if snapshot.observe_only or wanted in (None, snapshot.flags.object_lock_enabled):
        return None
    return steps.Finish(status.found_present(snapshot), messages.lock_differs(snapshot))


def repair(snapshot: BucketSnapshot) -> Step | None:
    """Send the flags that the spec wants, or say that the service does not take them."""
    differs = drift(snapshot.spec, snapshot.flags)
    if not differs or snapshot.observe_only:
        return None
    found = status.found_present(snapshot, adopt=True)
    if (refusal := snapshot.refused(Refused.UPDATE)) is not None:
        refused = messages.update_refused(snapshot, refusal)
        return steps.Finish(found, refused, retry=refused.stalled is None)
    if snapshot.repairs_left > 0:
        return steps.Repair(flags_wanted(snapshot.spec, snapshot.flags))
    return steps.Finish(found, messages.flag_rejected(snapshot, differs))


def report_present(snapshot: BucketSnapshot) -> Step:
    """Say that the bucket is there."""
    if differs := drift(snapshot.spec, snapshot.flags):
        conclusion = messages.drift_observed(snapshot, differs)
    elif snapshot.orphaned:
        conclusion = messages.reached_by_orphan(snapshot)
    else:
        conclusion = messages.available(snapshot)
    return steps.Finish(status.found_present(snapshot, adopt=True), conclusion)


# ---------------------------------------------------------------- both


def await_free_name(snapshot: BucketSnapshot) -> Step | None:
    """Wait until no live key of another team reaches, or may reach, the bucket name."""
    if snapshot.ours:
        return None
    found = (status.found_absent if snapshot.absent else status.found_present)(snapshot)
    if snapshot.name_in_use is not None:
        return steps.Finish(found, progressing(Reason.NameInUse, snapshot.name_in_use))
    if (since := snapshot.list_needed_since) is None:
        return None
    return steps.AwaitKeyList(found, messages.await_key_list(snapshot), since)
