"""The operator's settings: environment variables, or command-line flags of the same names.

Each has a row in docs/settings.md, which a test holds to this file. Every fault ends in one
:class:`SettingsError` whose text names the variable and says what to write.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from amove_operator.errors import SettingsError
from amove_operator.models.shared import (
    HOST_PATTERN,
    REGION_PATTERN,
    UUID_PATTERN,
    parse_duration,
)

PREFIX = "AMOVE_"
_NOT_OURS = "AMOVE_DEV_"
"""The development tools' own variables."""
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_LEASE_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACE_GLOB = r"^[a-z0-9*?\[\]!-]{1,63}$"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _boolean(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("write true or false")
        return value == "true"
    return value


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} is not a URL: {error}") from error
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError(f"{value!r} is not a URL such as https://api.amove.io")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("write only scheme, host and port: no user, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("plain http would show the token to the network: write https://…")
    return value.rstrip("/")


DurationSetting = Annotated[timedelta, BeforeValidator(_duration)]
BooleanSetting = Annotated[bool, BeforeValidator(_boolean)]
UrlSetting = Annotated[str, BeforeValidator(_base_url)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """Everything that can be set. Durations are timedeltas, rates are calls per second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: UrlSetting = "https://api.amove.io"
    auth_url: UrlSetting = "https://auth.amove.io"
    token_file: Path | None = None
    username_file: Path | None = None
    password_file: Path | None = None
    login_type: Literal[1, 2, 4, 8, 16, 32, 64] | None = None
    cloud_account_id: Annotated[str, Field(pattern=UUID_PATTERN)] | None = None
    storage_dn: Annotated[str, Field(pattern=HOST_PATTERN)] | None = None
    region: Annotated[str, Field(pattern=REGION_PATTERN)] = "us-east-1"
    watch_namespaces: Annotated[
        tuple[Annotated[str, Field(pattern=_NAMESPACE)], ...], BeforeValidator(_split)
    ] = ()
    trusted_namespaces: Annotated[
        tuple[Annotated[str, Field(pattern=_NAMESPACE_GLOB)], ...], BeforeValidator(_split)
    ] = ()
    resync_interval: Annotated[DurationSetting, Field(ge=timedelta(seconds=1))] = timedelta(
        minutes=10
    )
    rate_limit: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 10.0
    concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    mint_budget: Annotated[int, Field(ge=1, le=20)] = 3
    min_rotation_interval: DurationSetting = timedelta(hours=1)
    max_grace: DurationSetting = timedelta(hours=168)
    listing_settle: DurationSetting = timedelta(seconds=30)
    leader_election: BooleanSetting = True
    lease_namespace: Annotated[str, Field(pattern=_NAMESPACE)] | None = None
    lease_name: Annotated[str, Field(pattern=_LEASE_NAME)] = "amove-operator"
    require_fence: BooleanSetting = True
    metrics_port: Port = 9090
    health_port: Port = 8080
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Settings:
        login = (self.username_file, self.password_file, self.login_type)
        if self.token_file is not None and any(part is not None for part in login):
            raise ValueError(
                "set either AMOVE_TOKEN_FILE or the three of AMOVE_USERNAME_FILE, "
                "AMOVE_PASSWORD_FILE and AMOVE_LOGIN_TYPE, not both"
            )
        if self.token_file is None and any(part is None for part in login):
            raise ValueError(
                "set AMOVE_TOKEN_FILE to the path of a file that holds the API token "
                "(or AMOVE_USERNAME_FILE, AMOVE_PASSWORD_FILE and AMOVE_LOGIN_TYPE)"
            )
        return self

    def trusts(self, namespace: str) -> bool:
        """Whether ``namespace`` matches AMOVE_TRUSTED_NAMESPACES."""
        return any(fnmatchcase(namespace, glob) for glob in self.trusted_namespaces)


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field.upper()


def load_settings(
    environment: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings; a flag wins over its variable, an empty variable counts as unset.

    ``flags`` maps field names to texts. Raises SettingsError naming the variable at fault.
    """
    given = dict(flags or {})
    for field in Settings.model_fields:
        text = environment.get(variable(field), "").strip()
        if text and field not in given:
            given[field] = text
    if isinstance(level := given.get("log_level"), str):
        given["log_level"] = level.upper()
    if "login_type" in given and given["login_type"].isdigit():
        return _validated({**given, "login_type": int(given["login_type"])})
    return _validated(given)


def _validated(given: Mapping[str, object]) -> Settings:
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_fault(item["loc"], item["msg"]) for item in error.errors())
        ) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{variable(str(location[0]))}: {text}" if location else text


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """AMOVE_ variables that no setting reads: most likely misspelt."""
    known = {variable(field) for field in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and not name.startswith(_NOT_OURS) and name not in known
    )


def logging_level(settings: Settings) -> int:
    """The ``logging`` level of the setting."""
    return logging.getLevelNamesMapping()[settings.log_level]
