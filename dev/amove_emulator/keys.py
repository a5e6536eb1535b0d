"""Storage keys: Amove's record and the identity on the backing storage, which may part ways."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any, Final

from amove_emulator.accounts import Accounts
from amove_emulator.answers import RefusalError, dotnet_date
from amove_emulator.backing import Identity
from amove_emulator.inputs import CreateStorageKey, Page
from amove_emulator.journal import Journal
from amove_emulator.settings import Behaviour, CloudAccount, User

_GRANTS: Final = {0: "Read", 1: "Write", 2: "Read and write"}


@dataclass(slots=True)
class Key:
    """``identity`` None: no longer (or never) live on the backing storage.

    The list shows it from ``shown_from`` until ``shown_until`` (monotonic seconds).
    """

    id: str
    user: User
    account: CloudAccount
    name: str
    region: str
    storage_dn: str
    permission: int
    buckets: tuple[str, ...] | None  # None: all
    access_key: str
    identity: Identity | None
    created: int
    order: int
    shown_from: float
    shown_until: float = inf

    @property
    def listed(self) -> bool:
        """Whether there is a record of it."""
        return self.shown_until == inf

    @property
    def description(self) -> str:
        scope = "all" if self.buckets is None else "selected"
        return f"{_GRANTS[self.permission]} access on {scope} buckets"


class Keys:
    def __init__(self, accounts: Accounts, behaviour: Behaviour, journal: Journal) -> None:
        self._accounts = accounts
        self._behaviour = behaviour
        self._journal = journal
        self._order = count()
        self._last_created = 0
        self.all: dict[str, Key] = {}

    def create(
        self, user: User, call: CreateStorageKey, half: str | None = None
    ) -> tuple[Key, str]:
        """A new key and its secret. ``half`` "backing_only": live, but in no list;
        "record_only": in the list, but dead. Raises RefusalError."""
        account = self._accounts.usable(call.cloudAccountId, user)
        key_id = str(uuid.uuid4())
        buckets = None if call.allBuckets else tuple(sorted(set(call.selectedBuckets)))
        identity = self._new_identity(user, account, key_id, call.permission, buckets)
        key = Key(
            id=key_id,
            user=user,
            account=account,
            name=call.name,
            region=call.region,
            storage_dn=call.storageDn,
            permission=call.permission,
            buckets=buckets,
            access_key=identity.access_key,
            identity=identity,
            created=self._now(),
            order=next(self._order),
            shown_from=time.monotonic() + self._behaviour.listing_lag,
            shown_until=-inf if half == "backing_only" else inf,
        )
        self.all[key_id] = key
        self._tell("created", key)
        if half == "record_only":
            self.revoke_backing(key)
        return key, identity.secret_key

    def delete(self, user: User, key_id: str, half: str | None = None) -> None:
        """``half`` "record_only": the record goes, the key stays alive; "backing_only": the key
        dies, the record stays. Raises RefusalError."""
        key = self.all.get(key_id)
        if key is None or not key.listed:
            if self._behaviour.delete_missing_key == "ok":
                return
            raise RefusalError("NOT_FOUND", "Object not found.")
        if key.user.id != user.id:
            raise RefusalError("ACCESS", "The storage key belongs to another user.")
        if half != "record_only":
            self.revoke_backing(key)
        if half != "backing_only":
            self.remove_record(key)

    def revoke_backing(self, key: Key) -> None:
        if key.identity is not None:
            self._accounts.tier(key.account).revoke_identity(key.identity)
            key.identity = None
            self._tell("revoked", key)

    def remove_record(self, key: Key) -> None:
        if key.listed:
            key.shown_until = time.monotonic()

    def listed(self, user: User, page: Page, seconds_ago: float = 0.0) -> list[Key]:
        """All keys that this user might see then, in the order that ``page`` asks for."""
        then = time.monotonic() - seconds_ago
        shown = [
            key
            for key in self.all.values()
            if key.user.id == user.id and key.shown_from <= then < key.shown_until
        ]
        by_name = page.sortfield.lower() == "name"
        shown.sort(
            key=lambda key: (key.name if by_name else "", key.created, key.order),
            reverse=page.descending,
        )
        return shown

    def shown(self, key: Key) -> dict[str, Any]:
        """A StorageApiKey as the list has it: no secret, no permission, no buckets."""
        return {
            "id": key.id,
            "userId": key.user.id,
            "accountId": key.user.tenant,
            "name": key.name,
            "accessKey": key.access_key,
            "description": key.description,
            "region": key.region,
            "storageDn": key.storage_dn,
            "storageTier": key.account.tier,
            "createDate": dotnet_date(key.created, self._behaviour.dates),
        }

    def shown_once(self, key: Key, secret: str) -> dict[str, Any]:
        """The answer to create_storage_key."""
        answer = {**self.shown(key), "secretKey": secret}
        if not self._behaviour.storage_tier_in_create:
            del answer["storageTier"]
        return answer

    def _new_identity(
        self,
        user: User,
        account: CloudAccount,
        key_id: str,
        permission: int,
        buckets: Sequence[str] | None,
    ) -> Identity:
        # "user+Tier2@…" as the real service derives it; moto's users hold two keys at most, so
        # each storage key gets a user of its own.
        mailbox, _, domain = user.email.partition("@")
        user_name = f"{mailbox}+Tier{account.tier}@{domain}/{key_id}"
        return self._accounts.tier(account).create_identity(user_name, permission, buckets)

    def _now(self) -> int:
        # .NET dates have steps of 100 ns; two keys of one step would make the order ambiguous.
        self._last_created = max(self._last_created + 100, time.time_ns() // 100 * 100)
        return self._last_created

    def _tell(self, event: str, key: Key) -> None:
        self._journal.key_event(
            event,
            key_id=key.id,
            access_key=key.access_key,
            name=key.name,
            user=key.user.email,
            tier=key.account.tier,
        )


def page_of(keys: Sequence[Any], page: Page) -> list[Any]:
    start = (page.page - 1) * page.pagesize
    return list(keys[start : start + page.pagesize])
