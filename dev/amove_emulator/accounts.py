"""The cloud accounts of the tenants, and which of them a call may use."""

from __future__ import annotations

from typing import Any

from amove_emulator.answers import RefusalError
from amove_emulator.backing import Backing, Tier
from amove_emulator.settings import OWN_S3, CloudAccount, User, World


class Accounts:
    """Cloud accounts by id. ``s3_url`` is what ``OWN_S3`` stands for."""

    def __init__(self, world: World, backing: Backing, s3_url: str) -> None:
        self.by_id = {account.id: account for account in world.accounts}
        self._backing = backing
        self._s3_url = s3_url

    def tier(self, account: CloudAccount) -> Tier:
        """The backing tier: accounts of one tenant and tier share it, buckets and all."""
        return self._backing.tier(account.tenant, account.tier)

    def usable(self, account_id: str, user: User) -> CloudAccount:
        """An internal-storage account of the user's tenant, active or not. Raises RefusalError."""
        account = self.by_id.get(account_id)
        if account is None or account.tenant != user.tenant:
            raise RefusalError("ACCESS", "The cloud account is not one of the caller's.")
        if not account.internal:
            raise RefusalError("ACCESS", "The cloud account is not an internal-storage account.")
        return account

    def active(self, account_id: str, user: User) -> CloudAccount:
        """The same, and active, as create_bucket demands. Raises RefusalError."""
        account = self.usable(account_id, user)
        if not account.active:
            raise RefusalError("ACCESS", "The cloud account is not active.")
        return account

    def shown_to(self, user: User) -> list[dict[str, Any]]:
        return [self._shown(a, user) for a in self.by_id.values() if a.tenant == user.tenant]

    def service_url(self, account: CloudAccount) -> str | None:
        return self._s3_url if account.service_url == OWN_S3 else account.service_url

    def _shown(self, account: CloudAccount, user: User) -> dict[str, Any]:
        return {
            "id": account.id,
            "accountId": account.tenant,
            "userId": user.id,
            "cloudType": 19 if account.internal else 1,
            "name": account.name,
            "serviceUrl": self.service_url(account),
            "active": account.active,
            "shared": False,
            "internalStorage": account.internal,
            "storageTier": account.tier,
        }
