"""The calls the operator makes, what each sends, and how its answer is read.

What each call is for stands in docs/amove-api.md, "The storage calls".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from pydantic import TypeAdapter

from amove_operator.amove import models
from amove_operator.amove.answers import Call
from amove_operator.models import BucketFlags

PAGE_SIZE = 50
_STORAGE = "/api/v1/storage/"
_ACCOUNT = "/api/v1/cloudaccount/"


class Payload(NamedTuple):
    """The variable part of a request: an encoded query string (without ``?``) and a JSON body."""

    query: str = ""
    body: bytes | None = None


NO_PAYLOAD = Payload()


class AccountsAnswer(models.WireModel):
    """The answer of ``cloudaccount/get_all``; ``total``, where it comes, counts all there are."""

    data: tuple[models.CloudAccount, ...]
    total: models.LenientNumber = None


class _NamedBucket(models.WireModel):
    name: models.Identifier


class BucketsAnswer(models.WireModel):
    """The answer of ``list_buckets``; with a ``continuation_token`` it is not all of them."""

    data: tuple[_NamedBucket, ...]
    continuation_token: str | None = None


_BARE_BUCKETS = TypeAdapter(tuple[_NamedBucket, ...])


def _nothing(_body: bytes) -> None:
    """The call is done whatever its body says."""


def _buckets(body: bytes) -> BucketsAnswer:
    """Both shapes that the vendor's pages allow: a bare array, or an envelope."""
    if body.lstrip()[:1] == b"[":
        return BucketsAnswer(data=_BARE_BUCKETS.validate_json(body))
    return BucketsAnswer.model_validate_json(body)


def _flags(body: bytes) -> BucketFlags:
    return BucketFlags(**models.StatusAnswer.model_validate_json(body).model_dump())


_KEY_LIST = ("GET", f"{_STORAGE}get_storage_key", models.KeyPage.model_validate_json)
GET_STORAGE_KEY = Call("get_storage_key", *_KEY_LIST)
PROBE = Call("probe", *_KEY_LIST)
CREATE_STORAGE_KEY = Call(
    "create_storage_key",
    "POST",
    f"{_STORAGE}create_storage_key",
    models.IssuedKey.model_validate_json,
    writes=True,
    repeatable=False,
    gives_secret=True,
)
DELETE_STORAGE_KEY = Call(
    "delete_storage_key", "DELETE", f"{_STORAGE}delete_storage_key", _nothing, writes=True
)
CREATE_BUCKET = Call(
    "create_bucket", "POST", f"{_STORAGE}create_bucket", _nothing, writes=True, repeatable=False
)
BUCKET_STATUS = Call("bucket_status", "POST", f"{_STORAGE}bucket_status", _flags)
UPDATE_BUCKET = Call("update_bucket", "PUT", f"{_STORAGE}update_bucket", _nothing, writes=True)
DELETE_BUCKET = Call("delete_bucket", "DELETE", f"{_STORAGE}delete_bucket", _nothing, writes=True)
CLOUD_ACCOUNTS = Call(
    "cloud_accounts", "GET", f"{_ACCOUNT}get_all", AccountsAnswer.model_validate_json
)
LIST_BUCKETS = Call("list_buckets", "POST", f"{_ACCOUNT}list_buckets", _buckets)


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
