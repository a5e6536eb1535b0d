"""Rules of our own: who may do what, and which settings a spec may name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from amove_operator.core.conditions import Conclusion, stalled
from amove_operator.core.reasons import Reason
from amove_operator.models import BucketSpec, KeySpec
from amove_operator.models.shared import GROUP, MAX_ANNOTATION, parse_duration, show_duration


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where the operator puts things when a spec does not say.

    ``account``: None until the accounts were read; then whatever a spec names counts as another.
    """

    account: str | None
    storage_dn: str | None
    region: str


def bucket_not_permitted(
    spec: BucketSpec, namespace: str, defaults: Defaults, *, trusted: bool
) -> Conclusion | None:
    """What an AmoveBucket of an untrusted namespace asks for and may not."""
    asked = {
        "adoptionPolicy: IfExists": spec.adoption_policy == "IfExists",
        "managementPolicy: Observe": spec.management_policy == "Observe",
        "public: true": spec.public is True,
        "another cloudAccountId": spec.cloud_account_id not in (None, defaults.account),
    }
    return None if trusted else _not_permitted(asked, namespace)


def key_not_permitted(
    spec: KeySpec, namespace: str, defaults: Defaults, *, trusted: bool
) -> Conclusion | None:
    """What an AmoveStorageKey of an untrusted namespace asks for and may not.

    For example ``bucketNames: [payroll]``, which would give team blue a key to a bucket of team
    red. By ``bucketRefs`` it reaches only what its own namespace's AmoveBuckets have a claim to.
    """
    asked = {
        "bucketNames": spec.bucket_names is not None,
        "allBuckets": spec.all_buckets is not None,
        "deletionPolicy: Retain": spec.deletion_policy == "Retain",
        "another cloudAccountId": spec.cloud_account_id not in (None, defaults.account),
        "another region": spec.region not in (None, defaults.region),
        "another storageDn": spec.storage_dn not in (None, defaults.storage_dn),
    }
    return None if trusted else _not_permitted(asked, namespace)


def _not_permitted(asked: Mapping[str, bool], namespace: str) -> Conclusion | None:
    refused = [what for what, wanted in asked.items() if wanted]
    if not refused:
        return None
    return stalled(
        Reason.NotPermitted,
        f"{', '.join(refused)}: only in trusted namespaces; have the operator's admin add "
        f"{namespace} to AMOVE_TRUSTED_NAMESPACES, or leave it out.",
    )


def overlong(annotations: Collection[str]) -> str:
    """That annotations are too long to be acted on; empty where none is.

    Only annotations that the operator reads are named: nobody else's are its business.
    """
    if not annotations:
        return ""
    names = ", ".join(f"{GROUP}/{name}" for name in annotations)
    return f"Not acted on: {names}, of more than {MAX_ANNOTATION} characters; shorten it."


def invalid(faults: list[str]) -> Conclusion | None:
    """A spec that breaks a rule of the CRD: stored under an older CRD, or never judged by one."""
    return stalled(Reason.InvalidSpec, "; ".join(faults)) if faults else None


def rotation_faults(spec: KeySpec, *, min_interval: timedelta, max_grace: timedelta) -> list[str]:
    """What is wrong with ``spec.rotation`` by today's settings.

    The CRD's rules know no settings: one that was lowered later makes a stored spec wrong.
    """
    grace = parse_duration(spec.rotation.grace_period)
    interval = parse_duration(spec.rotation.interval) if spec.rotation.interval else timedelta.max
    most, least = show_duration(max_grace), show_duration(min_interval)
    faults = {
        f"gracePeriod: at most {most} (setting AMOVE_MAX_GRACE)": grace > max_grace,
        f"interval: at least {least} (setting AMOVE_MIN_ROTATION_INTERVAL)": interval
        < min_interval,
        "interval: must be longer than spec.rotation.gracePeriod": interval <= grace,
    }
    return [f"spec.rotation.{fault}" for fault, found in faults.items() if found]
