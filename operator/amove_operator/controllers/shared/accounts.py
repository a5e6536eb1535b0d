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
from amove_operator.errors import ApiError, NotLeading, Rejected, Unavailable
from amove_operator.models import spelling_of
from amove_operator.settings import Settings

_log = logging.getLogger(__name__)
_LONGEST_HOST = 253


class CloudAccounts:
    """The caller's cloud accounts, read once and again when somebody needs them fresh.

    Nobody waits for them but who needs what only they say. ``loaded``: they were read;
    ``needed``: the settings leave out the account or its host. Where both are set, all that the
    accounts still tell is a service URL with ``http://``.
    """

    def __init__(self, settings: Settings, api: AmoveClient) -> None:
        self._settings = settings
        self._api = api
        self._accounts: dict[str, CloudAccount] = {}
        self.needed = None in (settings.cloud_account_id, settings.storage_dn)
        self.loaded = False
        self.failure: ApiError | None = None

    async def load(self) -> bool:
        """Read the accounts; whether anything is known now that was not. A failure is logged.

        What was read once is kept while it cannot be read again.
        """
        before = (self.loaded, str(self.failure), self._accounts)
        try:
            self._accounts = {account.id: account for account in await self._api.cloud_accounts()}
            self.loaded, self.failure = True, None
        except NotLeading:
            return False  # the Lease is late for a moment: whoever asks comes again
        except ApiError as failure:
            self.failure = failure
            # A service that does not have the call can still be used, by what the settings say.
            self.loaded = self.loaded or (not self.needed and _has_no_such_call(failure))
            if before[1] != str(failure):
                _log.warning("the cloud accounts cannot be read: %s", failure)
        if before[2] != self._accounts:
            found = self.defaults()
            _log.info("default cloud account %s, S3 host %s", found.account, found.storage_dn)
        return before != (self.loaded, str(self.failure), self._accounts)

    def spelt(self, account: str) -> str:
        """An account's id as the service spells it, for calls."""
        known = self._accounts.get(account)
        return spelling_of(known.id) if known is not None else account

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

        Until the accounts are read, whatever the spec names counts as a default that is not known:
        :meth:`is_unjudged` says so.
        """
        found = self.defaults()
        if self.loaded:
            return found
        return Defaults(found.account or account, found.storage_dn or storage_dn, found.region)

    def is_unjudged(self, account: str | None, storage_dn: str | None) -> bool:
        """Whether only the accounts can tell if what a spec names is the default, or another's."""
        found = self.defaults()
        named = (account, found.account), (storage_dn, found.storage_dn)
        return not self.loaded and any(asked and known is None for asked, known in named)

    def storage_dn(self, account: str) -> str | None:
        """The storage host of an account: the setting for the default one, else its serviceUrl."""
        if self._settings.storage_dn is not None and account == self.default_account:
            return self._settings.storage_dn
        parts = self._service_url(account)
        if parts is not None:
            return parts[1]
        return self._settings.storage_dn if self.loaded else None

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
        """Why what only the accounts can tell is not known: they could not be read yet."""
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
