"""Where the bearer token comes from: a file that may be replaced at any time, or a login."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from amove_operator.amove.login import Exchange, LoginSession
from amove_operator.amove.login_files import LoginFiles
from amove_operator.clock import Clock
from amove_operator.errors import AuthFailed, SettingsError
from amove_operator.settings import Settings
from amove_operator.telemetry import register_secret

_log = logging.getLogger(__name__)
_LONGEST_TOKEN = 16 * 1024
_VISIBLE_ASCII = re.compile(rb"[\x21-\x7e]+")


def why_unusable(content: bytes) -> str | None:
    """Why a file's ``content`` is no token, without showing it; None where it is one.

    White space around a token is forgiven.
    """
    token = content.strip()
    if len(content) > _LONGEST_TOKEN:
        return f"is larger than {_LONGEST_TOKEN} bytes: put only the API token in it"
    if not token:
        return "is empty: put the API token in it"
    if any(byte > 0x7E for byte in token):
        return "holds characters that no token has: write plain ASCII, no BOM"
    if not _VISIBLE_ASCII.fullmatch(token):
        return "holds white space or line breaks within: write one token, without the word Bearer"
    return None


def token_expiry(token: SecretStr) -> datetime | None:
    """The ``exp`` claim of a JWT, read without verifying it; None where there is none.

    Good for a gauge and an early warning only (docs/amove-api.md, "Tokens").
    """
    parts = token.get_secret_value().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        exp = claims.get("exp") if isinstance(claims, dict) else None
        if isinstance(exp, bool) or not isinstance(exp, int | float):
            return None
        return datetime.fromtimestamp(exp, tz=UTC)
    except (binascii.Error, ValueError, OverflowError, OSError, RecursionError):
        return None


class Credentials(Protocol):
    """A source of bearers, shared by all calls of the process."""

    def check(self) -> None:
        """Read what a person gave. Raises SettingsError where that cannot be used."""

    async def bearer(self) -> SecretStr:
        """What to send now. Raises ApiError."""

    async def refused(self, bearer: SecretStr) -> bool:
        """The service refused it: whether there is another to try."""

    def replaced_since(self, bearer: SecretStr | None) -> bool:
        """Whether a person has given others since ``bearer`` was sent."""

    def expires_at(self) -> datetime | None:
        """When a person must have replaced it; None where that is not known, or never."""


class TokenFile:
    """The API token of a mounted Secret.

    Each token is registered for redaction when it is read: a server or a library may echo it.
    Kubernetes replaces such a file by swapping a symbolic link, so a change shows as another
    inode or time of the file behind it. A replacement that cannot be used is reported and the
    token at hand goes on being sent: whether it still serves is for the service to say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token: SecretStr | None = None
        self._seen: tuple[int, ...] | None = None
        self._fault: str | None = None

    def check(self) -> None:
        """Read the file. Raises SettingsError where it gives no token."""
        self._read_if_changed()
        if self._token is None or self._fault is not None:
            raise SettingsError(f"AMOVE_TOKEN_FILE: {self._fault}")

    async def bearer(self) -> SecretStr:
        """The token now in the file, else the last good one; AuthFailed where there was none."""
        self._read_if_changed()
        if self._token is None:
            raise AuthFailed(f"AMOVE_TOKEN_FILE: {self._fault}")
        return self._token

    async def refused(self, bearer: SecretStr) -> bool:
        """The service refused ``bearer``: whether the file, read again, holds another token now."""
        self._seen = None
        return self.replaced_since(bearer)

    def replaced_since(self, bearer: SecretStr | None) -> bool:
        """Whether the file holds another token than ``bearer`` (None: there was none)."""
        self._read_if_changed()
        return self._token is not None and self._token != bearer

    def expires_at(self) -> datetime | None:
        """The ``exp`` of the token at hand; None for one without, or for no token."""
        return None if self._token is None else token_expiry(self._token)

    def _read_if_changed(self) -> None:
        try:
            # The signature is taken before the read: a swap in between is then seen next time.
            found = os.stat(self._path)  # noqa: PTH116
            signature = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if signature == self._seen:
                return
            self._seen = None
            with self._path.open("rb") as file:
                content = file.read(_LONGEST_TOKEN + 1)
        except OSError as error:
            self._report(f"{self._path} cannot be read: {error.strerror or type(error).__name__}")
        else:
            self._use(content)
            self._seen = signature

    def _use(self, content: bytes) -> None:
        if why := why_unusable(content):
            self._report(f"{self._path} {why}")
            return
        token = SecretStr(content.strip().decode("ascii"))
        register_secret(token.get_secret_value(), lasting=True)
        if self._token is not None and token != self._token:
            _log.info("the token file %s was replaced; using the new token", self._path)
        self._token, self._fault = token, None

    def _report(self, fault: str) -> None:
        if fault != self._fault and self._token is not None:
            _log.warning("%s; going on with the token read before", fault)
        self._fault = fault


def check_credentials(settings: Settings) -> None:
    """Read the files that the settings name. Raises SettingsError where they cannot be used."""
    if settings.token_file is not None:
        TokenFile(settings.token_file).check()
    else:
        login_files(settings).check()


def credentials_for(settings: Settings, exchange: Exchange, clock: Clock) -> Credentials:
    """The source that the settings name; ``exchange`` makes the calls of a login."""
    if settings.token_file is not None:
        return TokenFile(settings.token_file)
    role = settings.login_type
    assert role is not None  # noqa: S101 - Settings demands it
    return LoginSession(login_files(settings), role, exchange, clock)


def login_files(settings: Settings) -> LoginFiles:
    """The files of user name and password."""
    username, password = settings.username_file, settings.password_file
    assert username is not None and password is not None  # noqa: S101, PT018 - Settings demands both
    return LoginFiles(username, password)
