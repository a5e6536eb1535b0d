"""The Amove client: everything the rest of the operator may use of it."""

from amove_operator.amove.breaker import Breaker, BreakerState
from amove_operator.amove.client import AmoveClient
from amove_operator.amove.credentials import (
    Credentials,
    TokenFile,
    credentials_for,
    token_expiry,
)
from amove_operator.amove.models import (
    BucketAddress,
    CloudAccount,
    IssuedKey,
    NewKey,
)
from amove_operator.amove.session import Observer, Tuning

__all__ = [
    "AmoveClient",
    "Breaker",
    "BreakerState",
    "BucketAddress",
    "CloudAccount",
    "Credentials",
    "IssuedKey",
    "NewKey",
    "Observer",
    "TokenFile",
    "Tuning",
    "credentials_for",
    "token_expiry",
]
