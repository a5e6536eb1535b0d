"""Buckets as the API knows them: a record per cloud account over a bucket of the backing tier."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from amove_emulator.accounts import Accounts
from amove_emulator.answers import RefusalError, dotnet_date
from amove_emulator.backing import Tier
from amove_emulator.inputs import BucketQuery, BucketRef, CreateBucket, ListBuckets, UpdateBucket
from amove_emulator.settings import Behaviour, CloudAccount, User

REGION = "us-east-1"
Flag = Literal["versioningEnabled", "encryptionEnabled", "isPublic", "objectLockEnabled"]


@dataclass(slots=True)
class Bucket:
    """``hidden``: the API answers as if it were absent. ``stuck``: flags that no update moves."""

    account: CloudAccount
    name: str
    tier: Tier
    region: str = REGION
    created: int = field(default_factory=time.time_ns)
    hidden: bool = False
    stuck: set[Flag] = field(default_factory=set)

    def status(self) -> dict[Flag, bool]:
        flags = self.tier.flags(self.name)
        return {
            "versioningEnabled": flags.versioning,
            "encryptionEnabled": flags.encryption,
            "isPublic": flags.public,
            "objectLockEnabled": flags.object_lock,
        }

    def set_flag(self, flag: Flag, *, on: bool) -> None:
        setters: dict[Flag, Callable[..., None]] = {
            "versioningEnabled": self.tier.set_versioning,
            "encryptionEnabled": self.tier.set_encryption,
            "isPublic": self.tier.set_public,
            "objectLockEnabled": self.tier.set_object_lock,
        }
        setters[flag](self.name, on=on)


def _wanted(call: UpdateBucket) -> dict[Flag, bool]:
    # Requests say isEncrypted, the status says encryptionEnabled.
    return {
        "versioningEnabled": call.versioningEnabled,
        "encryptionEnabled": call.isEncrypted,
        "isPublic": call.isPublic,
    }


class Buckets:
    def __init__(self, accounts: Accounts, behaviour: Behaviour) -> None:
        self._accounts = accounts
        self._behaviour = behaviour
        self.all: dict[tuple[str, str], Bucket] = {}

    def create(self, user: User, call: CreateBucket, half: str | None = None) -> None:
        """``half`` "bare": the bucket comes to be, the follow-up calls for its flags do not."""
        account = self._accounts.active(call.cloudAccountId, user)
        if call.objectLockEnabled and not call.versioningEnabled:
            raise RefusalError("DEFAULT", "Object lock needs versioning.")
        if self._exists_already(account, call.bucketName):
            return
        bucket = self.add(account, call.bucketName, object_lock=call.objectLockEnabled)
        if half != "bare":
            self._move(bucket, _wanted(call))

    def add(self, account: CloudAccount, name: str, *, object_lock: bool = False) -> Bucket:
        tier = self._accounts.tier(account)
        tier.create_bucket(name, REGION, object_lock=object_lock)
        bucket = self.all[account.id, name] = Bucket(account, name, tier)
        return bucket

    def status(self, user: User, call: BucketRef) -> dict[Flag, bool]:
        return self._found(user, call.cloudAccountId, call.bucketName).status()

    def update(self, user: User, call: UpdateBucket, half: str | None = None) -> None:
        """``half`` "first_flag": only the first flag that differs is changed."""
        bucket = self._found(user, call.cloudAccountId, call.bucketName)
        if bucket.status()["objectLockEnabled"] and not call.versioningEnabled:
            raise RefusalError("DEFAULT", "Versioning cannot be suspended under object lock.")
        self._move(bucket, _wanted(call), at_most=1 if half == "first_flag" else None)

    def delete(self, user: User, call: BucketQuery) -> None:
        bucket = self._found(user, call.cloudAccountId, call.bucketName)
        if bucket.tier.object_count(bucket.name):
            message = "The bucket you tried to delete is not empty."
            raise RefusalError(self._behaviour.not_empty_code, message)
        self.remove(bucket)

    def remove(self, bucket: Bucket) -> None:
        """Take the bucket away together with what it holds."""
        bucket.tier.drop_bucket(bucket.name)
        self.all.pop((bucket.account.id, bucket.name), None)

    def listed(self, user: User, call: ListBuckets) -> list[dict[str, Any]]:
        account = self._accounts.usable(call.cloudAccountId, user)
        return [
            {
                "name": bucket.name,
                "region": bucket.region if call.includeRegion else None,
                "creationTime": dotnet_date(bucket.created, self._behaviour.dates),
            }
            for bucket in sorted(self.all.values(), key=lambda b: b.name)
            if bucket.account.id == account.id and not self._is_hidden(bucket)
        ]

    def _exists_already(self, account: CloudAccount, name: str) -> bool:
        """Whether to answer 200 although the name is there; where it must not be: RefusalError."""
        if not self._accounts.tier(account).has_bucket(name):
            return False
        if self._behaviour.exists == "ok" and (account.id, name) in self.all:
            return True
        code = "DUPLICATE" if self._behaviour.exists == "duplicate" else "DEFAULT"
        raise RefusalError(code, "The requested bucket name already exists.")

    def _found(self, user: User, account_id: str, name: str) -> Bucket:
        account = self._accounts.usable(account_id, user)
        bucket = self.all.get((account.id, name))
        if bucket is None or self._is_hidden(bucket):
            raise RefusalError(self._behaviour.absent_code, self._behaviour.absent_message)
        return bucket

    def _is_hidden(self, bucket: Bucket) -> bool:
        switched_off = self._behaviour.inactive_account == "hide" and not bucket.account.active
        return bucket.hidden or switched_off

    def _move(self, bucket: Bucket, wanted: dict[Flag, bool], at_most: int | None = None) -> None:
        current = bucket.status()
        differing = [flag for flag, on in wanted.items() if current[flag] != on]
        for flag in differing[:at_most]:
            if flag not in bucket.stuck:
                bucket.set_flag(flag, on=wanted[flag])
