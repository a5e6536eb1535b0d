"""``AmoveBucket``: a bucket at the Amove service."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool

from amove_operator.models import shared
from amove_operator.models.refs import Kind
from amove_operator.models.service_id import CanonicalId
from amove_operator.models.texts import SharedText

# Between two letters or digits: hyphens and dots, but never two dots in a row. That it is not an
# IPv4 address is a rule of its own (models/bucket_rules.py), since RE2 cannot say "not".
BUCKET_NAME_PATTERN = r"^[a-z0-9]((-|\.-)*\.?[a-z0-9])*$"

BucketName = Annotated[
    str, Field(min_length=3, max_length=63, pattern=BUCKET_NAME_PATTERN), SharedText
]
AccountId = Annotated[
    str, Field(min_length=36, max_length=36, pattern=shared.UUID_PATTERN), SharedText
]


class BucketFlags(shared.KubeModel):
    """The four flags of a bucket, under the names that ``bucket_status`` answers."""

    is_public: bool = False
    """Everybody may read the objects."""
    encryption_enabled: bool = False
    """Objects are encrypted at rest."""
    versioning_enabled: bool = False
    """Older versions are kept."""
    object_lock_enabled: bool = False
    """Objects can be locked against deletion."""


@lru_cache(maxsize=16)
def _shared(flags: BucketFlags) -> BucketFlags:
    """One of the sixteen that there can be, for all the buckets that have them."""
    return flags


class BucketSpec(shared.KubeModel):
    """What a team asks for. A flag that is ``None`` is not managed."""

    bucket_name: BucketName | None = None
    """Name of the bucket at Amove: 3 to 63 of a-z, 0-9, dot and hyphen, with a letter or digit at
    both ends, no two dots in a row, not an IPv4 address. Default: metadata.name. Immutable.
    """
    cloud_account_id: AccountId | None = None
    """Amove cloud account (internal storage) of the bucket, a UUID in lower case. Default: the
    operator's AMOVE_CLOUD_ACCOUNT_ID. Another account than the operator's needs a trusted
    namespace. Immutable.
    """
    public: StrictBool | None = None
    """Whether everybody may read the objects; true needs a trusted namespace. Left out: not managed
    (false on a new bucket, left as found on an adopted one).
    """
    encryption_enabled: StrictBool | None = None
    """Whether objects are encrypted at rest. Left out: not managed (false on a new bucket, left as
    found on an adopted one).
    """
    versioning_enabled: StrictBool | None = None
    """Whether older versions of objects are kept. Left out: not managed (false on a new bucket
    unless objectLockEnabled is true, left as found on an adopted one).
    """
    object_lock_enabled: StrictBool | None = None
    """Whether objects can be locked against deletion. Chosen when the bucket is made and immutable;
    needs versioning, which it switches on where that is left out.
    """
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What happens to the bucket when this object is deleted. Retain: it stays. Delete: it is
    deleted once it is empty and no key reaches it; it is never emptied. May be changed while the
    deletion waits.
    """
    adoption_policy: Literal["Never", "IfExists"] = "Never"
    """What happens when the bucket exists already. Never: this object stalls. IfExists: the bucket
    is taken over, and from then on obeys deletionPolicy (needs a trusted namespace).
    """
    management_policy: Literal["Manage", "Observe"] = "Manage"
    """Manage: create, repair and delete the bucket. Observe: only read it; it must exist, and
    deleting this object leaves it alone (needs a trusted namespace).
    """


class BucketStatus(shared.KubeModel):
    """What was seen and done. Proof of ownership only with ``owner_uid`` equal to the CR's UID."""

    owner_uid: shared.Uid | None = Field(
        default=None, alias="ownerUID", description=shared.OWNER_UID_DESCRIPTION
    )
    bucket_name: Annotated[str, Field(max_length=63), SharedText] | None = None
    """Name of the bucket at Amove, pinned at first use."""
    cloud_account_id: Annotated[CanonicalId, Field(max_length=36)] | None = None
    """Cloud account of the bucket, pinned at first use."""
    provenance: Literal["Created", "Adopted"] | None = None
    """How the bucket came to be ours: Created here, or Adopted. Unset: not ours."""
    create_intent: bool | None = None
    """A create was about to be sent; set before it and removed with its outcome."""
    observed: Annotated[BucketFlags, AfterValidator(_shared)] | None = None
    """The bucket's flags as Amove last answered them."""
    conditions: shared.Conditions = Field(default=(), description=shared.CONDITIONS_DESCRIPTION)
    observed_generation: shared.ObservedGeneration | None = Field(
        default=None, description=shared.OBSERVED_GENERATION_DESCRIPTION
    )

    @property
    def ours(self) -> bool:
        """Whether it proves the bucket ours, or that our create was about to be sent."""
        return self.provenance is not None or bool(self.create_intent)


class AmoveBucket(shared.KubeObject):
    """AmoveBucket is a bucket at the Amove storage service, kept as declared here."""

    KIND = Kind.BUCKET
    spec: BucketSpec
    """The bucket as it should be."""
    status: BucketStatus = BucketStatus()
    """What the operator saw and did. Written by it alone."""

    @cached_property
    def proven(self) -> BucketStatus:
        """``status`` if it was written for this very object and its bucket; else its conditions.

        A backup or a copy carries the status of another object along: with it a new object would
        take over, and could delete, the bucket of the old one.
        """
        status, account = self.status, self.spec.cloud_account_id
        named = (status.owner_uid, status.bucket_name) == (self.metadata.uid, self.bucket_name)
        ours = named and account in (None, status.cloud_account_id)
        return status if ours else BucketStatus(conditions=status.conditions)

    @property
    def bucket_name(self) -> str:
        """The bucket's name at Amove: immutable by the CRD's rules."""
        return self.spec.bucket_name or self.metadata.name

    @property
    def in_sync(self) -> bool:
        """Whether status says that this generation is in sync, by our own word."""
        true = {one.type for one in self.status.conditions if one.status == "True"}
        of_now = self.status.observed_generation == self.metadata.generation
        ours = self.proven.provenance is not None and not self.metadata.deleting
        return of_now and ours and true >= {"Ready", "Synced"}
