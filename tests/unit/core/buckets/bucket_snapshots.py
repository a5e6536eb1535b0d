"""BucketWorlds for the planner's tests: one that is settled, and any that there can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any, Literal

from hypothesis import strategies as st

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.snapshot import (
    Absent,
    BucketLoss,
    BucketSeen,
    BucketSnapshot,
    Present,
    Refusal,
    Refused,
    Unknown,
)
from amove_operator.core.conditions import Conclusion, deleting, merge, stalled, unsynced
from amove_operator.core.policy import Defaults, bucket_not_permitted
from amove_operator.core.reasons import Reason
from amove_operator.models import FINALIZER, AmoveBucket, BucketFlags, BucketSpec, BucketStatus
from amove_operator.models.refs import Kind, Ref
from amove_operator.models.shared import Condition

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "0b0e3f4e-0000-4000-8000-000000000001"
ACCOUNT = "11111111-1111-4111-8111-111111111111"
DEFAULTS = Defaults(account=ACCOUNT, storage_dn="s3.example.com", region="us-east-1")
DELETION: tuple[Literal["Retain", "Delete"], ...] = ("Retain", "Delete")
ADOPTION: tuple[Literal["Never", "IfExists"], ...] = ("Never", "IfExists")
MANAGEMENT: tuple[Literal["Manage", "Observe"], ...] = ("Manage", "Observe")
_METADATA = {"name": "media", "namespace": "team", "uid": UID, "finalizers": [FINALIZER]}
MUTATING = (steps.Create, steps.Repair, steps.Delete)
UNKNOWN = Unknown(Reason.ApiUnavailable, "The service gave no usable answer: 500")

CREATED: dict[str, Any] = {"provenance": "Created"}
ADOPTED: dict[str, Any] = {"provenance": "Adopted"}
INTENDED: dict[str, Any] = {"create_intent": True}
FOREIGN: dict[str, Any] = {}


def proved(**proof: Any) -> BucketStatus:
    """The status of the bucket below with this proof of ownership in it."""
    return BucketStatus(owner_uid=UID, bucket_name="media", cloud_account_id=ACCOUNT, **proof)


def world(
    spec: BucketSpec | None = None, status: BucketStatus | None = None, **known: Any
) -> BucketSnapshot:
    """A protected, unpaused, claimed, undisturbed AmoveBucket called team/media."""
    known = {"spec": spec or BucketSpec(), "status": status or BucketStatus(), **known}
    return changed(
        of_bucket(AmoveBucket.model_validate({"metadata": _METADATA, "spec": {}})), **known
    )


def of_bucket(bucket: AmoveBucket, **known: Any) -> BucketSnapshot:
    """What is known of ``bucket``."""
    meta, spec = bucket.metadata, bucket.spec
    return BucketSnapshot(meta, spec, bucket.proven, bucket.bucket_name, ACCOUNT, **known)


def changed(before: BucketSnapshot, **known: Any) -> BucketSnapshot:
    """The same with other fields, or with another spec, status, pause, deletion or finalizer."""
    metadata: dict[str, Any] = {}
    if "finalizer" in known:
        metadata["finalizer_at"] = 0 if known.pop("finalizer") else None
    if "deleting" in known:
        metadata["deletion_timestamp"] = NOW if known.pop("deleting") else None
    if "paused" in known:
        metadata["annotations"] = {"paused": "true"} if known.pop("paused") else {}
    meta = before.meta.model_copy(update=metadata)
    bucket = AmoveBucket(metadata=meta, spec=known.get("spec", before.spec))
    status = bucket.with_status(known.get("status", before.status)).proven
    known |= {"meta": meta, "status": status, "name": bucket.bucket_name}
    return replace(before, **known)


def vanished(before: BucketSnapshot) -> BucketSnapshot:
    """The same of an object that is gone without our finalizer's protocol."""
    return replace(before, meta=before.meta.model_copy(update={"vanished": True}))


def fault_of(spec: BucketSpec, *, trusted: bool) -> Conclusion | None:
    """What the policy says of ``spec`` in namespace ``team``."""
    return bucket_not_permitted(spec, "team", DEFAULTS, trusted=trusted)


def conditions_of(conclusion: Conclusion) -> tuple[Condition, ...]:
    """The conditions of an object whose first reconcile ended so."""
    return merge((), conclusion, 1, NOW)


def told(step: steps.Finish[BucketStatus] | steps.WriteStatus[BucketStatus]) -> BucketStatus:
    """The status as it is after that step, conditions included."""
    return step.status.model_copy(
        update={"conditions": merge(step.status.conditions, step.conclusion, 1, NOW)}
    )


BEGUN = conditions_of(deleting("The bucket is being deleted."))
"""The conditions of a bucket whose deletion at the service was begun."""


def remote_call(step: steps.BucketStep) -> bool:
    """Whether performing ``step`` changes something at the service."""
    return isinstance(step, MUTATING)


def spec(**fields: Any) -> BucketSpec:
    return BucketSpec.model_validate(fields)


def refusal(what: Refused, in_a_row: int = 1) -> Refusal:
    return Refusal(what, "The service answered QUOTA: too many buckets", in_a_row)


def report(step: steps.BucketStep) -> steps.Finish[BucketStatus]:
    assert isinstance(step, steps.Finish), step
    return step


def said(conclusion: Conclusion) -> dict[str, tuple[str, str]]:
    """The conditions that a conclusion sets, as ``type: (status, reason)``."""
    verdicts = {
        "Ready": conclusion.ready,
        "Synced": conclusion.synced,
        "Reconciling": conclusion.reconciling,
        "Stalled": conclusion.stalled,
    }
    return {kind: (one.status, one.reason) for kind, one in verdicts.items() if one is not None}


def stalled_for(reason: str) -> dict[str, tuple[str, str]]:
    return {"Ready": ("False", reason), "Synced": ("False", reason), "Stalled": ("True", reason)}


FLAGS = [
    BucketFlags(
        is_public=public,
        encryption_enabled=encrypted,
        versioning_enabled=versioned,
        object_lock_enabled=locked,
    )
    for public, encrypted, versioned, locked in product((False, True), repeat=4)
]
SPECS = [
    BucketSpec(
        public=public,
        encryption_enabled=encrypted,
        versioning_enabled=versioned,
        object_lock_enabled=locked,
        deletion_policy=deletion,
        adoption_policy=adoption,
        management_policy=management,
    )
    for public, encrypted, versioned, locked in product((None, True, False), repeat=4)
    for deletion in DELETION
    for adoption in ADOPTION
    for management in MANAGEMENT
]
_BEFORE = [
    (),
    conditions_of(stalled(Reason.ApiRefused, "refused")),
    conditions_of(stalled(Reason.BucketExists, "exists")),
    conditions_of(stalled(Reason.BucketMissing, "missing")),
    BEGUN,
]
_PROOFS: list[dict[str, Any]] = [CREATED, ADOPTED, INTENDED, FOREIGN, {**CREATED, **INTENDED}]
STATUSES = [
    proved(**proof, conditions=before, observed=observed)
    for proof in _PROOFS
    for before in _BEFORE
    for observed in (None, BucketFlags())
]
SEEN: list[BucketSeen | None] = [
    None,
    Absent(),
    Absent(confirmed=True),
    UNKNOWN,
    *map(Present, FLAGS),
]
# At most a few at a time, since most of them end the plan by themselves.
DISTURBANCES: list[tuple[str, Any]] = [
    ("finalizer", False),
    ("paused", True),
    ("fault", stalled(Reason.NotPermitted, "not permitted")),
    ("fault", unsynced(Reason.Progressing, "The cloud accounts are being read.")),
    ("claimed_by", Ref(Kind.BUCKET, "other", "theirs")),
    ("name_in_use", "Waiting until key a/b is revoked."),
    ("list_needed_since", 7.0),
    ("orphaned", True),
    ("blockers", ("AmoveStorageKey reader",)),
    ("loss", BucketLoss.MASS),
    ("loss", BucketLoss.UNCONFIRMED),
    ("delete_sent", True),
    ("created", True),
    ("repairs_left", 1),
    ("repairs_left", 0),
    *(
        ("refusal", Refusal(what, "The service answered DEFAULT: " + "no " * 700, in_a_row))
        for what in Refused
        for in_a_row in (1, 4, 5)
    ),
]


@st.composite
def worlds(draw: st.DrawFn, /, **fixed: Any) -> BucketSnapshot:
    """Any world at all, also those that no controller would gather; ``fixed`` fields stay."""
    several = st.lists(st.sampled_from(DISTURBANCES), min_size=1, max_size=3)
    disturbed = draw(st.one_of(st.just([]), several))
    found = world(draw(st.sampled_from(SPECS)), draw(st.sampled_from(STATUSES)))
    seen = draw(st.sampled_from(SEEN))
    deleting = draw(st.booleans())
    known: dict[str, Any] = {"seen": seen, "deleting": deleting, **dict(disturbed), **fixed}
    return changed(found, **known)
