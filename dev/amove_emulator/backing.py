"""The backing storage: moto's S3 and IAM, driven in-process as Python objects.

One moto account stands for one storage tier (of one Amove tenant). A tier is thus one bucket
namespace and one set of identities, and two tiers may hold the same bucket name, although moto's
own HTTP interface would refuse that. The account is found from the access key that signs a
request, so an S3 client needs nothing but the plain bucket name. See README.md, "Bucket names".
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from moto import settings as moto_settings
from moto.iam.models import IAMBackend, iam_backends
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

PARTITION: Final = "aws"
_ENCRYPTION: Final = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}}

# moto asks for HeadBucket by that name, where AWS asks for ListBucket.
_READ: Final = ("s3:Get*", "s3:List*", "s3:HeadBucket")
# Nothing here reads data or changes a bucket's settings (s3:Put* would: PutBucketPolicy).
_WRITE: Final = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:ListBucketMultipartUploads",
)
_ACTIONS: Final = {0: _READ, 1: _WRITE, 2: _READ + _WRITE}

# Emulators of one process share moto's globals: each tier of each gets a number of its own.
_account_numbers = itertools.count(100_000_000_001)


def enforce_authentication() -> None:
    """Make moto check the signature and the policy of every request, from the first."""
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0


@dataclass(frozen=True, slots=True)
class Flags:
    """The four properties of a bucket that the API speaks of."""

    public: bool = False
    encryption: bool = False
    versioning: bool = False
    object_lock: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """One IAM user with its one access key. ``secret_key`` is never shown in a repr."""

    user_name: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Identity(user_name={self.user_name!r}, access_key={self.access_key!r})"


def _resources(bucket: str) -> list[str]:
    # moto takes a resource for a regular expression and turns only "*" into ".*": unescaped, the
    # dot of "a.b" would also admit "a-b".
    arn = f"arn:{PARTITION}:s3:::{re.escape(bucket)}"
    return [arn, f"{arn}/*"]


def key_policy(permission: int, buckets: Iterable[str] | None) -> str:
    """The inline policy of a storage key; ``buckets`` None means every bucket of the tier."""
    if buckets is None:
        resources = [f"arn:{PARTITION}:s3:::*"]
    else:
        resources = [arn for bucket in buckets for arn in _resources(bucket)]
    allow = {"Effect": "Allow", "Action": list(_ACTIONS[permission]), "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def _public_policy(bucket: str) -> bytes:
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": _resources(bucket)[1],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]}).encode()


class Tier:
    """Buckets and identities of one storage tier."""

    def __init__(self) -> None:
        self.account = str(next(_account_numbers))
        self._policies: dict[str, tuple[int, frozenset[str] | None]] = {}

    @property
    def _s3(self) -> S3Backend:
        return s3_backends[self.account][PARTITION]

    @property
    def _iam(self) -> IAMBackend:
        return iam_backends[self.account][PARTITION]

    def bucket_names(self) -> list[str]:
        return list(self._s3.buckets)

    def has_bucket(self, name: str) -> bool:
        return name in self._s3.buckets

    def create_bucket(self, name: str, region: str, *, object_lock: bool = False) -> None:
        # S3Backend.create_bucket would refuse a name that another tier has.
        bucket = FakeBucket(  # type: ignore[abstract]  # moto itself makes them so
            name=name, account_id=self.account, region_name=region
        )
        bucket.object_lock_enabled = object_lock
        # Through this table moto would look a name up in other accounts, and keep it taken.
        s3_backends.bucket_accounts.pop(name, None)
        self._s3.buckets[name] = bucket

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket and whatever it holds."""
        self.empty_bucket(name)
        self._s3.buckets.pop(name, None)

    def empty_bucket(self, name: str) -> None:
        bucket = self._s3.buckets[name]
        for name_of_key in list(bucket.keys):
            for version in bucket.keys.getlist(name_of_key):
                if isinstance(version, FakeKey):
                    version.dispose()  # it holds a temporary file open
            dict.pop(bucket.keys, name_of_key)  # moto's own would dispose of delete markers too

    def object_count(self, name: str) -> int:
        """Keys with at least one version or delete marker: what makes S3 refuse a deletion."""
        return len(self._s3.buckets[name].keys)

    def put_object(self, bucket: str, key: str, content: bytes) -> None:
        self._s3.put_object(bucket, key, content, disable_notification=True)

    def flags(self, name: str) -> Flags:
        bucket = self._s3.buckets[name]
        return Flags(
            public=bucket.policy is not None,
            encryption=bucket.encryption is not None,
            versioning=bucket.versioning_status == "Enabled",
            object_lock=bucket.object_lock_enabled,
        )

    def set_public(self, name: str, *, on: bool) -> None:
        self._s3.buckets[name].policy = _public_policy(name) if on else None

    def set_encryption(self, name: str, *, on: bool) -> None:
        self._s3.buckets[name].encryption = dict(_ENCRYPTION) if on else None

    def set_versioning(self, name: str, *, on: bool) -> None:
        self._s3.buckets[name].versioning_status = "Enabled" if on else "Suspended"

    def set_object_lock(self, name: str, *, on: bool) -> None:
        """Vandalism only: no storage service can do this to a bucket that exists."""
        self._s3.buckets[name].object_lock_enabled = on

    def public_object(self, bucket: str, key: str) -> bytes | None:
        """The content that an anonymous client may read, or None."""
        found = self._s3.buckets.get(bucket)
        if found is None or found.policy is None:
            return None
        content = found.keys.get(key)
        value = getattr(content, "value", None)
        return bytes(value) if value is not None else None

    def create_identity(
        self, user_name: str, permission: int, buckets: Iterable[str] | None
    ) -> Identity:
        scope = None if buckets is None else frozenset(buckets)
        user = self._iam.create_user("us-east-1", user_name)
        user.put_policy("storage-key", key_policy(permission, scope))
        key = self._iam.create_access_key(user_name)
        self._policies[key.access_key_id] = (permission, scope)
        return Identity(user_name, key.access_key_id, key.secret_access_key)

    def revoke_identity(self, identity: Identity) -> None:
        """Take the access key and its user away at once; one that is gone already is no error."""
        self._iam.users.pop(identity.user_name, None)
        self._iam.access_keys.pop(identity.access_key, None)
        self._policies.pop(identity.access_key, None)

    def is_live(self, access_key: str) -> bool:
        return access_key in self._iam.access_keys

    def may_read(self, access_key: str, bucket: str) -> bool:
        """Whether this tier's key may get objects of ``bucket`` (for the source of a copy)."""
        permission, scope = self._policies.get(access_key, (1, frozenset()))
        return permission != 1 and (scope is None or bucket in scope)

    def wipe(self) -> None:
        for name in self.bucket_names():
            self.drop_bucket(name)
        self._iam.users.clear()
        self._iam.access_keys.clear()
        self._policies.clear()


class Backing:
    """All tiers of one emulator, keyed by (tenant, tier number)."""

    def __init__(self) -> None:
        self._tiers: dict[tuple[str, int], Tier] = {}

    def tier(self, tenant: str, number: int) -> Tier:
        return self._tiers.setdefault((tenant, number), Tier())

    def holder_of(self, access_key: str) -> Tier | None:
        return next((t for t in list(self._tiers.values()) if t.is_live(access_key)), None)

    def public_object(self, bucket: str, key: str) -> io.BytesIO | None:
        for tier in list(self._tiers.values()):
            content = tier.public_object(bucket, key)
            if content is not None:
                return io.BytesIO(content)
        return None

    def wipe(self) -> None:
        for tier in self._tiers.values():
            tier.wipe()
