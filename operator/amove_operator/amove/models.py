"""What goes to and comes from the Amove API, as the rest of the operator sees it.

Lenient in what is read: unknown members are ignored, and only what nothing can be done
without is required (docs/amove-api.md, "The storage calls").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    field_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from amove_operator.amove.dates import parse_dotnet_date
from amove_operator.models import BucketFlags, Permission

_PERMISSION_NUMBER: Mapping[Permission, int] = {"Read": 0, "Write": 1, "ReadWrite": 2}


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


Identifier = Annotated[str, Field(min_length=1)]
LenientText = Annotated[str, BeforeValidator(_text)]
OptionalText = Annotated[str | None, BeforeValidator(_text_or_none)]
DotnetDate = Annotated[datetime | None, BeforeValidator(parse_dotnet_date)]
LenientFlag = Annotated[bool, BeforeValidator(lambda value: value is True)]
LenientNumber = Annotated[
    int | None,
    BeforeValidator(lambda value: value if type(value) is int else None),
]


class BucketAddress(NamedTuple):
    """Where a bucket is: the account and its name there."""

    cloud_account_id: str
    bucket_name: str


class WireModel(BaseModel):
    """Base of every body: camelCase outside; its repr and its errors show no input."""

    model_config = ConfigDict(
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

    @model_validator(mode="after")
    def _reaches_something(self) -> NewKey:
        if not self.all_buckets and not self.selected_buckets:
            raise ValueError("a key needs at least one bucket, or all_buckets")
        return self

    @field_serializer("permission")
    def _permission_number(self, permission: Permission) -> int:
        return _PERMISSION_NUMBER[permission]


class RemoteKey(WireModel):
    """A key as the list shows it: never its secret, permission or buckets."""

    id: Identifier
    name: LenientText = ""
    access_key: LenientText = ""
    user_id: OptionalText = None
    account_id: OptionalText = None
    description: OptionalText = None
    region: OptionalText = None
    storage_dn: OptionalText = None
    create_date: DotnetDate = None


class IssuedKey(WireModel):
    """The answer to ``create_storage_key``: the only time the secret is seen.

    Requires only the three members that matter, since a refusal here loses the secret.
    """

    id: Identifier
    access_key: Identifier
    secret_key: Annotated[SecretStr, Field(min_length=1)]
    name: OptionalText = None
    user_id: OptionalText = None
    region: OptionalText = None
    storage_dn: OptionalText = None
    create_date: DotnetDate = None


@dataclass(frozen=True)
class KeyListing:
    """Every key of the calling user, newest first. Always proved complete (paging.py)."""

    keys: tuple[RemoteKey, ...]

    @cached_property
    def by_id(self) -> Mapping[str, RemoteKey]:
        """The keys by their id."""
        return MappingProxyType({key.id: key for key in self.keys})

    @cached_property
    def user_ids(self) -> frozenset[str]:
        """Whose keys these are: one id, none for an empty list."""
        return frozenset(key.user_id for key in self.keys if key.user_id)


class CloudAccount(WireModel):
    """A cloud account; the usable ones are active and internal storage."""

    id: Identifier
    name: LenientText = ""
    active: LenientFlag = False
    internal_storage: LenientFlag = False
    storage_tier: LenientNumber = None
    service_url: OptionalText = None


class KeyPage(WireModel):
    """One page of ``get_storage_key``; ``total`` counts the keys of all pages."""

    data: tuple[RemoteKey, ...]
    total: Annotated[int, Field(ge=0, le=1_000_000)]


class StatusAnswer(WireModel):
    """The answer of ``bucket_status``: a missing flag is not "false", so all four must be there."""

    is_public: StrictBool
    encryption_enabled: StrictBool
    versioning_enabled: StrictBool
    object_lock_enabled: StrictBool

    def flags(self) -> BucketFlags:
        """The same, as the rest of the operator knows it."""
        return BucketFlags(
            is_public=self.is_public,
            encryption_enabled=self.encryption_enabled,
            versioning_enabled=self.versioning_enabled,
            object_lock_enabled=self.object_lock_enabled,
        )
