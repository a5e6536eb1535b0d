"""Strict models of what clients send: unknown, missing and wrongly typed members are refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from amove_emulator.answers import RefusalError

_BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_bucket_name(name: str) -> str:
    """Hold a name to S3's rules. Raises ValueError."""
    if not _BUCKET_NAME.fullmatch(name) or ".." in name:
        raise ValueError("is not a valid bucket name")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise ValueError("is not a valid bucket name: it is an IP address")


def _check_uuid(text: str) -> str:
    return str(UUID(text))


BucketName = Annotated[str, AfterValidator(check_bucket_name)]
Uuid = Annotated[str, AfterValidator(_check_uuid)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CreateStorageKey(_Strict):
    name: Text
    region: Text
    storageDn: Text  # noqa: N815 (the wire's name, here and below)
    permission: Annotated[int, Field(ge=0, le=2)]
    allBuckets: bool  # noqa: N815
    selectedBuckets: list[BucketName]  # noqa: N815
    cloudAccountId: Uuid  # noqa: N815

    @model_validator(mode="after")
    def _has_scope(self) -> CreateStorageKey:
        if not self.allBuckets and not self.selectedBuckets:
            raise ValueError("selectedBuckets is empty and allBuckets is false")
        return self


class BucketRef(_Strict):
    cloudAccountId: Uuid  # noqa: N815
    bucketName: BucketName  # noqa: N815


class UpdateBucket(BucketRef):
    isPublic: bool = False  # noqa: N815
    isEncrypted: bool = False  # noqa: N815
    versioningEnabled: bool = False  # noqa: N815


class CreateBucket(UpdateBucket):
    objectLockEnabled: bool = False  # noqa: N815


class ListBuckets(_Strict):
    cloudAccountId: Uuid  # noqa: N815
    includeRegion: bool = False  # noqa: N815


class Login(_Strict):
    requestToken: Text  # noqa: N815
    username: Text
    password: Text
    type: int


class _Query(BaseModel):
    # Query values are text: they are converted, but unknown names are refused all the same.
    model_config = ConfigDict(extra="forbid")


class Page(_Query):
    page: int = Field(default=1, ge=1)
    pagesize: int = Field(default=50, ge=1, le=1000)
    sortfield: Annotated[str, StringConstraints(pattern=r"(?i)^(createdate|name)$")] = "CreateDate"
    descending: bool = True


class KeyId(_Query):
    id: Uuid


class BucketQuery(_Query):
    cloudAccountId: Uuid  # noqa: N815
    bucketName: BucketName  # noqa: N815


Input = TypeVar("Input", bound=BaseModel)


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def parse_body(model: type[Input], body: bytes) -> Input:
    """Read a JSON body. Raises RefusalError with code DEFAULT that names the first wrong member."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RefusalError("DEFAULT", _first_error(error)) from None


def parse_query(model: type[Input], query: Mapping[str, Any]) -> Input:
    """Read query parameters. Raises RefusalError like ``parse_body``."""
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise RefusalError("DEFAULT", _first_error(error)) from None
