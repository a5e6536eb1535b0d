"""Every reason of conditions and Events. Stable: users and alerts match on them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A CamelCase reason; docs/conditions.md says for each what it means and what to do."""

    # Both kinds
    Settled = "Settled"
    Progressing = "Progressing"
    Paused = "Paused"
    InvalidSpec = "InvalidSpec"
    ObjectTooLarge = "ObjectTooLarge"
    NotPermitted = "NotPermitted"
    AccountMismatch = "AccountMismatch"
    AccountUnknown = "AccountUnknown"
    AccountUnusable = "AccountUnusable"
    ApiUnavailable = "ApiUnavailable"
    ApiUnauthorized = "ApiUnauthorized"
    ApiRefused = "ApiRefused"
    KubernetesRefused = "KubernetesRefused"
    StatusUnreadable = "StatusUnreadable"
    Deleting = "Deleting"
    WaitingForListing = "WaitingForListing"
    ListIncomplete = "ListIncomplete"
    # Buckets
    Available = "Available"
    BucketExists = "BucketExists"
    BucketMissing = "BucketMissing"
    BucketClaimed = "BucketClaimed"
    NameInUse = "NameInUse"
    ObjectLockMismatch = "ObjectLockMismatch"
    FlagRejected = "FlagRejected"
    DriftObserved = "DriftObserved"
    DeletionBlocked = "DeletionBlocked"
    BucketNotEmpty = "BucketNotEmpty"
    DeleteRefused = "DeleteRefused"
    MassBucketLoss = "MassBucketLoss"
    ReachedByOrphan = "ReachedByOrphan"
    # Keys
    Issued = "Issued"
    BucketNotFound = "BucketNotFound"
    BucketNotReady = "BucketNotReady"
    InvalidTemplate = "InvalidTemplate"
    SecretConflict = "SecretConflict"
    SecretWriteRefused = "SecretWriteRefused"
    SecretBeingCollected = "SecretBeingCollected"
    WaitingForGrace = "WaitingForGrace"
    MintBudgetExhausted = "MintBudgetExhausted"
    MassKeyLoss = "MassKeyLoss"
    ApiUserChanged = "ApiUserChanged"
    ClockSkew = "ClockSkew"
    RevokePending = "RevokePending"


class EventReason(StrEnum):
    """A reason that only Events have: of something done or found, where no condition says so.

    docs/conditions.md, "Events", says of each what to do.
    """

    Created = "Created"
    Recreated = "Recreated"
    Deleted = "Deleted"
    KeyRevoked = "KeyRevoked"
    RevokeUnconfirmed = "RevokeUnconfirmed"
    FenceWasAway = "FenceWasAway"
