"""The Amove client: everything the rest of the operator may use of it."""

from amove_operator.api.breaker import Breaker, BreakerState
from amove_operator.api.client import AmoveClient
from amove_operator.api.clock import Clock
from amove_operator.api.credentials import (
    Credentials,
    TokenFile,
    credentials_for,
    token_expiry,
)
from amove_operator.api.models import (
    BucketAddress,
    CloudAccount,
    IssuedKey,
    KeyListing,
    NewKey,
    RemoteKey,
)
from amove_operator.api.session import Observer, Tuning

__all__ = [
    "AmoveClient",
    "Breaker",
    "BreakerState",
    "BucketAddress",
    "Clock",
    "CloudAccount",
    "Credentials",
    "IssuedKey",
    "KeyListing",
    "NewKey",
    "Observer",
    "RemoteKey",
    "TokenFile",
    "Tuning",
    "credentials_for",
    "token_expiry",
]
