"""Changes behind the API's back, for tests: what operators of the service, or thieves, would do."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from amove_emulator.buckets import Bucket, Flag
from amove_emulator.inputs import BucketName, CreateStorageKey, Text
from amove_emulator.keys import Key
from amove_emulator.settings import (
    ACCOUNT_ADMIN,
    CLOUD_ACCOUNT_ID,
    OWN_S3,
    TENANT_ID,
    TIER_GLOBAL,
    USER_ID,
    CloudAccount,
    User,
)
from amove_emulator.state import State


class NoSuchError(Exception):
    """Names what the emulator does not have."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BucketAt(_Input):
    name: str
    cloudAccountId: str = CLOUD_ACCOUNT_ID  # noqa: N815


class AddBucket(BucketAt):
    name: BucketName
    flags: dict[Flag, bool] = Field(default_factory=dict)


class ChangeBucket(BucketAt):
    flags: dict[Flag, bool] = Field(default_factory=dict)
    hidden: bool | None = None
    stuck: list[Flag] | None = None


class DropBucket(BucketAt):
    """Together with its objects."""


class PutObject(BucketAt):
    key: str
    text: str = ""


class AddKey(_Input):
    name: Text
    permission: Annotated[int, Field(ge=0, le=2)] = 2
    buckets: list[str] | None = None
    cloudAccountId: str = CLOUD_ACCOUNT_ID  # noqa: N815
    userId: str = USER_ID  # noqa: N815


class ChangeKey(_Input):
    id: str
    name: str | None = None
    created_seconds_ago: float | None = None
    revoke: Literal["both", "backing", "record"] | None = None


class AddAccount(_Input):
    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    name: str = "another account"
    tier: int = TIER_GLOBAL
    active: bool = True
    internal: bool = True
    service_url: str | None = OWN_S3
    tenant: str = TENANT_ID


class ChangeAccount(_Input):
    id: str = CLOUD_ACCOUNT_ID
    active: bool | None = None
    internal: bool | None = None
    service_url: str | None = None


class AddUser(_Input):
    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    email: str = "another@example.com"
    tenant: str = TENANT_ID
    role: int = ACCOUNT_ADMIN
    password: str = Field(default_factory=lambda: secrets.token_urlsafe(18))
    totp: bool = False
    max_sessions: int | None = None


class SetToken(_Input):
    """``token`` None: a new one is made up."""

    token: str | None = None
    userId: str = USER_ID  # noqa: N815


def _bucket(state: State, at: BucketAt) -> Bucket:
    bucket = state.buckets.all.get((at.cloudAccountId, at.name))
    if bucket is None:
        raise NoSuchError(f"bucket {at.name!r} in cloud account {at.cloudAccountId}")
    return bucket


def _account(state: State, account_id: str) -> CloudAccount:
    if account_id not in state.accounts.by_id:
        raise NoSuchError(f"cloud account {account_id}")
    return state.accounts.by_id[account_id]


def _user(state: State, user_id: str) -> User:
    if user_id not in state.identities.users:
        raise NoSuchError(f"user {user_id}")
    return state.identities.users[user_id]


def _key(state: State, key_id: str) -> Key:
    if key_id not in state.keys.all:
        raise NoSuchError(f"key {key_id}")
    return state.keys.all[key_id]


def add_bucket(state: State, call: AddBucket) -> None:
    account = _account(state, call.cloudAccountId)
    if state.accounts.tier(account).has_bucket(call.name):
        raise NoSuchError(f"free name {call.name!r} in the account's tier")
    bucket = state.buckets.add(account, call.name)
    for flag, on in call.flags.items():
        bucket.set_flag(flag, on=on)


def change_bucket(state: State, call: ChangeBucket) -> None:
    bucket = _bucket(state, call)
    for flag, on in call.flags.items():
        bucket.set_flag(flag, on=on)
    bucket.hidden = bucket.hidden if call.hidden is None else call.hidden
    bucket.stuck = bucket.stuck if call.stuck is None else set(call.stuck)


def drop_bucket(state: State, call: DropBucket) -> None:
    state.buckets.remove(_bucket(state, call))


def put_object(state: State, call: PutObject) -> None:
    bucket = _bucket(state, call)
    bucket.tier.put_object(bucket.name, call.key, call.text.encode())


def empty_bucket(state: State, call: BucketAt) -> None:
    bucket = _bucket(state, call)
    bucket.tier.empty_bucket(bucket.name)


def add_key(state: State, call: AddKey) -> dict[str, Any]:
    """The answer has the secret, as create_storage_key's."""
    request = CreateStorageKey.model_construct(
        name=call.name,
        region="us-east-1",
        storageDn=state.s3_host,
        permission=call.permission,
        allBuckets=call.buckets is None,
        selectedBuckets=call.buckets or [],
        cloudAccountId=call.cloudAccountId,
    )
    _account(state, call.cloudAccountId)
    key, secret = state.keys.create(_user(state, call.userId), request)
    state.secrets.append(secret)
    return state.keys.shown_once(key, secret)


def change_key(state: State, call: ChangeKey) -> None:
    key = _key(state, call.id)
    key.name = key.name if call.name is None else call.name
    if call.created_seconds_ago is not None:
        key.created = time.time_ns() - int(call.created_seconds_ago * 1e9)
        key.shown_from = min(key.shown_from, time.monotonic() - call.created_seconds_ago)
    if call.revoke in ("both", "backing"):
        state.keys.revoke_backing(key)
    if call.revoke in ("both", "record"):
        state.keys.remove_record(key)


def add_account(state: State, call: AddAccount) -> dict[str, Any]:
    state.accounts.by_id[call.id] = CloudAccount(**call.model_dump())
    return {"id": call.id}


def change_account(state: State, call: ChangeAccount) -> None:
    account = _account(state, call.id)
    for name in call.model_fields_set - {"id"}:
        setattr(account, name, getattr(call, name))


def add_user(state: State, call: AddUser) -> dict[str, Any]:
    state.identities.add_user(User(**call.model_dump()))
    return {"id": call.id}


def set_token(state: State, call: SetToken) -> dict[str, Any]:
    """Add a token, or hand an existing one to another user."""
    token = call.token or "amv_" + secrets.token_urlsafe(24)
    state.identities.add_token(token, _user(state, call.userId).id)
    return {"token": token}
