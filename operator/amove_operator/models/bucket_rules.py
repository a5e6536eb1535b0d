"""The rules of an ``AmoveBucket`` that a schema cannot say (see ``rules``)."""

from __future__ import annotations

import re

from amove_operator.models import rules
from amove_operator.models.bucket import BUCKET_NAME_PATTERN, BucketSpec


def is_bucket_name(name: str) -> bool:
    """Whether S3's naming rules allow ``name``."""
    return (
        3 <= len(name) <= 63
        and re.fullmatch(BUCKET_NAME_PATTERN, name) is not None
        and not rules.looks_like_ipv4(name)
    )


BUCKET_RULES: tuple[rules.Rule[BucketSpec], ...] = (
    rules.Rule(
        at="",
        # The characters need no look here: the apiserver has held them to a DNS name already.
        cel=(
            "has(self.spec.bucketName) || (self.metadata.name.size() >= 3"
            " && self.metadata.name.size() <= 63"
            f" && !self.metadata.name.matches(r'{rules.IPV4_PATTERN}'))"
        ),
        field=".spec.bucketName",
        message=(
            "metadata.name cannot serve as the bucket's name: write spec.bucketName with 3 to 63 "
            "of a-z, 0-9, dot and hyphen, and not an IPv4 address"
        ),
        holds=lambda name, spec: spec.bucket_name is not None or is_bucket_name(name),
    ),
    rules.Rule(
        at="spec.bucketName",
        cel=f"!self.matches(r'{rules.IPV4_PATTERN}')",
        message="spec.bucketName looks like an IPv4 address: write a name with a letter in it",
        holds=lambda _name, spec: not rules.looks_like_ipv4(spec.bucket_name or ""),
    ),
    rules.Rule(
        at="spec",
        cel="!self.?objectLockEnabled.orValue(false) || self.?versioningEnabled.orValue(true)",
        field=".versioningEnabled",
        message=(
            "spec.objectLockEnabled needs versioning: write spec.versioningEnabled: true or leave "
            "it out"
        ),
        holds=lambda _name, spec: (
            spec.object_lock_enabled is not True or spec.versioning_enabled is not False
        ),
    ),
)

BUCKET_TRANSITIONS: tuple[rules.Transition, ...] = (
    rules.Transition(
        at="",
        cel=rules.same_or_default("self.spec", "oldSelf.spec", "bucketName", "self.metadata.name"),
        field=".spec.bucketName",
        message="spec.bucketName (default: metadata.name) is immutable: create another AmoveBucket",
    ),
    rules.immutable("cloudAccountId", "create another AmoveBucket"),
    rules.immutable("objectLockEnabled", "object lock is chosen when a bucket is made"),
)


def spec_faults_bucket(name: str, spec: BucketSpec) -> list[str]:
    """What is wrong with the spec of the AmoveBucket called ``name``, a sentence each."""
    return [rule.message for rule in BUCKET_RULES if not rule.holds(name, spec)]
