"""The flags of a bucket: what they should be, and where they differ. Pure."""

from __future__ import annotations

from amove_operator.models import BucketFlags, BucketSpec

_SPEC_NAMES = {
    "is_public": "public",
    "encryption_enabled": "encryptionEnabled",
    "versioning_enabled": "versioningEnabled",
    "object_lock_enabled": "objectLockEnabled",
}


def flags_wanted(spec: BucketSpec, seen: BucketFlags) -> BucketFlags:
    """What the flags should be: a flag that is not managed stays as it was seen.

    Of a new bucket all are seen as false, but a lock needs versions. The object lock of one that is
    there is only compared; it is no flag that an update could carry.
    """
    versioning = spec.versioning_enabled
    if versioning is None and spec.object_lock_enabled:
        versioning = True
    managed = {
        "is_public": spec.public,
        "encryption_enabled": spec.encryption_enabled,
        "versioning_enabled": versioning,
        "object_lock_enabled": spec.object_lock_enabled,
    }
    return seen.model_copy(update={name: on for name, on in managed.items() if on is not None})


def drift(spec: BucketSpec, seen: BucketFlags) -> tuple[str, ...]:
    """Where the flags are not as the spec says, in words; empty: nowhere."""
    wanted = flags_wanted(spec, seen)
    return tuple(
        f"{shown} is {_word(getattr(seen, name))}, the spec says {_word(getattr(wanted, name))}"
        for name, shown in _SPEC_NAMES.items()
        if getattr(seen, name) != getattr(wanted, name)
    )


def _word(on: bool) -> str:  # noqa: FBT001
    return "true" if on else "false"
