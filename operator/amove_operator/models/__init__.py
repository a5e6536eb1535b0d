"""The two kinds as pydantic models: the one source of the CRDs and of every parsed object."""

from amove_operator.models.bucket import AmoveBucket, BucketFlags, BucketSpec, BucketStatus
from amove_operator.models.key import (
    AmoveStorageKey,
    BucketRef,
    CurrentKey,
    IssuedScope,
    KeySpec,
    KeyStatus,
    RecentIssue,
    RetiringKey,
    RotationSpec,
    SecretBinding,
    SecretSpec,
)
from amove_operator.models.rules import parse_faults, spec_faults_bucket, spec_faults_key
from amove_operator.models.shared import (
    API_VERSION,
    FINALIZER,
    GROUP,
    VERSION,
    Condition,
    ObjectMeta,
    OwnerReference,
    parse_duration,
)

__all__ = [
    "API_VERSION",
    "FINALIZER",
    "GROUP",
    "VERSION",
    "AmoveBucket",
    "AmoveStorageKey",
    "BucketFlags",
    "BucketRef",
    "BucketSpec",
    "BucketStatus",
    "Condition",
    "CurrentKey",
    "IssuedScope",
    "KeySpec",
    "KeyStatus",
    "ObjectMeta",
    "OwnerReference",
    "RecentIssue",
    "RetiringKey",
    "RotationSpec",
    "SecretBinding",
    "SecretSpec",
    "parse_duration",
    "parse_faults",
    "spec_faults_bucket",
    "spec_faults_key",
]
