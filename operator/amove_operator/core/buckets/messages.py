"""The sentences that a bucket's conditions say: what is the matter and what to do. Pure."""

from __future__ import annotations

import json

from amove_operator.core import conditions
from amove_operator.core.buckets.snapshot import BucketLoss, BucketSnapshot, Refusal
from amove_operator.core.reasons import Reason
from amove_operator.models.refs import Ref

_ACCEPT_LOSS = "or the annotation storage.amove.io/accept-loss is set to a new value"
_TRY_NOW = "set the annotation storage.amove.io/reconcile-requested-at to try at once"

# ---------------------------------------------------------------- there, and usable


def available(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """All is as the spec says; Synced names a default account that changed since."""
    default, note = snapshot.default_account, ""
    if snapshot.spec.cloud_account_id is None and default not in (None, snapshot.account):
        note = (
            f"Pinned to cloud account {snapshot.account}, the default at its first use; the "
            f"default is {default} by now, but existing buckets stay in the old account."
        )
    return conditions.in_sync(Reason.Available, _there(snapshot), note)


def _there(snapshot: BucketSnapshot) -> str:
    return f"Bucket {snapshot.name} is there."


def reached_by_orphan(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """The bucket is ours, and somebody may hold a key to it whose object is gone."""
    message = (
        f"A live key whose resource is gone may reach bucket {snapshot.name}: have an admin run "
        "'amove-operator orphans', and revoke it there."
    )
    return _usable(snapshot, Reason.ReachedByOrphan, message)


def flag_rejected(snapshot: BucketSnapshot, differs: tuple[str, ...]) -> conditions.Conclusion:
    """An update was accepted, and changed nothing."""
    message = (
        f"{'; '.join(differs)}: the service accepts the change but does not make it. It is tried "
        "again at each resync; change the spec, or ask whether the account's plan allows it."
    )
    return _usable(snapshot, Reason.FlagRejected, message)


def drift_observed(snapshot: BucketSnapshot, differs: tuple[str, ...]) -> conditions.Conclusion:
    """An observed bucket is not as the spec says."""
    message = f"{'; '.join(differs)}: only observed (managementPolicy), so not repaired."
    return _usable(snapshot, Reason.DriftObserved, message)


def update_refused(snapshot: BucketSnapshot, refusal: Refusal) -> conditions.Conclusion:
    """The service refuses to change the flags."""
    if refusal.in_a_row >= conditions.REFUSALS_UNTIL_STALLED:
        return _refused_often(refusal)
    return _usable(snapshot, Reason.ApiRefused, _shortened(refusal.message))


def _usable(snapshot: BucketSnapshot, reason: Reason, message: str) -> conditions.Conclusion:
    """The bucket can be used though not everything is as the spec says."""
    ready = conditions.Verdict("True", Reason.Available, _there(snapshot))
    return conditions.Conclusion(ready=ready, synced=conditions.Verdict("False", reason, message))


# ---------------------------------------------------------------- not there, or not ours


def await_key_list(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """Whether a key reaches the bucket name is not known yet."""
    message = f"Waiting for a list of all live keys, in case one reaches bucket {snapshot.name}."
    return conditions.progressing(Reason.WaitingForListing, message)


def claimed(snapshot: BucketSnapshot, holder: Ref) -> conditions.Conclusion:
    """Another AmoveBucket has the name; of another team's only the namespace is named."""
    ours = holder.namespace == snapshot.meta.namespace
    who = f"AmoveBucket {holder.name}" if ours else f"an AmoveBucket of {holder.namespace}"
    return conditions.stalled(
        Reason.BucketClaimed,
        f"Bucket {snapshot.name} belongs to {who}; this one takes over when that one is gone. For "
        "a bucket of its own choose another bucketName.",
    )


def missing(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """A bucket that we do not make is not there."""
    return conditions.stalled(
        Reason.BucketMissing,
        f"Bucket {snapshot.name} does not exist, and was not created here: create it at the "
        "service, or delete this object.",
    )


def taken(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """The service has the name, though not in this account."""
    message = f"The name {snapshot.name} is taken at the service: choose another bucketName."
    return conditions.stalled(Reason.BucketExists, message)


def exists(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """A stranger's bucket, and each way to make it ours; the last is a line to run as it is."""
    meta = snapshot.meta
    ours = {
        "ownerUID": meta.uid,
        "provenance": "Adopted",
        "bucketName": snapshot.name,
        "cloudAccountId": snapshot.account,
    }
    patch = json.dumps({"status": ours}, separators=(",", ":"))
    return conditions.stalled(
        Reason.BucketExists,
        f"Bucket {snapshot.name} exists already and was not created for this object. Choose "
        "another bucketName, or set adoptionPolicy: IfExists in a trusted namespace, or let an "
        f"admin run: kubectl patch amovebucket {meta.name} -n {meta.namespace} "
        f"--subresource=status --type=merge -p '{patch}'",
    )


def lock_differs(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """The object lock is not as the spec says, and stays so."""
    has, wants = ("on", "off") if snapshot.flags.object_lock_enabled else ("off", "on")
    return conditions.stalled(
        Reason.ObjectLockMismatch,
        f"Bucket {snapshot.name} has object lock {has}, the spec wants it {wants}; that is chosen "
        "at creation and cannot be changed: delete this object and make one that says the same as "
        "the bucket, or that names another bucket.",
    )


def loss(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """A bucket of ours is gone, and it may be the account that is: nothing is done yet."""
    if snapshot.loss is BucketLoss.MASS:
        message = (
            "Too many buckets vanished from the service at once; no lost one is created again or "
            f"let go until they are back, {_ACCEPT_LOSS}."
        )
        return conditions.unsynced(Reason.MassBucketLoss, message)
    message = f"Bucket {snapshot.name} is gone; looking at the others before anything is done."
    return _gone(snapshot, message)


def absent_once(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """A bucket of ours was not found, and is looked for once more before that counts."""
    message = f"Bucket {snapshot.name} was not found; looking once more before anything is done."
    return _gone(snapshot, message)


def _gone(snapshot: BucketSnapshot, message: str) -> conditions.Conclusion:
    """Nothing new of a bucket that was reported as missing before."""
    same = conditions.unchanged(snapshot.status.conditions, {Reason.BucketMissing})
    return same or conditions.unsynced(Reason.BucketMissing, message)


def create_refused(refusal: Refusal) -> conditions.Conclusion:
    """There is no bucket, since the service refuses to make it."""
    if refusal.in_a_row >= conditions.REFUSALS_UNTIL_STALLED:
        return _refused_often(refusal)
    verdict = conditions.Verdict("False", Reason.ApiRefused, _shortened(refusal.message))
    return conditions.Conclusion(ready=verdict, synced=verdict)


# ---------------------------------------------------------------- to be deleted


def blocked(snapshot: BucketSnapshot, most: int = 5) -> conditions.Conclusion:
    """Live keys reach the bucket: the first of them, and how many more there are."""
    keys, rest = ", ".join(snapshot.blockers[:most]), len(snapshot.blockers) - most
    return conditions.stalled(
        Reason.DeletionBlocked,
        f"Bucket {snapshot.name} is not deleted while keys reach it: {keys}"
        f"{f' and {rest} more' if rest > 0 else ''}. Delete them, or set deletionPolicy: Retain.",
    )


def not_empty(snapshot: BucketSnapshot) -> conditions.Conclusion:
    """There are objects in the bucket."""
    return conditions.stalled(
        Reason.BucketNotEmpty,
        f"Bucket {snapshot.name} still holds objects and is never emptied by the operator: empty "
        "it, or set deletionPolicy: Retain.",
    )


def delete_refused(snapshot: BucketSnapshot, refusal: Refusal) -> conditions.Conclusion:
    """The service refuses to delete the bucket."""
    return conditions.stalled(
        Reason.DeleteRefused,
        f"The service refused to delete {snapshot.name}; set deletionPolicy: Retain to let go of "
        f"it. {_shortened(refusal.message)}",
    )


def _refused_often(refusal: Refusal) -> conditions.Conclusion:
    often = f"Refused {conditions.REFUSALS_UNTIL_STALLED} times: change the spec, or {_TRY_NOW}."
    return conditions.stalled(Reason.ApiRefused, f"{often} {_shortened(refusal.message)}")


def _shortened(message: str, most: int = 600) -> str:
    """The service's own words, so long that ours beside them fit into a condition."""
    return message if len(message) <= most else message[: most - 1] + "…"
