"""The calls the operator makes, and how each answer is read.

What each call is for is told in docs/amove-api.md, "The storage calls".
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, TypeAdapter

from amove_operator.amove.answers import Call
from amove_operator.amove.models import (
    BucketAddress,
    CloudAccount,
    Identifier,
    IssuedKey,
    KeyPage,
    LenientNumber,
    NewKey,
    StatusAnswer,
    WireModel,
)
from amove_operator.amove.paging import PAGE_SIZE
from amove_operator.amove.session import Payload
from amove_operator.models import BucketFlags

_STORAGE = "/api/v1/storage/"


def _nothing(_body: bytes) -> None:
    """The call is done whatever its body says."""


class AccountsAnswer(WireModel):
    """The answer of ``cloudaccount/get_all``; ``total``, where it comes, counts all there are."""

    data: tuple[CloudAccount, ...]
    total: LenientNumber = None


class _NamedBucket(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: Identifier


class BucketsAnswer(WireModel):
    """The answer of ``list_buckets``; a ``continuation_token`` tells of more than what is here."""

    data: tuple[_NamedBucket, ...]
    continuation_token: str | None = None


_BARE_BUCKETS = TypeAdapter(tuple[_NamedBucket, ...])


def _buckets(body: bytes) -> BucketsAnswer:
    """Both shapes that the vendor's pages allow: a bare array, or an envelope."""
    if body.lstrip()[:1] == b"[":
        return BucketsAnswer(data=_BARE_BUCKETS.validate_json(body))
    return BucketsAnswer.model_validate_json(body)


def _status(body: bytes) -> BucketFlags:
    return StatusAnswer.model_validate_json(body).flags()


GET_STORAGE_KEY = Call(
    "get_storage_key", "GET", f"{_STORAGE}get_storage_key", KeyPage.model_validate_json
)
PROBE = Call("probe", "GET", f"{_STORAGE}get_storage_key", KeyPage.model_validate_json)
CREATE_STORAGE_KEY = Call(
    "create_storage_key",
    "POST",
    f"{_STORAGE}create_storage_key",
    IssuedKey.model_validate_json,
    writes=True,
    repeatable=False,
    gives_secret=True,
)
DELETE_STORAGE_KEY = Call(
    "delete_storage_key", "DELETE", f"{_STORAGE}delete_storage_key", _nothing, writes=True
)
CREATE_BUCKET = Call(
    "create_bucket",
    "POST",
    f"{_STORAGE}create_bucket",
    _nothing,
    writes=True,
    repeatable=False,
)
BUCKET_STATUS = Call("bucket_status", "POST", f"{_STORAGE}bucket_status", _status)
UPDATE_BUCKET = Call("update_bucket", "PUT", f"{_STORAGE}update_bucket", _nothing, writes=True)
DELETE_BUCKET = Call("delete_bucket", "DELETE", f"{_STORAGE}delete_bucket", _nothing, writes=True)
CLOUD_ACCOUNTS = Call(
    "cloud_accounts", "GET", "/api/v1/cloudaccount/get_all", AccountsAnswer.model_validate_json
)
LIST_BUCKETS = Call("list_buckets", "POST", "/api/v1/cloudaccount/list_buckets", _buckets)


def json_body(members: dict[str, object]) -> Payload:
    """``members`` as a JSON body."""
    return Payload(body=json.dumps(members, separators=(",", ":")).encode())


def query(**members: str) -> Payload:
    """``members`` as a query string, in their order."""
    return Payload(query=urlencode(members))


def key_page(number: int, size: int = PAGE_SIZE) -> Payload:
    """Page ``number`` (from 1) of the key list, newest first: paging.py says why."""
    return query(page=str(number), pagesize=str(size), sortfield="CreateDate", descending="true")


def new_key(new: NewKey) -> Payload:
    """The body that asks for a key."""
    return Payload(body=new.model_dump_json(by_alias=True).encode())


def address(where: BucketAddress) -> dict[str, object]:
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
