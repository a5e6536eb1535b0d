"""The whole state of an emulator, built anew from its World on each reset."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

from amove_emulator.accounts import Accounts
from amove_emulator.backing import Backing
from amove_emulator.buckets import Bucket, Buckets
from amove_emulator.faults import Faults
from amove_emulator.identity import Identities
from amove_emulator.journal import Journal
from amove_emulator.keys import Key, Keys
from amove_emulator.settings import Behaviour, World


class State:
    """``secrets`` holds every secret key ever issued, over all resets.

    ``generation`` counts the resets: a call that began before one must not touch what is new.
    """

    def __init__(self, world: World, behaviour: Behaviour, backing: Backing, s3_url: str) -> None:
        self._world = world
        self._behaviour = behaviour
        self._backing = backing
        self._s3_url = s3_url
        self.s3_host = s3_url.partition("://")[2]
        self.secrets: list[str] = []
        self._former_credentials: list[str] = []
        self.journal = Journal()
        self.faults = Faults()
        self.generation = 0
        self._build()

    def _build(self) -> None:
        world = copy.deepcopy(self._world)
        self.behaviour = self._behaviour.model_copy()
        self.identities = Identities(world, self.behaviour)
        self.accounts = Accounts(world, self._backing, self._s3_url)
        self.buckets = Buckets(self.accounts, self.behaviour)
        self.keys = Keys(self.accounts, self.behaviour, self.journal)

    def reset(self) -> None:
        """Back to the start: no buckets, keys, faults or journal; moto's state goes too."""
        self._former_credentials += self.identities.issued
        self.faults.clear()
        self.journal.clear()
        self._backing.wipe()
        self.generation += 1
        self._build()

    def credentials(self) -> dict[str, list[str]]:
        """Everything that must never show up in a log: secret keys, and tokens and passwords."""
        others = [*self._former_credentials, *self.identities.issued]
        return {"secretKeys": list(self.secrets), "others": list(dict.fromkeys(others))}

    def shown(self) -> dict[str, Any]:
        return {
            "buckets": [_shown_bucket(bucket) for bucket in self.buckets.all.values()],
            "keys": [_shown_key(key) for key in self.keys.all.values()],
            "accounts": [asdict(account) for account in self.accounts.by_id.values()],
            "users": [
                {"id": user.id, "email": user.email} for user in self.identities.users.values()
            ],
        }


def _shown_bucket(bucket: Bucket) -> dict[str, Any]:
    flags: dict[str, Any] = {str(flag): on for flag, on in bucket.status().items()}
    return {
        "name": bucket.name,
        "cloudAccountId": bucket.account.id,
        **flags,
        "objects": bucket.tier.object_count(bucket.name),
        "hidden": bucket.hidden,
        "stuck": sorted(bucket.stuck),
    }


def _shown_key(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "accessKey": key.access_key,
        "user": key.user.email,
        "userId": key.user.id,
        "tier": key.account.tier,
        "cloudAccountId": key.account.id,
        "region": key.region,
        "storageDn": key.storage_dn,
        "permission": key.permission,
        "allBuckets": key.buckets is None,
        "buckets": list(key.buckets or ()),
        "listed": key.listed,
        "live": key.identity is not None,
    }
