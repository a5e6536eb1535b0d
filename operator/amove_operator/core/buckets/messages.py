"""The sentences that a bucket's conditions say: what is the matter and what to do. Pure."""

from __future__ import annotations

import json

from amove_operator.core.buckets.snapshot import BucketSnapshot, ClaimLost
from amove_operator.core.conditions import (
    Conclusion,
    Verdict,
    progressing,
    stalled,
    unchanged,
    unsynced,
)
from amove_operator.core.reasons import Reason

REFUSALS_UNTIL_STALLED = 5
_ACCEPT_LOSS = "or the annotation storage.amove.io/accept-loss is set to a new value"
_TRY_NOW = "set the annotation storage.amove.io/reconcile-requested-at to try at once"


def usable(snapshot: BucketSnapshot, reason: Reason, message: str) -> Conclusion:
    """The bucket can be used though not everything is as the spec says."""
    ready = Verdict("True", Reason.Available, available(snapshot))
    return Conclusion(ready=ready, synced=Verdict("False", reason, message))


def available(snapshot: BucketSnapshot) -> str:
    """Nothing is the matter."""
    return f"Bucket {snapshot.name} is there."


def pinned(snapshot: BucketSnapshot) -> str:
    """That a default which changed since has moved nothing; empty where it is the same."""
    by_default = snapshot.spec.cloud_account_id is None and snapshot.default_account is not None
    if not by_default or snapshot.default_account == snapshot.account:
        return ""
    return (
        f"Pinned to cloud account {snapshot.account}, the default at its first use; the default is "
        f"{snapshot.default_account} by now, which moves nothing."
    )


def await_key_list(snapshot: BucketSnapshot) -> Conclusion:
    """Whether a key reaches the name is not known yet."""
    message = f"Waiting for a list of all live keys, in case one reaches bucket {snapshot.name}."
    return progressing(Reason.WaitingForListing, message)


def reached_by_orphan(snapshot: BucketSnapshot) -> Conclusion:
    """The bucket is there and ours, and somebody may hold a key to it whom nobody knows."""
    message = (
        f"A live key whose resource is gone may reach bucket {snapshot.name}: have an admin run "
        "'amove-operator orphans', and revoke it there."
    )
    return usable(snapshot, Reason.ReachedByOrphan, message)


def claimed(snapshot: BucketSnapshot, holder: ClaimLost) -> str:
    """Another AmoveBucket has the name; of another team's only the namespace is told."""
    ours = holder.namespace == snapshot.namespace
    who = f"AmoveBucket {holder.name}" if ours else f"an AmoveBucket of {holder.namespace}"
    return (
        f"Bucket {snapshot.name} belongs to {who}; this one takes over when that one is gone. For a "
        "bucket of its own choose another bucketName."
    )


def missing(snapshot: BucketSnapshot) -> str:
    """A bucket that we do not make is not there."""
    return (
        f"Bucket {snapshot.name} does not exist, and was not created here: create it at the "
        "service, or delete this object."
    )


def taken(snapshot: BucketSnapshot) -> str:
    """The service has the name, though not in this account."""
    return f"The name {snapshot.name} is taken at the service: choose another bucketName."


def exists(snapshot: BucketSnapshot) -> str:
    """A stranger's bucket, and each way to make it ours; the last is a line to run as it is."""
    ours = {
        "ownerUID": snapshot.uid,
        "provenance": "Adopted",
        "bucketName": snapshot.name,
        "cloudAccountId": snapshot.account,
    }
    patch = json.dumps({"status": ours}, separators=(",", ":"))
    return (
        f"Bucket {snapshot.name} exists already and was not created for this object. Choose another "
        "bucketName, or set adoptionPolicy: IfExists in a trusted namespace, or let an admin run: "
        f"kubectl patch amovebucket {snapshot.cr_name} -n {snapshot.namespace} --subresource=status "
        f"--type=merge -p '{patch}'"
    )


def lock_differs(snapshot: BucketSnapshot, *, locked: bool) -> str:
    """The object lock is not as the spec says, and stays so."""
    has, wants = ("on", "off") if locked else ("off", "on")
    return (
        f"Bucket {snapshot.name} has object lock {has}, the spec wants it {wants}; that is chosen at "
        "creation and cannot be changed: delete this object and make one that says the same as "
        "the bucket, or that names another bucket."
    )


def flag_rejected(differs: tuple[str, ...]) -> str:
    """An update was accepted, and changed nothing."""
    return (
        f"{'; '.join(differs)}: the service accepts the change but does not make it. It is tried "
        "again at each resync; change the spec, or ask whether the account's plan allows it."
    )


def drift_observed(differs: tuple[str, ...]) -> str:
    """A watched bucket is not as the spec says."""
    return f"{'; '.join(differs)}: only observed (managementPolicy), so not repaired."


def loss(snapshot: BucketSnapshot) -> Conclusion:
    """A bucket of ours is gone, and it may be the account that is: nothing is done yet."""
    if snapshot.mass_loss:
        message = (
            "Too many buckets vanished from the service at once; nothing is created or let go "
            f"until they are back, {_ACCEPT_LOSS}."
        )
        return unsynced(Reason.MassBucketLoss, message)
    message = f"Bucket {snapshot.name} is gone; looking at the others before anything is done."
    looking = unsynced(Reason.BucketMissing, message)
    return unchanged(snapshot.status.conditions, {Reason.BucketMissing}) or looking


def create_refused(message: str, in_a_row: int) -> Conclusion:
    """There is no bucket, since the service refuses to make it."""
    if in_a_row >= REFUSALS_UNTIL_STALLED:
        return stalled(Reason.ApiRefused, _refused_often(message))
    verdict = Verdict("False", Reason.ApiRefused, shortened(message))
    return Conclusion(ready=verdict, synced=verdict)


def update_refused(snapshot: BucketSnapshot, message: str, in_a_row: int) -> Conclusion:
    """The bucket is there, but the service refuses to change its flags."""
    if in_a_row >= REFUSALS_UNTIL_STALLED:
        return stalled(Reason.ApiRefused, _refused_often(message))
    return usable(snapshot, Reason.ApiRefused, shortened(message))


def _refused_often(message: str) -> str:
    return f"Refused {REFUSALS_UNTIL_STALLED} times: change the spec, or {_TRY_NOW}. " + shortened(
        message
    )


def shortened(message: str, most: int = 600) -> str:
    """The service's own words, so long that ours beside them fit into a condition."""
    return message if len(message) <= most else message[: most - 1] + "…"


def few(names: tuple[str, ...], most: int = 5) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown
