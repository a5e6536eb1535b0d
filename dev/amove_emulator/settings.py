"""What an emulator is made of, and how it behaves where the vendor leaves more than one way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

TENANT_ID: Final = "5d1f0f5e-3a53-4c0e-9a5e-0d6c0a4f7b10"
USER_ID: Final = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"
CLOUD_ACCOUNT_ID: Final = "c0a8f7d2-5b1e-4e7a-9f36-61d2b7e4a932"
USER_EMAIL: Final = "operator@example.com"
TIER_GLOBAL: Final = 2
ACCOUNT_ADMIN: Final = 4
OWN_S3: Final = "emulator"
"""As ``CloudAccount.service_url``: the address of this emulator's own S3 port."""


class Behaviour(BaseModel):
    """Switches that may also be turned while the emulator runs (``/_emulator/behaviour``).

    Durations are seconds. The defaults are what is likeliest, where nothing is documented.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    latency: float = Field(default=0.0, ge=0)
    """Added to every API call, before anything else is done."""
    listing_lag: float = Field(default=0.0, ge=0)
    """A new key shows in the list only after this time."""
    stale_by: float = Field(default=2.0, ge=0)
    """How old a list is that is given as a stale one (odd answer ``stale_list``)."""
    storage_tier_in_create: bool = False
    """Whether the answer to create_storage_key has ``storageTier`` (the vendor's example: no)."""
    dates: Literal["fraction", "zulu", "minimum"] = "fraction"
    """``2026-01-02T03:04:05.1234567``, the same with Z, or ``0001-01-01T00:00:00``."""
    list_buckets: Literal["envelope", "array"] = "envelope"
    absent_code: str = "NOT_FOUND"
    absent_message: str = "Object not found."
    exists: Literal["duplicate", "message", "ok"] = "duplicate"
    """create_bucket of a name that is there: DUPLICATE, DEFAULT with a message, or 200 (only to
    the account that owns it)."""
    not_empty_code: str = "DEFAULT"
    delete_missing_key: Literal["error", "ok"] = "error"
    inactive_account: Literal["refuse_create", "hide"] = "refuse_create"
    """An inactive account refuses create_bucket only, or moreover shows none of its buckets."""
    auth_failure_code: str | None = None
    """None: 401. A code (AUTH, TOKEN …): a 499 that carries it."""
    request_token_ttl: float = Field(default=60.0, gt=0)
    session_ttl: float = Field(default=3600.0, gt=0)


@dataclass(slots=True)
class CloudAccount:
    """A cloud account of a tenant; ``tier``: 0 All, 1 Perform, 2 Global, 4 Scale, 8 Archive."""

    id: str = CLOUD_ACCOUNT_ID
    name: str = "internal storage"
    tier: int = TIER_GLOBAL
    active: bool = True
    internal: bool = True
    service_url: str | None = OWN_S3
    tenant: str = TENANT_ID


@dataclass(slots=True)
class User:
    """A person (or service) of a tenant. ``max_sessions`` None: no limit."""

    id: str = USER_ID
    email: str = USER_EMAIL
    tenant: str = TENANT_ID
    role: int = ACCOUNT_ADMIN
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    totp: bool = False
    max_sessions: int | None = None


@dataclass(slots=True)
class World:
    """The users, API tokens (token → user id) and cloud accounts an emulator starts with."""

    users: list[User] = field(default_factory=lambda: [User()])
    accounts: list[CloudAccount] = field(default_factory=lambda: [CloudAccount()])
    tokens: dict[str, str] = field(
        default_factory=lambda: {"amv_" + secrets.token_urlsafe(24): USER_ID}, repr=False
    )
