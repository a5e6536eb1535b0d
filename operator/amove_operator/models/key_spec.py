"""What a team asks for in an ``AmoveStorageKey``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from amove_operator.models import shared
from amove_operator.models.bucket import AccountId, BucketName

KEY_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"

Permission = Literal["Read", "Write", "ReadWrite"]
SecretFormat = Literal["AWS", "CredentialsFile"]
Region = Annotated[str, Field(min_length=1, max_length=63, pattern=shared.REGION_PATTERN)]
StorageDn = Annotated[str, Field(min_length=1, max_length=253, pattern=shared.HOST_PATTERN)]
KeyName = Annotated[str, Field(min_length=1, max_length=63, pattern=KEY_NAME_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
SecretType = Annotated[str, Field(min_length=1, max_length=253, pattern=shared.QUALIFIED_PATTERN)]

# The keys of the three maps have their rules in models/key_rules.py: a CRD cannot bound a map's
# keys except by CEL.
MAX_TEXT_BYTES = 4096
Template = Annotated[
    dict[str, Annotated[str, Field(max_length=MAX_TEXT_BYTES)]], Field(min_length=1, max_length=16)
]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)]


_REFUSED_DOMAINS = (
    "The domains kubernetes.io, k8s.io, helm.sh, argocd.argoproj.io, toolkit.fluxcd.io and "
    "storage.amove.io, and those below them, are refused."
)


class BucketRef(shared.KubeModel):
    """An AmoveBucket of the same namespace."""

    name: shared.ObjectName
    """metadata.name of an AmoveBucket in this namespace."""


class SecretSpec(shared.KubeModel):
    """The Secret to write, always in the key's own namespace."""

    name: shared.ObjectName | None = None
    """Name of the Secret, in this namespace. Default: metadata.name. The name in effect is
    immutable.
    """
    format: SecretFormat | None = None
    """Contents of the Secret. AWS (used when neither format nor template is given):
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_DEFAULT_REGION
    and BUCKET_NAME or BUCKET_NAMES, for envFrom. CredentialsFile: a shared credentials file.
    Excludes template.
    """
    template: Template | None = None
    """Contents of the Secret of one's own: Secret key to text (at most 4 KiB) with ${accessKey},
    ${secretKey} (which one of the texts must have), ${endpoint}, ${storageDn}, ${region}, ${bucket}
    (a key of exactly one bucket), ${buckets} (comma-separated) and ${keyName}; $$ is a dollar. The
    result is at most 64 KiB. Excludes format.
    """
    labels: Labels | None = Field(
        default=None,
        description=f"Labels to put on the Secret. {_REFUSED_DOMAINS} So is owner: helm.",
    )
    annotations: Annotations | None = Field(
        default=None, description=f"Annotations to put on the Secret. {_REFUSED_DOMAINS}"
    )
    type: SecretType | None = None
    """Type of the Secret. Default: Opaque. Types of kubernetes.io, k8s.io and helm.sh are refused.
    Immutable.
    """


class RotationSpec(shared.KubeModel):
    """When a key is replaced, and how long the old one lives on."""

    interval: shared.Duration | None = None
    """How long a key is used before it is replaced, such as 720h; longer than gracePeriod and at
    least the operator's AMOVE_MIN_ROTATION_INTERVAL. Left out: never by the clock.
    """
    grace_period: shared.Duration = "1h"
    """How long a replaced key goes on working, such as 1h; at most the operator's AMOVE_MAX_GRACE.
    0s revokes it as soon as the Secret holds the new one.
    """


class KeySpec(shared.KubeModel):
    """What a team asks for. Exactly one of bucket_refs, bucket_names, all_buckets."""

    bucket_refs: Annotated[tuple[BucketRef, ...], Field(min_length=1, max_length=64)] | None = None
    """The AmoveBuckets of this namespace that the key may reach. Exactly one of bucketRefs,
    bucketNames and allBuckets.
    """
    bucket_names: Annotated[tuple[BucketName, ...], Field(min_length=1, max_length=64)] | None = (
        None
    )
    """The buckets that the key may reach, by their names at Amove (needs a trusted namespace).
    Exactly one of bucketRefs, bucketNames and allBuckets.
    """
    all_buckets: Literal[True] | None = None
    """true: the key reaches every bucket of the storage (needs a trusted namespace). Exactly one of
    bucketRefs, bucketNames and allBuckets.
    """
    permission: Permission
    """What the key may do with objects: Read, Write or ReadWrite."""
    cloud_account_id: AccountId | None = None
    """Amove cloud account (internal storage) of the key, a UUID in lower case. Default: the
    operator's AMOVE_CLOUD_ACCOUNT_ID. Another account than the operator's needs a trusted
    namespace. Immutable.
    """
    region: Region | None = None
    """Storage region of the key, such as us-east-1. Default: the operator's AMOVE_REGION. Another
    one needs a trusted namespace.
    """
    storage_dn: StorageDn | None = None
    """Host name of the storage endpoint, with its port where needed. Default: the operator's
    AMOVE_STORAGE_DN. Another one needs a trusted namespace.
    """
    key_name: KeyName | None = None
    """Readable part of the key's name at Amove: a-z, 0-9 and hyphen. Default: <namespace>-<name>. A
    change takes effect when the next key is issued.
    """
    secret: SecretSpec = SecretSpec()
    """The Secret that the key is written to."""
    rotation: RotationSpec = RotationSpec()
    """When the key is replaced by a new one."""
    deletion_policy: Literal["Delete", "Retain"] = "Delete"
    """What happens when this object is deleted. Delete: the key is revoked and the Secret goes.
    Retain: both stay (needs a trusted namespace).
    """
