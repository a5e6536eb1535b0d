"""The side of the Amove API: reads only, and none after the credentials were refused."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from amove_operator.amove import AmoveClient, calls
from amove_operator.commands.doctor.report import Finding, fail, ok, skipped, warn
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    IncompleteListing,
    SettingsError,
    Unavailable,
)
from amove_operator.settings import Settings

_SOON = timedelta(days=14)
_CHECKS = ("service", "credentials", "account", "key list", "api user")


async def check_service(settings: Settings, recorded: frozenset[str]) -> list[Finding]:
    """All checks, in order. ``recorded``: the API users that status names as issuers of keys."""
    async with aclosing(AmoveClient(settings)) as api:
        try:
            api.credentials.check()
        except SettingsError as error:
            found = fail("credentials", str(error), "mend the file, or the Secret it comes from")
            others = (skipped(name, "no credentials") for name in _CHECKS if name != found.check)
            return [found, *others]
        first = await _reach(settings, api)
        if any(one.remedy for one in first):
            left = _CHECKS[len(first) :]
            return [*first, *(skipped(name, "the service cannot be asked") for name in left)]
        return [
            *first,
            _credentials(settings, api),
            await _account(settings, api),
            *await _keys(api, recorded),
        ]


async def _reach(settings: Settings, api: AmoveClient) -> list[Finding]:
    """One call, which shows whether the service answers, and whether it knows us."""
    answers = ok("service", f"{settings.api_url} answers")
    try:
        await api.probe()
    except AuthFailed as error:
        remedy = (
            "put the right credentials into the Secret (see 'settings' for where they come from); "
            "the operator reads it again by itself"
        )
        return [answers, fail("credentials", str(error), remedy)]
    except Unavailable as error:
        host, variable = _asked(settings, error)
        remedy = (
            f"see that {variable} is right, that this Pod may reach it (NetworkPolicy, "
            "https_proxy), and for a private authority set SSL_CERT_FILE"
        )
        return [fail("service", f"{host} cannot be used: {error}", remedy)]
    except ApiError as error:
        return [fail("service", f"{settings.api_url}: {error}", "see what the service says")]
    return [answers]


def _asked(settings: Settings, error: ApiError) -> tuple[str, str]:
    """The host that gave no answer, and its setting: a login goes to one of its own."""
    if str(error).partition(":")[0] in (calls.REQUEST_TOKEN.name, calls.LOGIN.name):
        return settings.auth_url, "AMOVE_AUTH_URL"
    return settings.api_url, "AMOVE_API_URL"


def _credentials(settings: Settings, api: AmoveClient) -> Finding:
    kind = "the token" if settings.token_file is not None else "the session"
    expiry = api.credentials.expires_at()
    if expiry is None:
        return ok("credentials", f"{kind} is accepted; when it expires is not to be seen")
    found = f"{kind} is accepted, and expires at {expiry:%Y-%m-%d %H:%M} UTC"
    if settings.token_file is not None and expiry - datetime.now(UTC) < _SOON:
        return warn("credentials", found, "make a new token, and put it into the Secret")
    return ok("credentials", found)


async def _account(settings: Settings, api: AmoveClient) -> Finding:
    accounts = CloudAccounts(settings, api)
    await accounts.load()
    account = accounts.default_account
    if account is None:
        found = str(accounts.failure) if accounts.failure else accounts.unknown()
        return fail("account", found.rstrip("."), "set AMOVE_CLOUD_ACCOUNT_ID")
    if (problem := accounts.problem(account)) is not None:
        return fail("account", problem.rstrip("."), "set AMOVE_CLOUD_ACCOUNT_ID to another one")
    if (host := accounts.storage_dn(account)) is None:
        return fail("account", f"{account} has no S3 host that is known", "set AMOVE_STORAGE_DN")
    return ok("account", f"{account}, S3 at {accounts.endpoint(account, host)}")


async def _keys(api: AmoveClient, recorded: frozenset[str]) -> list[Finding]:
    try:
        keys = await api.get_storage_keys()
    except IncompleteListing as error:
        remedy = "try again; if it stays so, tell Amove: without a whole list no key is revoked"
        return [fail("key list", str(error), remedy), skipped("api user", "no list of keys")]
    except ApiError as error:
        failed = fail("key list", str(error), "try again")
        return [failed, skipped("api user", "no list of keys")]
    complete = ok("key list", f"complete: {len(keys)} keys")
    return [complete, _user({key.user_id for key in keys if key.user_id}, recorded)]


def _user(listed: set[str], recorded: frozenset[str]) -> Finding:
    """Whose the credentials are: no call says so, but the list shows the caller's keys only."""
    whose = ", ".join(sorted(listed))
    others = sorted(recorded - listed)
    if others and listed:
        found = f"the keys of {whose} are listed, while status names keys of {', '.join(others)}"
        remedy = "use that user's credentials again, or see 'ApiUserChanged' in docs/conditions.md"
        return fail("api user", found, remedy)
    if others:
        found = f"no key is listed, while status names keys of {', '.join(others)}"
        return fail("api user", found, "use that user's credentials again")
    return ok("api user", whose or "not known before the first key")
