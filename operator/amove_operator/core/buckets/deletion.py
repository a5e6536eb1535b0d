"""The next step in letting go of one AmoveBucket (docs/bucket-protocol.md, "Deleting"). Pure."""

from __future__ import annotations

from amove_operator.core import conditions
from amove_operator.core.buckets import messages, status, steps
from amove_operator.core.buckets.snapshot import BucketLoss, BucketSnapshot, Refused, Unknown
from amove_operator.core.reasons import Reason

Step = steps.BucketStep


def plan_deletion(snapshot: BucketSnapshot) -> Step:
    """Choose the next step towards letting go: the first check that answers decides.

    Our own rules of trust play no part: what is ours by status was taken while it was allowed.
    """
    return (
        report_other_finalizer(snapshot)  # ours is off: the object is kept by somebody else
        or report_paused(snapshot)  # by annotation: no call at all
        or keep_bucket(snapshot)  # Retain, or never ours to delete
        or report_blockers(snapshot)  # live keys reach the bucket
        or await_key_list(snapshot)  # a key may reach it that no list shows yet
        or observe(snapshot)  # only the service's answer proves presence or absence
        or let_go_of_absent(snapshot)  # unless the account may be gone with it
        or report_refused_delete(snapshot)  # until a person mends what is in the way
        or await_deletion(snapshot)  # answered 200, and still shown
        or note_deletion(snapshot)  # before the call: after a crash the absence is no loss
        or steps.Delete()
    )


# ---------------------------------------------------------------- asked of every bucket


def report_paused(snapshot: BucketSnapshot) -> Step | None:
    """Say that the annotation holds this object up."""
    if not snapshot.meta.paused:
        return None
    waits = ", and the deletion waits" if snapshot.meta.deleting else ""
    paused = conditions.unsynced(Reason.Paused, f"Paused by annotation; nothing is called{waits}.")
    return steps.Finish(status.as_it_was(snapshot), paused)


def observe(snapshot: BucketSnapshot) -> Step | None:
    """Ask the service for the bucket; come again where it gave no usable answer."""
    if snapshot.seen is None:
        return steps.Observe()
    if not isinstance(snapshot.seen, Unknown):
        return None
    unknown = conditions.unsynced(snapshot.seen.reason, snapshot.seen.message)
    return steps.Finish(status.as_it_was(snapshot), unknown, retry=True)


# ---------------------------------------------------------------- asked before a deletion


def report_other_finalizer(snapshot: BucketSnapshot) -> Step | None:
    """Say that nothing is left to do here. A vanished object was not let go of by us."""
    if not snapshot.meta.let_go or snapshot.meta.vanished:
        return None
    message = "Let go of here; another finalizer still holds this object (metadata.finalizers)."
    return steps.Finish(status.as_it_was(snapshot), conditions.unsynced(Reason.Deleting, message))


def keep_bucket(snapshot: BucketSnapshot) -> Step | None:
    """Let go and leave the bucket, if it is to stay or was never ours.

    One whose object vanished while it was paused stays too: nobody can end that pause any more,
    and nobody asked for its data to be deleted.
    """
    meta, spec = snapshot.meta, snapshot.spec
    stays = spec.deletion_policy == "Retain" or snapshot.observe_only
    stays = stays or (meta.vanished and meta.annotation("paused") == "true")
    theirs = not snapshot.ours or snapshot.intent_void or snapshot.claimed_by is not None
    return steps.RemoveFinalizer() if stays or theirs else None


def report_blockers(snapshot: BucketSnapshot) -> Step | None:
    """Name the keys that reach the bucket."""
    if not snapshot.blockers:
        return None
    return steps.Finish(status.as_it_was(snapshot), messages.blocked(snapshot), retry=True)


def await_key_list(snapshot: BucketSnapshot) -> Step | None:
    """Wait for a key list that is recent enough to show every live key."""
    if (since := snapshot.list_needed_since) is None:
        return None
    return steps.AwaitKeyList(status.as_it_was(snapshot), messages.await_key_list(snapshot), since)


def let_go_of_absent(snapshot: BucketSnapshot) -> Step | None:
    """The bucket is gone: let go, unless the whole account may be gone with it, or none is."""
    if not snapshot.absent:
        return None
    deleted_here = snapshot.delete_sent or conditions.deletion_begun(snapshot.status.conditions)
    if not deleted_here and snapshot.loss is not BucketLoss.NONE:
        return steps.Finish(status.as_it_was(snapshot), messages.loss(snapshot), retry=True)
    if snapshot.absent_once:
        once = messages.absent_once(snapshot)
        return steps.Finish(status.as_it_was(snapshot), once, retry=True)
    return steps.RemoveFinalizer()


# ---------------------------------------------------------------- asked of a bucket that is there


def report_refused_delete(snapshot: BucketSnapshot) -> Step | None:
    """Say what the service has against the deletion."""
    if snapshot.refused(Refused.NOT_EMPTY):
        refused = messages.not_empty(snapshot)
    elif (refusal := snapshot.refused(Refused.DELETE)) is not None:
        refused = messages.delete_refused(snapshot, refusal)
    else:
        return None
    return steps.Finish(status.found_present(snapshot), refused, retry=True)


def await_deletion(snapshot: BucketSnapshot) -> Step | None:
    """Wait until a bucket is gone whose delete was answered 200."""
    if not snapshot.effect_pending:
        return None
    message = "The service took the deletion, but still shows the bucket."
    slow = conditions.progressing(Reason.Deleting, message)
    return steps.Finish(status.found_present(snapshot), slow, retry=True)


def note_deletion(snapshot: BucketSnapshot) -> Step | None:
    """Write that the bucket is being deleted, unless status says so, or that it was refused.

    Another try at what was refused changes nothing in status, unless it works.
    """
    before = snapshot.status.conditions
    halted = conditions.reason_of(before, "Stalled")
    refused = (Reason.BucketNotEmpty, Reason.DeleteRefused)
    if halted in refused or conditions.deletion_begun(before):
        return None
    begun = conditions.deleting("The bucket is being deleted.")
    return steps.WriteStatus(status.as_it_was(snapshot), begun)
