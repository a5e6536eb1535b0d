"""The operator's settings: environment variables, or command-line flags of the same names.

Each has a row in docs/settings.md, which a test holds to this file. Every fault ends in one
:class:`SettingsError` whose text names the variable and says what to write.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from amove_operator.errors import SettingsError
from amove_operator.models import shared

PREFIX = "AMOVE_"
_NOT_OURS = "AMOVE_DEV_"
"""The development tools' own variables."""
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_LEASE_NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_NAMESPACE_GLOB = r"^[a-z0-9*?\[\]!-]{1,63}$"


def _from_text(parse: Callable[[str], object]) -> BeforeValidator:
    """Parses what a variable or a flag says; a value of the setting's own type stays as it is."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(value: str) -> str:
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


def _number(text: str) -> object:
    return int(text) if text.isdecimal() else text


DurationSetting = Annotated[timedelta, _from_text(shared.parse_duration)]
BooleanSetting = Annotated[bool, _from_text(_boolean)]
UrlSetting = Annotated[str, _from_text(_base_url)]
LoginType = Annotated[Literal[1, 2, 4, 8, 16, 32, 64], _from_text(_number)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _from_text(str.upper)]
Port = Annotated[int, Field(ge=0, le=65535)]
Namespace = Annotated[str, Field(pattern=_NAMESPACE)]
NamespaceGlob = Annotated[str, Field(pattern=_NAMESPACE_GLOB)]
Interval = Annotated[DurationSetting, Field(ge=timedelta(seconds=1))]


class Settings(BaseModel):
    """Everything that can be set. Durations are timedeltas, rates are calls per second.

    The text below a field is its description: ``amove-operator run --help`` shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    api_url: UrlSetting = "https://api.amove.io"
    """Where the API is. Plain http only to this machine itself."""
    auth_url: UrlSetting = "https://auth.amove.io"
    """Where the login is; used with a user name only."""
    token_file: Path | None = None
    """Path of a file with the API token. Read again when it changes, and after a refusal."""
    username_file: Path | None = None
    """Path of a file with the user name. Read again when it changes, as the password is."""
    password_file: Path | None = None
    """Path of a file with the password: one line, whose line break is no part of it."""
    login_type: LoginType | None = None
    """The user's role as a number: 1 ProviderAdmin, 2 ResellerAdmin, 4 AccountAdmin,
    8 AccountUser, 16 DesktopAdmin, 32 DesktopCreativeUser, 64 DesktopStandardUser."""
    cloud_account_id: Annotated[str, Field(pattern=shared.UUID_PATTERN)] | None = None
    """Cloud account of a spec that names none, a UUID in lower case. Not set: the one active
    internal-storage account that the credentials see."""
    storage_dn: Annotated[str, Field(pattern=shared.HOST_PATTERN)] | None = None
    """Host of the S3 endpoint. Not set: the host of the account's service URL."""
    region: Annotated[str, Field(pattern=shared.REGION_PATTERN)] = "us-east-1"
    """Region of keys whose spec names none."""
    watch_namespaces: Annotated[tuple[Namespace, ...], _from_text(_split)] = ()
    """Serve these namespaces only, separated by commas. Not set: all."""
    trusted_namespaces: Annotated[tuple[NamespaceGlob, ...], _from_text(_split)] = ()
    """Globs, separated by commas, of the namespaces that may use bucketNames, allBuckets,
    adoption, observing, public: true, Retain for keys, and another account, region or endpoint
    than these settings. Not set: none."""
    resync_interval: Interval = timedelta(minutes=10)
    """How often every object is compared with the API; at least 1s. Longer where it would take
    more than half of the rate limit."""
    rate_limit: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 10.0
    """API calls per second; twice as many in a burst."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """API calls at a time, 1 to 256."""
    mint_budget: Annotated[int, Field(ge=1, le=20)] = 3
    """Keys that one object may have issued in quick succession, 1 to 20."""
    min_rotation_interval: DurationSetting = timedelta(hours=1)
    """The shortest rotation.interval allowed."""
    max_grace: DurationSetting = timedelta(hours=168)
    """The longest rotation.gracePeriod allowed."""
    listing_settle: DurationSetting = timedelta(seconds=30)
    """How long a new or revoked key may take to show in the API's list."""
    leader_election: BooleanSetting = True
    """Take a Lease before doing anything. With false there must be one replica."""
    lease_namespace: Namespace | None = None
    """Namespace of the Lease. Not set: the operator's own."""
    lease_name: Annotated[str, Field(pattern=_LEASE_NAME)] = "amove-operator"
    """Name of the Lease; two releases must differ in it or in the namespace."""
    require_fence: BooleanSetting = True
    """Lead only while the admission policy amove-fence stands."""
    metrics_port: Port = 9090
    """Port of /metrics; 0: none."""
    health_port: Port = 8080
    """Port of /healthz and /readyz; 0: none. May be the same as that of the metrics."""
    log_format: Literal["json", "console"] = "json"
    """json or console."""
    log_level: LogLevel = "INFO"
    """DEBUG, INFO, WARNING or ERROR. Credentials are blotted out at every level."""

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


def is_namespace(name: str) -> bool:
    """Whether a namespace can have that name."""
    return re.fullmatch(_NAMESPACE, name) is not None


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field.upper()


def shown_default(field: str) -> str:
    """The default of a settings field as its variable would say it, such as 10m."""
    return shown_value(Settings.model_fields[field].default)


def shown_value(value: object) -> str:
    """A setting's value as its variable would say it: 10m, true, a list with commas."""
    if isinstance(value, timedelta):
        return shared.show_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) or "not set"
    return f"{value:g}" if isinstance(value, float) else str(value or "not set")


def load_settings(
    environment: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings; a flag wins over its variable, an empty variable counts as unset.

    ``flags`` maps field names to texts. Raises SettingsError naming the variable at fault.
    """
    texts = {field: environment.get(variable(field), "").strip() for field in Settings.model_fields}
    given = {field: text for field, text in texts.items() if text}
    try:
        return Settings.model_validate({**given, **(flags or {})})
    except ValidationError as error:
        faults = "; ".join(_fault(item["loc"], item["msg"]) for item in error.errors())
        raise SettingsError(faults) from None


def _fault(location: tuple[int | str, ...], message: str) -> str:
    """What is wrong with a setting; where pydantic says it, also what the setting means."""
    text = message.removeprefix("Value error, ")
    if not location:
        return text
    name = str(location[0])
    meaning = " ".join((Settings.model_fields[name].description or "").split()).rstrip(".")
    said = text if text != message else f"{text}; {meaning} (default: {shown_default(name)})"
    return f"{variable(name)}: {said}"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """AMOVE_ variables that no setting reads: most likely misspelt."""
    known = {variable(field) for field in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and not name.startswith(_NOT_OURS) and name not in known
    )
