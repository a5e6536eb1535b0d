"""The AmoveBuckets of buckets that are there already, as YAML for kubectl. Pure.

Applying them in a trusted namespace changes nothing at the service: every flag is as it was found,
the bucket is adopted, and deleting the object leaves it alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from amove_operator.models import BucketFlags, BucketSpec, canonical_id, spec_faults_bucket
from amove_operator.models.bucket_rules import is_bucket_name
from amove_operator.models.refs import Kind
from amove_operator.models.shared import API_VERSION, OBJECT_NAME_PATTERN


@dataclass(frozen=True, slots=True)
class Found:
    """A bucket of the account, and its flags as ``bucket_status`` answered them."""

    name: str
    account: str
    flags: BucketFlags


class _Quoted(str):
    """A text that is quoted in YAML: kubectl would read the bucket name ``1e5`` as a number."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def why_not_importable(name: str) -> str | None:
    """Why no AmoveBucket can stand for a bucket of this name; None where one can."""
    if is_bucket_name(name):
        return None
    return "AmoveBucket takes names of 3 to 63 of a-z, 0-9, dot and hyphen only"


def object_name(bucket: str) -> str:
    """The name of the AmoveBucket: the bucket's, unless Kubernetes does not allow it.

    ``a-.b`` is the name of a bucket, and of no object: that is called ``a-b``.
    """
    if re.fullmatch(OBJECT_NAME_PATTERN, bucket):
        return bucket
    return re.sub(r"-*\.-*", "-", bucket)


def manifest(bucket: Found, *, namespace: str | None, observe: bool) -> dict[str, Any]:
    """The AmoveBucket that adopts (or only observes) what was found, and asks for no change."""
    name, flags = object_name(bucket.name), bucket.flags
    # Object lock without versioning is what the service should never say, and a spec cannot: then
    # neither is managed.
    odd = flags.object_lock_enabled and not flags.versioning_enabled
    found = BucketSpec(
        # Written out though it be the object's name: kubectl would merge all else into an object of
        # that name that stands for another bucket, and make that one public.
        bucket_name=bucket.name,
        cloud_account_id=canonical_id(bucket.account),
        public=flags.is_public,
        encryption_enabled=flags.encryption_enabled,
        versioning_enabled=None if odd else flags.versioning_enabled,
        object_lock_enabled=None if odd else flags.object_lock_enabled,
        deletion_policy="Retain",
        adoption_policy="IfExists",
        management_policy="Observe" if observe else "Manage",
    )
    assert not spec_faults_bucket(name, found)  # noqa: S101 - an importable name
    spec = found.to_kube()
    if not observe:
        del spec["managementPolicy"]
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.BUCKET.value,
        "metadata": metadata,
        "spec": spec,
    }


def to_yaml(document: dict[str, Any]) -> str:
    """One document of a YAML stream. Every text in it is quoted."""
    return "---\n" + yaml.dump(_quoted(document), Dumper=_Dumper, sort_keys=False)


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _quoted(each) for key, each in value.items()}
    return _Quoted(value) if isinstance(value, str) else value
