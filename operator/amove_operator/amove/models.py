"""What goes to and comes from the Amove API, as the rest of the operator sees it.

Lenient in what is read: unknown members are ignored, and only what nothing can be done
without is required (docs/amove-api.md, "The storage calls").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import pydantic
from pydantic import BeforeValidator, Field, SecretStr, StrictBool
from pydantic.alias_generators import to_camel

from amove_operator.core.key_list import RemoteKey
from amove_operator.models import BucketFlags, Permission, canonical_id
from amove_operator.models.service_id import SpeltId
from amove_operator.models.texts import shared_text

_PERMISSION_NUMBER: Mapping[Permission, int] = {"Read": 0, "Write": 1, "ReadWrite": 2}


def parse_dotnet_date(value: object) -> datetime | None:
    """A .NET ISO-8601 date as an aware UTC datetime; None for whatever cannot be read.

    Seven fraction digits are cut to microseconds, one without a zone is read as UTC
    (:func:`carries_zone` tells), and the year 1 (.NET's default value) means "not set". A date is
    never the reason to lose an answer: a key whose date is broken is as alive as the others.
    """
    try:
        read = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if read is None:
            return None
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware if aware.year > 1 else None


def carries_zone(value: object) -> bool:
    """Whether a date says in which time zone it is: one that does not is good only for sorting."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value.strip()).tzinfo is not None
    except ValueError:
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


Identifier = Annotated[str, Field(min_length=1)]
KeyId = Annotated[SpeltId, Field(min_length=1)]
LenientText = Annotated[str, BeforeValidator(_text)]
OptionalText = Annotated[str | None, BeforeValidator(lambda value: _text(value) or None)]
OptionalId = Annotated[
    str | None, BeforeValidator(lambda value: shared_text(canonical_id(_text(value))) or None)
]
DotnetDate = Annotated[datetime | None, BeforeValidator(parse_dotnet_date)]
Zoned = Annotated[bool, BeforeValidator(carries_zone), Field(alias="createDate")]
"""Whether ``createDate`` carries a zone: a second reading of that member."""
LenientFlag = Annotated[bool, BeforeValidator(lambda value: value is True)]
LenientNumber = Annotated[
    int | None, BeforeValidator(lambda value: value if type(value) is int else None)
]

EMPTY_IF_NULL = BeforeValidator(lambda value: () if value is None else value)
"""A list that is null is an empty one; one that is missing is no answer."""


class BucketAddress(NamedTuple):
    """Where a bucket is: the account and its name there."""

    cloud_account_id: str
    bucket_name: str


class Observed(NamedTuple):
    """How a bucket was when a call was decided on: its flags (None: absent), and when (monotonic).

    A call can wait for minutes until it may be sent. One that is decided on is sent only if the
    bucket is still so then.
    """

    flags: BucketFlags | None
    at: float


class WireModel(pydantic.BaseModel):
    """Base of every body: camelCase outside; its repr and its errors show no input."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )


class NewKey(WireModel):
    """The body of ``create_storage_key``.

    Refused here already: a key for no bucket, since nobody says what that would reach.
    """

    name: Annotated[str, Field(min_length=1)]
    region: str
    storage_dn: str
    permission: Permission
    all_buckets: bool = False
    selected_buckets: tuple[str, ...] = ()
    cloud_account_id: str

    @pydantic.model_validator(mode="after")
    def _reaches_something(self) -> NewKey:
        if not self.all_buckets and not self.selected_buckets:
            raise ValueError("a key needs at least one bucket, or all_buckets")
        return self

    @pydantic.field_serializer("permission")
    def _permission_number(self, permission: Permission) -> int:
        return _PERMISSION_NUMBER[permission]


class ListedKey(WireModel):
    """A key as the list shows it: never its secret, permission or buckets."""

    id: KeyId
    name: LenientText = ""
    access_key: LenientText = ""
    user_id: OptionalId = None
    create_date: DotnetDate = None
    zoned: Zoned = False


class IssuedKey(WireModel):
    """The answer to ``create_storage_key``: the only time the secret is seen.

    Requires only the three members that matter, since a refusal here loses the secret.
    """

    id: KeyId
    access_key: Identifier
    secret_key: Annotated[SecretStr, Field(min_length=1)]
    name: OptionalText = None
    user_id: OptionalId = None
    create_date: DotnetDate = None
    zoned: Zoned = False

    def named(self, name: str) -> RemoteKey:
        """The key without its secret, under the name that was asked for."""
        date = self.create_date
        return RemoteKey(self.id, name, self.access_key, date, self.user_id, self.zoned)


class CloudAccount(WireModel):
    """A cloud account; the usable ones are active and internal storage."""

    id: KeyId
    name: LenientText = ""
    active: LenientFlag = False
    internal_storage: LenientFlag = False
    storage_tier: LenientNumber = None
    service_url: OptionalText = None


class LoginAnswer(WireModel):
    """The answer of ``login``: with challenge 0 the token is there, 1 asks for a second factor."""

    challenge: int
    jwt_token: Annotated[SecretStr, Field(min_length=1)] | None = None


class KeyPage(WireModel):
    """One page of ``get_storage_key``; ``total`` counts the keys of all pages."""

    data: Annotated[tuple[ListedKey, ...], EMPTY_IF_NULL]
    total: Annotated[int, Field(ge=0, le=1_000_000)]

    @property
    def users(self) -> frozenset[str]:
        """Whose the keys on this page are, as far as it says."""
        return frozenset(key.user_id for key in self.data if key.user_id)

    @property
    def keys(self) -> tuple[RemoteKey, ...]:
        """The keys on this page, in its order."""
        return tuple(
            RemoteKey(key.id, key.name, key.access_key, key.create_date, key.user_id, key.zoned)
            for key in self.data
        )


class StatusAnswer(WireModel):
    """The answer of ``bucket_status``: a missing flag is not "false", so all four must be there."""

    is_public: StrictBool
    encryption_enabled: StrictBool
    versioning_enabled: StrictBool
    object_lock_enabled: StrictBool
