"""The calls the operator makes, what each sends, and how its answer is read.

What each call is for stands in docs/amove-api.md, "The storage calls".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from pydantic import AfterValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from amove_operator.amove import models
from amove_operator.amove.answers import Call, T
from amove_operator.models import BucketFlags

PAGE_SIZE = 50
_ACCOUNT = "/api/v1/cloudaccount/"


class Payload(NamedTuple):
    """The variable part of a request: an encoded query string (without ``?``) and a JSON body."""

    query: str = ""
    body: bytes | None = None


class AccountsAnswer(models.WireModel):
    """The answer of ``cloudaccount/get_all``; ``total``, where it comes, counts all there are."""

    data: Annotated[tuple[models.CloudAccount, ...], models.EMPTY_IF_NULL]
    total: models.LenientNumber = None


class _NamedBucket(models.WireModel):
    name: models.Identifier


class BucketsAnswer(models.WireModel):
    """The answer of ``list_buckets``; with a ``continuation_token`` it is not all of them."""

    data: Annotated[tuple[_NamedBucket, ...], models.EMPTY_IF_NULL]
    continuation_token: str | None = None


_BARE_BUCKETS = TypeAdapter(tuple[_NamedBucket, ...])


def _plainly_done(said: object) -> object:
    """What the body of a write may say, if it is not empty: anything but a failure.

    A text could be either ("Key not found."), and so could an object that speaks of errors.
    """
    members = (
        {name.casefold(): value for name, value in said.items()} if isinstance(said, dict) else {}
    )
    failed = any(members.get(name) is False for name in ("success", "succeeded", "ok"))
    if failed or members.get("error") or said is False or (isinstance(said, str) and said):
        raise PydanticCustomError("not_plainly_done", "it does not say that the call is done")
    return said


_DONE: TypeAdapter[object] = TypeAdapter(Annotated[object, AfterValidator(_plainly_done)])


def _nothing(body: bytes) -> None:
    """The call is done, if the answer has no body or one that is JSON and tells of no failure.

    Half an answer (``{"id": "7``) proves nothing: a write may have been done, or not.
    """
    if body.strip():
        _DONE.validate_json(body)


def _buckets(body: bytes) -> BucketsAnswer:
    """Both shapes that the vendor's pages allow: a bare array, or an envelope."""
    if body.lstrip()[:1] == b"[":
        return BucketsAnswer(data=_BARE_BUCKETS.validate_json(body))
    return BucketsAnswer.model_validate_json(body)


def _flags(body: bytes) -> BucketFlags:
    return BucketFlags(**models.StatusAnswer.model_validate_json(body).model_dump())


def _storage(name: str, method: str, read: Callable[[bytes], T], **kind: bool) -> Call[T]:
    """A call below ``/api/v1/storage/``, where the last part of the path is the call's name."""
    return Call(name, method, f"/api/v1/storage/{name}", read, **kind)


GET_STORAGE_KEY = _storage("get_storage_key", "GET", models.KeyPage.model_validate_json)
PROBE = replace(GET_STORAGE_KEY, name="probe")
CREATE_STORAGE_KEY = _storage(
    "create_storage_key",
    "POST",
    models.IssuedKey.model_validate_json,
    writes=True,
    repeatable=False,
    gives_secret=True,
)
DELETE_STORAGE_KEY = _storage("delete_storage_key", "DELETE", _nothing, writes=True)
CREATE_BUCKET = _storage("create_bucket", "POST", _nothing, writes=True, repeatable=False)
BUCKET_STATUS = _storage("bucket_status", "POST", _flags)
UPDATE_BUCKET = _storage("update_bucket", "PUT", _nothing, writes=True)
DELETE_BUCKET = _storage("delete_bucket", "DELETE", _nothing, writes=True)
CLOUD_ACCOUNTS = Call(
    "cloud_accounts", "GET", f"{_ACCOUNT}get_all", AccountsAnswer.model_validate_json
)
_AUTHENTICATION = "/api/authentication/"
REQUEST_TOKEN = Call(
    "request_token",
    "POST",
    f"{_AUTHENTICATION}request_token",
    TypeAdapter(models.Identifier).validate_json,
    repeatable=False,
    gives_secret=True,
    of_login=True,
)
LOGIN = Call(
    "login",
    "POST",
    f"{_AUTHENTICATION}login",
    models.LoginAnswer.model_validate_json,
    repeatable=False,
    gives_secret=True,
    of_login=True,
)
LIST_BUCKETS = Call("list_buckets", "POST", f"{_ACCOUNT}list_buckets", _buckets)

NAMES = tuple(one.name for one in tuple(globals().values()) if isinstance(one, Call))
"""Every call by its name, as in errors and metrics."""


def json_body(members: Mapping[str, object]) -> Payload:
    """``members`` as a JSON body."""
    return Payload(body=json.dumps(members, separators=(",", ":")).encode())


def query(**members: str) -> Payload:
    """``members`` as a query string, in their order."""
    return Payload(query=urlencode(members))


def key_page(number: int, size: int = PAGE_SIZE) -> Payload:
    """Page ``number`` (from 1) of the key list, newest first: paging.py says why."""
    return query(page=str(number), pagesize=str(size), sortfield="CreateDate", descending="true")


def address(where: models.BucketAddress) -> dict[str, str]:
    """The two members that say which bucket."""
    return {"cloudAccountId": where.cloud_account_id, "bucketName": where.bucket_name}


def changeable_flags(flags: BucketFlags) -> dict[str, object]:
    """All three flags, always: nobody says that one left out stays as it is.

    The naming trap: what the status calls ``encryptionEnabled``, requests call ``isEncrypted``.
    """
    return {
        "isPublic": flags.is_public,
        "isEncrypted": flags.encryption_enabled,
        "versioningEnabled": flags.versioning_enabled,
    }
