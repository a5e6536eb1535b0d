"""Which cloud account and endpoint to use where a spec does not say.

The settings are asked first, then the service (docs/amove-api.md, "The account calls").
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from amove_operator.amove import AmoveClient, CloudAccount
from amove_operator.controllers.shared.status_writer import failed
from amove_operator.core.conditions import Conclusion, unsynced
from amove_operator.core.policy import Defaults
from amove_operator.core.reasons import Reason
from amove_operator.errors import ApiError, Rejected, Unavailable
from amove_operator.settings import Settings

_log = logging.getLogger(__name__)
_LONGEST_HOST = 253


class CloudAccounts:
    """The caller's cloud accounts, read once and again when somebody needs them fresh."""

    def __init__(self, settings: Settings, api: AmoveClient) -> None:
        self._settings = settings
        self._api = api
        self._accounts: dict[str, CloudAccount] = {}
        self.loaded = False
        self.failure: ApiError | None = None

    async def load(self) -> None:
        """Read the accounts. Raises ApiError, except where one can go on without an answer.

        ``cloudaccount/get_all`` is a helper outside the seven storage calls: a service that
        refuses it, or does not have it, can still be used when account and storage host are
        set; and what was read once is kept while it cannot be read again.
        """
        try:
            found = await self._api.cloud_accounts()
        except ApiError as failure:
            if self.loaded:
                _log.warning("the cloud accounts cannot be read again: %s", failure)
                return
            self.failure = failure
            needed = (self._settings.cloud_account_id, self._settings.storage_dn)
            if None in needed or not _has_no_such_call(failure):
                raise
            _log.warning("the cloud accounts cannot be read: %s", failure)
            found = ()
        self._accounts = {account.id.lower(): account for account in found}
        self.loaded, self.failure = True, None

    @property
    def default_account(self) -> str | None:
        """The setting, or the one active internal-storage account."""
        if self._settings.cloud_account_id is not None:
            return self._settings.cloud_account_id
        usable = [key for key, account in self._accounts.items() if _usable(account)]
        return usable[0] if len(usable) == 1 else None

    def defaults(self) -> Defaults:
        """What a spec may leave out."""
        account = self.default_account
        storage_dn = self.storage_dn(account) if account else self._settings.storage_dn
        return Defaults(account, storage_dn, self._settings.region)

    def judging_defaults(self, account: str | None, storage_dn: str | None) -> Defaults:
        """The defaults to judge a spec by.

        Until the accounts are read, whatever the spec names counts as the default.
        """
        found = self.defaults()
        if self.loaded:
            return found
        return Defaults(found.account or account, found.storage_dn or storage_dn, found.region)

    def storage_dn(self, account: str) -> str | None:
        """The storage host of an account: the setting for the default one, else its serviceUrl."""
        if self._settings.storage_dn is not None and account == self.default_account:
            return self._settings.storage_dn
        parts = self._service_url(account)
        return parts[1] if parts is not None else self._settings.storage_dn

    def endpoint(self, account: str, storage_dn: str) -> str:
        """``https://<storageDn>``, unless serviceUrl names the same host with another scheme."""
        parts = self._service_url(account)
        if parts is not None and parts[0] in ("http", "https") and parts[1] == storage_dn:
            return f"{parts[0]}://{storage_dn}"
        return f"https://{storage_dn}"

    def problem(self, account: str) -> str | None:
        """Why buckets cannot be made in a listed account; ``None`` for one that is not listed."""
        known = self._accounts.get(account)
        if known is None or _usable(known):
            return None
        what = "is not active" if known.internal_storage else "is not internal storage"
        where = " in AMOVE_CLOUD_ACCOUNT_ID" if account == self.default_account else ""
        return f"Cloud account {account} {what}: name an active internal-storage account{where}."

    def pending(self) -> Conclusion | None:
        """Why nothing new can be begun: the accounts could not be read yet."""
        if self.loaded:
            return None
        if self.failure is not None:
            return failed(self.failure)
        return unsynced(Reason.Progressing, "The cloud accounts are being read.")

    def unknown(self) -> str:
        """What to tell where no default account can be had."""
        count = sum(_usable(account) for account in self._accounts.values())
        return (
            f"There are {count} active internal-storage accounts, so none is the default: "
            "set AMOVE_CLOUD_ACCOUNT_ID, or spec.cloudAccountId."
        )

    def _service_url(self, account: str) -> tuple[str, str] | None:
        known = self._accounts.get(account)
        return _split(known.service_url) if known is not None else None


def _split(url: str | None) -> tuple[str, str] | None:
    """Scheme and host of a service URL; ``None`` where it has no host that a name can be."""
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:  # such as a bracket that is never closed
        return None
    host = parts.netloc.rpartition("@")[2].lower()
    sound = 0 < len(host) <= _LONGEST_HOST and host.isascii() and host.isprintable()
    return (parts.scheme, host) if sound and " " not in host else None


def _has_no_such_call(failure: ApiError) -> bool:
    """A refusal with the service's own code, or a plain "no such page"."""
    missing = isinstance(failure, Unavailable) and failure.status in (404, 405, 501)
    return isinstance(failure, Rejected) or missing


def _usable(account: CloudAccount) -> bool:
    return account.active and account.internal_storage
