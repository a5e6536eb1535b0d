"""The two kinds as pydantic models: the one source of the CRDs and of every parsed object."""

from amove_operator.models.bucket import AmoveBucket, BucketFlags, BucketSpec, BucketStatus
from amove_operator.models.bucket_rules import spec_faults_bucket
from amove_operator.models.key import AmoveStorageKey
from amove_operator.models.key_rules import spec_faults_key
from amove_operator.models.key_spec import BucketRef, KeySpec, Permission, RotationSpec, SecretSpec
from amove_operator.models.key_status import (
    CurrentKey,
    IssuedScope,
    KeyStatus,
    RecentIssue,
    RetiringKey,
    ScopeField,
    SecretBinding,
)
from amove_operator.models.rules import parse_faults
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
    "Permission",
    "RecentIssue",
    "RetiringKey",
    "RotationSpec",
    "ScopeField",
    "SecretBinding",
    "SecretSpec",
    "parse_duration",
    "parse_faults",
    "spec_faults_bucket",
    "spec_faults_key",
]
