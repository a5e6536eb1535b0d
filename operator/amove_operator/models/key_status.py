"""What the operator writes into an ``AmoveStorageKey``: the keys that it issued."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from amove_operator.models import shared
from amove_operator.models.key_spec import Permission
from amove_operator.models.service_id import CanonicalId, SpeltId
from amove_operator.models.texts import SharedText

RemoteId = Annotated[SpeltId, Field(max_length=64)]
SeenBuckets = Annotated[
    tuple[Annotated[str, Field(max_length=63), SharedText], ...], Field(max_length=64)
]
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


class IssuedScope(shared.KubeModel):
    """What a key was issued for: its account, its place, and the buckets that it reaches."""

    cloud_account_id: Annotated[CanonicalId, Field(max_length=36)]
    """Cloud account that the key was issued for."""
    region: Annotated[str, Field(max_length=63), SharedText]
    """Region that the key was issued for."""
    storage_dn: Annotated[str, Field(max_length=253), SharedText]
    """Storage endpoint that the key was issued for."""
    permission: Permission
    """What the key may do."""
    issued_for: IssuedFor = None
    buckets: SeenBuckets = ()
    """The buckets that the key reaches, by name; none for allBuckets."""


class _IssuedKey(shared.KubeModel):
    id: RemoteId
    """Identity of the key at Amove."""
    name: Annotated[str, Field(max_length=63)]
    """Name of the key at Amove."""
    access_key: Annotated[str, Field(max_length=128)]
    """The public half of the key pair."""
    serial: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Counts the keys issued for this object."""
    issued_at: shared.Timestamp
    """When the key was issued."""
    user_id: Annotated[CanonicalId, Field(max_length=64)] | None = None
    """The Amove user that the key belongs to."""


# In this order, since the fields of the last base come first in the CRD.
class CurrentKey(IssuedScope, _IssuedKey):
    """The key in use: what is known of it, never its secret."""

    buckets: SeenBuckets = ()
    """The buckets that the key reaches, by name; none for allBuckets, and none once the key is
    known to be revoked.
    """

    @property
    def dead(self) -> bool:
        """Whether it was proven revoked: it reaches nothing any more."""
        return not self.buckets and self.issued_for != "allBuckets"


class RecentIssue(shared.KubeModel):
    """One issue of a key, noted before the key is asked for (the first of an object: after)."""

    serial: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Which issue for this object it was; the key's name ends in it."""
    issued_at: shared.Timestamp
    """When the key was issued, or was about to be."""
    scope: IssuedScope | None = None
    """What the key was issued for; left out of old issues."""


class RetiringKey(shared.KubeModel):
    """A replaced key that still works until its grace ends."""

    id: RemoteId
    """Identity of the key at Amove."""
    buckets: SeenBuckets = ()
    """The buckets that the key reaches, by name; none for allBuckets."""
    issued_for: IssuedFor = None
    revoke_after: shared.Timestamp
    """When the grace ends and the key is revoked."""

    @property
    def dead(self) -> bool:
        """Whether no buckets are on record for it: it reaches none, or nobody knows which."""
        return not self.buckets and self.issued_for != "allBuckets"


class SecretBinding(shared.KubeModel):
    """The Secret's name: the Service Binding specification's duck type."""

    name: Annotated[str, Field(max_length=253), SharedText]
    """Name of the Secret."""


class KeyStatus(shared.KubeModel):
    """What was issued. Proof of ownership only with ``owner_uid`` equal to the CR's UID."""

    owner_uid: shared.Uid | None = Field(
        default=None, alias="ownerUID", description=shared.OWNER_UID_DESCRIPTION
    )
    key: CurrentKey | None = None
    """The key in use. Its secret half is only in the Secret."""
    retiring: Annotated[tuple[RetiringKey, ...], Field(max_length=8)] = ()
    """Replaced keys that still work until their grace ends."""
    recent_issues: Annotated[tuple[RecentIssue, ...], Field(max_length=32)] = ()
    """The keys issued of late, the newest last: what the issuing budget counts, and what a key that
    was issued just before a crash may reach.
    """
    next_rotation: shared.Timestamp | None = None
    """When the key is due to be replaced by the clock."""
    binding: SecretBinding | None = None
    """The Secret that holds the key, as Service Binding wants it."""
    conditions: shared.Conditions = Field(default=(), description=shared.CONDITIONS_DESCRIPTION)
    observed_generation: shared.ObservedGeneration | None = Field(
        default=None, description=shared.OBSERVED_GENERATION_DESCRIPTION
    )

    @property
    def named_ids(self) -> frozenset[str]:
        """The ids that it names: the current key and the retiring ones."""
        current = () if self.key is None else (self.key.id,)
        return frozenset((*current, *(key.id for key in self.retiring)))
