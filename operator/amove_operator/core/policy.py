"""Rules of our own: who may do what, and which settings a spec may name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketSpec, KeySpec
from amove_operator.models.shared import GROUP, MAX_ANNOTATION, ObjectMeta, parse_duration

TRUST_SETTING = "AMOVE_TRUSTED_NAMESPACES"


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where the operator puts things when a spec does not say."""

    account: str | None
    storage_dn: str | None
    region: str


def bucket_not_permitted(
    spec: BucketSpec, namespace: str, defaults: Defaults, *, trusted: bool
) -> Conclusion | None:
    """What an AmoveBucket of an untrusted namespace asks for and may not."""
    if trusted:
        return None
    asked = [
        what
        for what, wanted in (
            ("adoptionPolicy: IfExists", spec.adoption_policy == "IfExists"),
            ("managementPolicy: Observe", spec.management_policy == "Observe"),
            ("public: true", spec.public is True),
            ("another cloudAccountId", spec.cloud_account_id not in (None, defaults.account)),
        )
        if wanted
    ]
    return _not_permitted(asked, namespace) if asked else None


def key_not_permitted(
    spec: KeySpec, namespace: str, defaults: Defaults, *, trusted: bool
) -> Conclusion | None:
    """What an AmoveStorageKey of an untrusted namespace asks for and may not."""
    if trusted:
        return None
    asked = [
        what
        for what, wanted in (
            ("bucketNames", spec.bucket_names is not None),
            ("allBuckets", spec.all_buckets is not None),
            ("deletionPolicy: Retain", spec.deletion_policy == "Retain"),
            ("another cloudAccountId", spec.cloud_account_id not in (None, defaults.account)),
            ("another region", spec.region not in (None, defaults.region)),
            ("another storageDn", spec.storage_dn not in (None, defaults.storage_dn)),
        )
        if wanted
    ]
    return _not_permitted(asked, namespace) if asked else None


def _not_permitted(asked: list[str], namespace: str) -> Conclusion:
    return stalled(
        Reason.NotPermitted,
        f"{', '.join(asked)}: only in trusted namespaces; have the operator's admin add "
        f"{namespace} to {TRUST_SETTING}, or leave it out.",
    )


def overlong(meta: ObjectMeta) -> str:
    """That annotations are too long to be acted on; empty where none is."""
    if not meta.overlong:
        return ""
    names = ", ".join(f"{GROUP}/{name}" for name in meta.overlong)
    return f"Not acted on: {names}, of more than {MAX_ANNOTATION} characters; shorten it."


def invalid(faults: list[str]) -> Conclusion | None:
    """A spec that breaks a rule which the CRD should have caught."""
    return stalled(Reason.InvalidSpec, "; ".join(faults)) if faults else None


@dataclass(frozen=True, slots=True)
class RotationLimits:
    """What the settings allow."""

    min_interval: timedelta
    max_grace: timedelta


def rotation_faults(spec: KeySpec, limits: RotationLimits) -> list[str]:
    """What is wrong with ``spec.rotation`` by today's settings."""
    grace = parse_duration(spec.rotation.grace_period)
    faults = []
    if grace > limits.max_grace:
        faults.append(
            f"spec.rotation.gracePeriod: at most {_shown(limits.max_grace)} "
            "(setting AMOVE_MAX_GRACE)"
        )
    if spec.rotation.interval is None:
        return faults
    interval = parse_duration(spec.rotation.interval)
    if interval < limits.min_interval:
        faults.append(
            f"spec.rotation.interval: at least {_shown(limits.min_interval)} "
            "(setting AMOVE_MIN_ROTATION_INTERVAL)"
        )
    if interval <= grace:
        faults.append("spec.rotation.interval: must be longer than spec.rotation.gracePeriod")
    return faults


def _shown(span: timedelta) -> str:
    """A duration as users write it, such as ``1h30m``."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
