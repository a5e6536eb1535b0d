"""The next step for one AmoveBucket (design.md §4). Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import replace

from amove_operator.core import conditions
from amove_operator.core.bucket_world import (
    Absent,
    BucketReport,
    BucketStep,
    BucketWorld,
    ClaimLost,
    Create,
    Delete,
    Observe,
    Present,
    ProtectBucket,
    Refused,
    ReleaseBucket,
    Repair,
    Unknown,
    WriteIntent,
)
from amove_operator.core.conditions import Conclusion, Verdict, progressing, stalled, unsynced
from amove_operator.core.reasons import Reason
from amove_operator.models.bucket import BucketFlags, BucketSpec, BucketStatus

REFUSALS_UNTIL_STALLED = 5
ACCEPT_LOSS = "or the annotation storage.amove.io/accept-loss is set to a new value"


def plan_bucket(world: BucketWorld) -> BucketStep:
    """Choose the next step towards the spec, or towards letting go."""
    if world.deleting:
        return _plan_deletion(world)
    if world.paused:
        return _report(world, unsynced(Reason.Paused, "Paused by annotation; nothing is called."))
    if world.fault is not None:
        return _report(world, world.fault)
    if isinstance(world.claim, ClaimLost):
        message = f"Bucket {world.name} belongs to AmoveBucket {world.claim.holder}."
        return _report(world, stalled(Reason.BucketClaimed, message))
    if not world.finalizer:
        return ProtectBucket()
    if world.ours and world.refusal is not None and world.refusal.what is Refused.EXISTS:
        return WriteIntent(_disowned(world), progressing(Reason.Progressing, "Looking again."))
    match world.seen:
        case None:
            return Observe()
        case Unknown(reason, message):
            return _report(world, unsynced(reason, message), retry=True)
        case Absent():
            return _plan_absent(world)
        case Present(flags):
            return _plan_present(world, flags)


# ---------------------------------------------------------------- absent


def _plan_absent(world: BucketWorld) -> BucketStep:
    if world.mass_loss or world.loss_unclear:
        return _report(world, _loss(world), retry=True)
    if world.observe_only or world.status.provenance == "Adopted":
        message = (
            f"Bucket {world.name} does not exist, and was not created here: create it at the "
            "service, or delete this object."
        )
        return _report(world, stalled(Reason.BucketMissing, message))
    if world.refusal is not None and world.refusal.what is Refused.CREATE:
        return _create_refused(world)
    if world.refusal is not None and world.refusal.what is Refused.EXISTS:
        message = f"The name {world.name} is taken at the service: choose another bucketName."
        return _report(world, stalled(Reason.BucketExists, message))
    if not world.ours and world.name_in_use is not None:
        return _report(world, progressing(Reason.NameInUse, world.name_in_use))
    if not world.status.create_intent or world.status.provenance is not None:
        return WriteIntent(_intent(world), progressing(Reason.Progressing, "Creating the bucket."))
    return Create(flags_at_creation(world.spec))


def _create_refused(world: BucketWorld) -> BucketStep:
    """Still absent after a refused create: a later bucket of that name is not ours."""
    assert world.refusal is not None  # noqa: S101
    conclusion = _refused(world.refusal.message, world.refusal.in_a_row)
    # There is no bucket: Ready must not go on saying that it is being created.
    conclusion = replace(conclusion, ready=replace(conclusion.synced, status="False"))
    return BucketReport(_disowned(world), conclusion, retry=True)


def _disowned(world: BucketWorld) -> BucketStatus:
    """Without intent and provenance: what shows up under the name is a stranger's."""
    return _pinned(world).model_copy(
        update={"create_intent": None, "provenance": None, "observed": None}
    )


def _refused(message: str, in_a_row: int) -> Conclusion:
    if in_a_row >= REFUSALS_UNTIL_STALLED:
        return stalled(Reason.ApiRefused, message)
    return unsynced(Reason.ApiRefused, message)


def _loss(world: BucketWorld) -> Conclusion:
    if world.mass_loss:
        message = (
            "Too many buckets vanished from the service at once; nothing is created or let go "
            f"until they are back, {ACCEPT_LOSS}."
        )
        return unsynced(Reason.MassBucketLoss, message)
    message = f"Bucket {world.name} is gone; looking at the others before it is made again."
    return unsynced(Reason.BucketMissing, message)


def flags_at_creation(spec: BucketSpec) -> BucketFlags:
    """All four flags of a new bucket: what is left out is false, but a lock needs versions."""
    lock = bool(spec.object_lock_enabled)
    versioning = lock if spec.versioning_enabled is None else spec.versioning_enabled
    return BucketFlags(
        is_public=bool(spec.public),
        encryption_enabled=bool(spec.encryption_enabled),
        versioning_enabled=versioning,
        object_lock_enabled=lock,
    )


def flags_wanted(spec: BucketSpec, seen: BucketFlags) -> BucketFlags:
    """What the flags should be: a flag that is not managed stays as it was seen."""
    versioning = spec.versioning_enabled
    if versioning is None and spec.object_lock_enabled:
        versioning = True
    managed = {
        "is_public": spec.public,
        "encryption_enabled": spec.encryption_enabled,
        "versioning_enabled": versioning,
    }
    return seen.model_copy(update={name: on for name, on in managed.items() if on is not None})


# ---------------------------------------------------------------- present


def _plan_present(world: BucketWorld, flags: BucketFlags) -> BucketStep:
    if not world.ours and not world.observe_only and world.spec.adoption_policy != "IfExists":
        return _report(world, stalled(Reason.BucketExists, _exists(world)))
    if not world.ours and not world.observe_only and world.name_in_use is not None:
        return _report(world, progressing(Reason.NameInUse, world.name_in_use))
    lock = world.spec.object_lock_enabled
    if lock is not None and lock != flags.object_lock_enabled and not world.observe_only:
        message = (
            f"Bucket {world.name} has object lock {_on(flags.object_lock_enabled)}, the spec wants "
            f"it {_on(lock)}; that is chosen at creation and cannot be changed."
        )
        return _report(world, stalled(Reason.ObjectLockMismatch, message))
    drift = _drift(world, flags)
    if not drift:
        return _report(
            world, conditions.settled(Reason.Available, f"Bucket {world.name} is there.")
        )
    if world.observe_only:
        return _report(world, _usable(world, Reason.DriftObserved, _differs(drift)))
    if world.refusal is not None and world.refusal.what is Refused.UPDATE:
        refused = _refused(world.refusal.message, world.refusal.in_a_row)
        return _report(world, refused, retry=True)
    if world.repairs_left > 0:
        return Repair(flags_wanted(world.spec, flags))
    return _report(world, _usable(world, Reason.FlagRejected, _differs(drift)))


def _drift(world: BucketWorld, flags: BucketFlags) -> tuple[str, ...]:
    wanted = flags_wanted(world.spec, flags)
    if world.observe_only and world.spec.object_lock_enabled is not None:
        wanted = wanted.model_copy(update={"object_lock_enabled": world.spec.object_lock_enabled})
    names = {
        "is_public": "public",
        "encryption_enabled": "encryptionEnabled",
        "versioning_enabled": "versioningEnabled",
        "object_lock_enabled": "objectLockEnabled",
    }
    return tuple(
        f"{shown} is {_word(getattr(flags, name))}, the spec says {_word(getattr(wanted, name))}"
        for name, shown in names.items()
        if getattr(flags, name) != getattr(wanted, name)
    )


def _usable(world: BucketWorld, reason: Reason, message: str) -> Conclusion:
    """The bucket can be used though not everything is as the spec says."""
    ready = Verdict("True", Reason.Available, f"Bucket {world.name} is there.")
    return Conclusion(ready=ready, synced=Verdict("False", reason, message))


def _differs(drift: tuple[str, ...]) -> str:
    return "; ".join(drift) + "."


def _word(on: bool) -> str:  # noqa: FBT001
    return "true" if on else "false"


def _on(on: bool) -> str:  # noqa: FBT001
    return "on" if on else "off"


def _exists(world: BucketWorld) -> str:
    patch = (
        f'{{"status":{{"ownerUID":"{world.uid}","provenance":"Adopted",'
        f'"bucketName":"{world.name}","cloudAccountId":"{world.account}"}}}}'
    )
    return (
        f"Bucket {world.name} exists already and was not created for this object. Choose another "
        "bucketName, or set adoptionPolicy: IfExists in a trusted namespace, or let an admin run: "
        f"kubectl patch amovebucket {world.cr_name} -n {world.namespace} --subresource=status "
        f"--type=merge -p '{patch}'"
    )


# ---------------------------------------------------------------- deletion


def _plan_deletion(world: BucketWorld) -> BucketStep:
    if not world.finalizer:
        return BucketReport(world.status, unsynced(Reason.Deleting, "Being deleted."))
    if world.paused:
        return _report(world, unsynced(Reason.Paused, "Paused by annotation; deletion waits."))
    if world.spec.deletion_policy == "Retain" or world.observe_only or not world.ours:
        return ReleaseBucket()
    if isinstance(world.claim, ClaimLost):
        return ReleaseBucket()
    if world.blockers:
        message = f"Bucket {world.name} is not deleted while keys reach it: {_few(world.blockers)}."
        return _report(world, stalled(Reason.DeletionBlocked, message), retry=True)
    match world.seen:
        case None:
            return Observe()
        case Unknown(reason, message):
            return _report(world, unsynced(reason, message), retry=True)
        case Absent() if not world.delete_sent and (world.mass_loss or world.loss_unclear):
            return _report(world, _loss(world), retry=True)
        case Absent():
            return ReleaseBucket()
        case Present():
            return _delete(world)


def _delete(world: BucketWorld) -> BucketStep:
    refusal = world.refusal
    if refusal is None:
        return Delete()
    if refusal.what is Refused.NOT_EMPTY:
        message = (
            f"Bucket {world.name} still holds objects and is never emptied by the operator: "
            "empty it, or set deletionPolicy: Retain."
        )
        return _report(world, stalled(Reason.BucketNotEmpty, message), retry=True)
    message = f"The service refused to delete {world.name}: {refusal.message}"
    return _report(world, stalled(Reason.DeleteRefused, message), retry=True)


def _few(names: tuple[str, ...], most: int = 5) -> str:
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown


# ---------------------------------------------------------------- status


def _pinned(world: BucketWorld) -> BucketStatus:
    return world.status.model_copy(
        update={
            "owner_uid": world.uid,
            "bucket_name": world.name or None,
            "cloud_account_id": world.account or None,
        }
    )


def _intent(world: BucketWorld) -> BucketStatus:
    return _pinned(world).model_copy(
        update={"create_intent": True, "provenance": None, "observed": None}
    )


def _report(world: BucketWorld, conclusion: Conclusion, *, retry: bool = False) -> BucketReport:
    status = _pinned(world)
    if isinstance(world.seen, Present):
        became = _provenance(world, conclusion)
        shown = world.seen.flags if world.ours or became else None
        status = status.model_copy(update={"observed": shown, **became})
    elif isinstance(world.seen, Absent):
        status = status.model_copy(update={"observed": None})
    return BucketReport(status, conclusion, retry=retry)


def _provenance(world: BucketWorld, conclusion: Conclusion) -> dict[str, object]:
    """Provenance goes in and intent out once the bucket was seen and is ours or adopted."""
    if world.status.provenance is not None:
        return {"create_intent": None}
    if world.status.create_intent:
        return {"provenance": "Created", "create_intent": None}
    adopted = not world.deleting and conclusion.stalled is None and conclusion.reconciling is None
    return {"provenance": "Adopted", "create_intent": None} if adopted else {}
