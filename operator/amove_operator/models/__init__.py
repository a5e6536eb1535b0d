"""The two kinds as pydantic models: the one source of the CRDs and of every parsed object."""

from amove_operator.models.bucket import AmoveBucket, BucketFlags, BucketSpec, BucketStatus
from amove_operator.models.bucket_rules import spec_faults_bucket
from amove_operator.models.key import AmoveStorageKey
from amove_operator.models.key_rules import spec_faults_key
from amove_operator.models.key_spec import KeySpec, Permission, SecretSpec
from amove_operator.models.key_status import CurrentKey, KeyStatus, RecentIssue, ScopeField
from amove_operator.models.rules import parse_faults
from amove_operator.models.service_id import ServiceId, canonical_id, spelling_of
from amove_operator.models.shared import FINALIZER, GROUP, VERSION, ObjectMeta, parse_duration

__all__ = [
    "FINALIZER",
    "GROUP",
    "VERSION",
    "AmoveBucket",
    "AmoveStorageKey",
    "BucketFlags",
    "BucketSpec",
    "BucketStatus",
    "CurrentKey",
    "KeySpec",
    "KeyStatus",
    "ObjectMeta",
    "Permission",
    "RecentIssue",
    "ScopeField",
    "SecretSpec",
    "ServiceId",
    "canonical_id",
    "parse_duration",
    "parse_faults",
    "spec_faults_bucket",
    "spec_faults_key",
    "spelling_of",
]
