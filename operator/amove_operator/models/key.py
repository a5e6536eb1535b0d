"""``AmoveStorageKey``: an access key at the Amove service and its Secret."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from amove_operator.models.bucket import AccountId, BucketName
from amove_operator.models.shared import (
    CONDITIONS_DESCRIPTION,
    HOST_PATTERN,
    OBSERVED_GENERATION_DESCRIPTION,
    OWNER_UID_DESCRIPTION,
    QUALIFIED_PATTERN,
    REGION_PATTERN,
    Conditions,
    Duration,
    KubeModel,
    KubeObject,
    ObjectName,
    ObservedGeneration,
    Timestamp,
    Uid,
)

KEY_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"

Permission = Literal["Read", "Write", "ReadWrite"]
SecretFormat = Literal["AWS", "CredentialsFile"]
Region = Annotated[str, Field(min_length=1, max_length=63, pattern=REGION_PATTERN)]
StorageDn = Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_PATTERN)]
KeyName = Annotated[str, Field(min_length=1, max_length=63, pattern=KEY_NAME_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
SecretType = Annotated[str, Field(min_length=1, max_length=253, pattern=QUALIFIED_PATTERN)]
RemoteId = Annotated[str, Field(max_length=64)]
SeenBuckets = Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=64)]

# The keys of the three maps have their rules in models.rules: a CRD cannot bound a map's keys
# except by CEL.
MAX_TEXT_BYTES = 4096
Template = Annotated[
    dict[str, Annotated[str, Field(max_length=MAX_TEXT_BYTES)]], Field(min_length=1, max_length=16)
]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)]


class BucketRef(KubeModel):
    """An AmoveBucket of the same namespace."""

    name: ObjectName = Field(description="metadata.name of an AmoveBucket in this namespace.")


class SecretSpec(KubeModel):
    """The Secret to write, always in the key's own namespace."""

    name: ObjectName | None = Field(
        default=None,
        description=(
            "Name of the Secret, in this namespace. Default: metadata.name. The name in effect is "
            "immutable."
        ),
    )
    format: SecretFormat | None = Field(
        default=None,
        description=(
            "Contents of the Secret. AWS (used when neither format nor template is given): "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3, AWS_REGION, "
            "AWS_DEFAULT_REGION and BUCKET_NAME or BUCKET_NAMES, for envFrom. CredentialsFile: a "
            "shared credentials file. Excludes template."
        ),
    )
    template: Template | None = Field(
        default=None,
        description=(
            "Contents of the Secret of one's own: Secret key to text (at most 4 KiB) with "
            "${accessKey}, ${secretKey} (which one of the texts must have), ${endpoint}, "
            "${storageDn}, ${region}, ${bucket} (a key of exactly one bucket), ${buckets} "
            "(comma-separated) and ${keyName}; $$ is a dollar. The result is at most 64 KiB. "
            "Excludes format."
        ),
    )
    labels: Labels | None = Field(
        default=None,
        description=(
            "Labels to put on the Secret. The domains kubernetes.io, k8s.io, helm.sh, "
            "argocd.argoproj.io, toolkit.fluxcd.io and storage.amove.io, and those below them, are "
            "refused."
        ),
    )
    annotations: Annotations | None = Field(
        default=None,
        description=(
            "Annotations to put on the Secret. The domains kubernetes.io, k8s.io, helm.sh, "
            "argocd.argoproj.io, toolkit.fluxcd.io and storage.amove.io, and those below them, are "
            "refused."
        ),
    )
    type: SecretType | None = Field(
        default=None,
        description=(
            "Type of the Secret. Default: Opaque. Types of kubernetes.io, k8s.io and helm.sh are "
            "refused. Immutable."
        ),
    )


class RotationSpec(KubeModel):
    """When a key is replaced, and how long the old one lives on."""

    interval: Duration | None = Field(
        default=None,
        description=(
            "How long a key is used before it is replaced, such as 720h; longer than gracePeriod "
            "and at least the operator's AMOVE_MIN_ROTATION_INTERVAL. Left out: never by the clock."
        ),
    )
    grace_period: Duration = Field(
        default="1h",
        description=(
            "How long a replaced key goes on working, such as 1h; at most the operator's "
            "AMOVE_MAX_GRACE. 0s revokes it as soon as the Secret holds the new one."
        ),
    )


class KeySpec(KubeModel):
    """What a team asks for. Exactly one of bucket_refs, bucket_names, all_buckets."""

    bucket_refs: Annotated[tuple[BucketRef, ...], Field(min_length=1, max_length=64)] | None = (
        Field(
            default=None,
            description=(
                "The AmoveBuckets of this namespace that the key may reach. Exactly one of "
                "bucketRefs, bucketNames and allBuckets."
            ),
        )
    )
    bucket_names: Annotated[tuple[BucketName, ...], Field(min_length=1, max_length=64)] | None = (
        Field(
            default=None,
            description=(
                "The buckets that the key may reach, by their names at Amove (needs a trusted "
                "namespace). Exactly one of bucketRefs, bucketNames and allBuckets."
            ),
        )
    )
    all_buckets: Literal[True] | None = Field(
        default=None,
        description=(
            "true: the key reaches every bucket of the storage (needs a trusted namespace). "
            "Exactly one of bucketRefs, bucketNames and allBuckets."
        ),
    )
    permission: Permission = Field(
        description="What the key may do with objects: Read, Write or ReadWrite."
    )
    cloud_account_id: AccountId | None = Field(
        default=None,
        description=(
            "Amove cloud account (internal storage) of the key, a UUID in lower case. Default: the "
            "operator's AMOVE_CLOUD_ACCOUNT_ID. Another account than the operator's needs a "
            "trusted namespace. Immutable."
        ),
    )
    region: Region | None = Field(
        default=None,
        description=(
            "Storage region of the key, such as us-east-1. Default: the operator's AMOVE_REGION. "
            "Another one needs a trusted namespace."
        ),
    )
    storage_dn: StorageDn | None = Field(
        default=None,
        description=(
            "Host name of the storage endpoint, with its port where needed. Default: the "
            "operator's AMOVE_STORAGE_DN. Another one needs a trusted namespace."
        ),
    )
    key_name: KeyName | None = Field(
        default=None,
        description=(
            "Readable part of the key's name at Amove: a-z, 0-9 and hyphen. Default: "
            "<namespace>-<name>. A change takes effect when the next key is issued."
        ),
    )
    secret: SecretSpec = Field(
        default=SecretSpec(), description="The Secret that the key is written to."
    )
    rotation: RotationSpec = Field(
        default=RotationSpec(), description="When the key is replaced by a new one."
    )
    deletion_policy: Literal["Delete", "Retain"] = Field(
        default="Delete",
        description=(
            "What happens when this object is deleted. Delete: the key is revoked and the Secret "
            "goes. Retain: both stay (needs a trusted namespace)."
        ),
    )


ScopeField = Literal["bucketNames", "allBuckets"]
"""By which field of the spec a key reaches its buckets, where that is not ``bucketRefs``."""

IssuedFor = Annotated[
    ScopeField | None,
    Field(
        description=(
            "Which field of the spec the key was issued for, unless it was bucketRefs: a key of "
            "bucketRefs keeps its buckets' names from other namespaces, and is revoked before one "
            "takes them."
        )
    ),
]


class CurrentKey(KubeModel):
    """The key in use: what is known of it, never its secret."""

    id: RemoteId = Field(description="Identity of the key at Amove.")
    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the key at Amove.")
    access_key: Annotated[str, Field(max_length=128)] = Field(
        description="The public half of the key pair."
    )
    serial: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Counts the keys issued for this object."
    )
    issued_at: Timestamp = Field(description="When the key was issued.")
    user_id: RemoteId | None = Field(
        default=None, description="The Amove user that the key belongs to."
    )
    cloud_account_id: Annotated[str, Field(max_length=36)] = Field(
        description="Cloud account that the key was issued for."
    )
    region: Annotated[str, Field(max_length=63)] = Field(
        description="Region that the key was issued for."
    )
    storage_dn: Annotated[str, Field(max_length=253)] = Field(
        description="Storage endpoint that the key was issued for."
    )
    permission: Permission = Field(description="What the key may do.")
    issued_for: IssuedFor = None
    buckets: SeenBuckets = Field(
        default=(),
        description=(
            "The buckets that the key reaches, by name; none for allBuckets, and none once the key "
            "is known to be revoked."
        ),
    )

    @property
    def dead(self) -> bool:
        """Whether it was proven revoked: it reaches nothing any more."""
        return not self.buckets and self.issued_for != "allBuckets"


class IssuedScope(KubeModel):
    """What a key was issued for: its account, its place, and the buckets that it reaches."""

    cloud_account_id: Annotated[str, Field(max_length=36)] = Field(
        description="Cloud account that the key was issued for."
    )
    region: Annotated[str, Field(max_length=63)] = Field(
        description="Region that the key was issued for."
    )
    storage_dn: Annotated[str, Field(max_length=253)] = Field(
        description="Storage endpoint that the key was issued for."
    )
    permission: Permission = Field(description="What the key may do.")
    issued_for: IssuedFor = None
    buckets: SeenBuckets = Field(
        default=(), description="The buckets that the key reaches, by name; none for allBuckets."
    )


class RecentIssue(KubeModel):
    """One issue of a key, noted before the key is asked for (the first of an object: after)."""

    serial: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Which issue for this object it was; the key's name ends in it."
    )
    issued_at: Timestamp = Field(description="When the key was issued, or was about to be.")
    scope: IssuedScope | None = Field(
        default=None, description="What the key was issued for; left out of old issues."
    )


class RetiringKey(KubeModel):
    """A replaced key that still works until its grace ends."""

    id: RemoteId = Field(description="Identity of the key at Amove.")
    buckets: SeenBuckets = Field(
        default=(), description="The buckets that the key reaches, by name; none for allBuckets."
    )
    issued_for: IssuedFor = None
    revoke_after: Timestamp = Field(description="When the grace ends and the key is revoked.")

    @property
    def dead(self) -> bool:
        """Whether no buckets are on record for it: it reaches none, or nobody knows which."""
        return not self.buckets and self.issued_for != "allBuckets"


class SecretBinding(KubeModel):
    """The Secret's name: the Service Binding specification's duck type."""

    name: Annotated[str, Field(max_length=253)] = Field(description="Name of the Secret.")


class KeyStatus(KubeModel):
    """What was issued. Proof of ownership only with ``owner_uid`` equal to the CR's UID."""

    owner_uid: Uid | None = Field(default=None, alias="ownerUID", description=OWNER_UID_DESCRIPTION)
    key: CurrentKey | None = Field(
        default=None, description="The key in use. Its secret half is only in the Secret."
    )
    retiring: Annotated[tuple[RetiringKey, ...], Field(max_length=8)] = Field(
        default=(), description="Replaced keys that still work until their grace ends."
    )
    recent_issues: Annotated[tuple[RecentIssue, ...], Field(max_length=32)] = Field(
        default=(),
        description=(
            "The keys issued of late, the newest last: what the issuing budget counts, and what a "
            "key that was issued just before a crash may reach."
        ),
    )
    next_rotation: Timestamp | None = Field(
        default=None, description="When the key is due to be replaced by the clock."
    )
    binding: SecretBinding | None = Field(
        default=None, description="The Secret that holds the key, as Service Binding wants it."
    )
    conditions: Conditions = Field(default=(), description=CONDITIONS_DESCRIPTION)
    observed_generation: ObservedGeneration | None = Field(
        default=None, description=OBSERVED_GENERATION_DESCRIPTION
    )


class AmoveStorageKey(KubeObject):
    """AmoveStorageKey is an access key of the Amove storage service, kept in a Secret."""

    spec: KeySpec = Field(description="The key as it should be.")
    status: KeyStatus = Field(
        default=KeyStatus(), description="What the operator saw and did. Written by it alone."
    )
    _proven: KeyStatus = PrivateAttr()

    @property
    def proven(self) -> KeyStatus:
        """``status`` if it was written for this very object; else its conditions alone.

        A backup or a copy carries the status of another object along: with it a new object would
        revoke the other one's keys.
        """
        return self._proven

    @property
    def secret_name(self) -> str:
        """The Secret's name: immutable by the CRD's rules."""
        return self.spec.secret.name or self.metadata.name

    @property
    def named_keys(self) -> tuple[CurrentKey | RetiringKey, ...]:
        """The keys that proven status names: the current one and the retiring ones.

        None for an object without our finalizer whose deletion was asked for: its keys were
        revoked. One that lives all the same (by ``Retain``, or since an admin took the finalizer
        off) is found in the key list.
        """
        if self.metadata.let_go:
            return ()
        current = self._proven.key
        return (*(() if current is None else (current,)), *self._proven.retiring)

    @property
    def reached_buckets(self) -> frozenset[str]:
        """The bucket names that the key's live keys reach, by proven status."""
        return frozenset(name for one in self.named_keys for name in one.buckets)

    def _judge_status(self) -> None:
        ours = self.status.owner_uid == self.metadata.uid
        self._proven = self.status if ours else KeyStatus(conditions=self.status.conditions)
