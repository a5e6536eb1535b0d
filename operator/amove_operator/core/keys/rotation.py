"""When a key falls due by the clock (docs/rotation.md)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

_SPREAD = 0.1


def jitter(uid: str) -> float:
    """A number in [0, 1) that is always the same for one UID, and spread over all of them."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:6], "big") / 2**48


def next_rotation(issued_at: datetime, interval: timedelta, uid: str) -> datetime:
    """Between 90 and 100 % of ``interval`` after the issue: never later than was asked for."""
    due = issued_at + interval * (1 - _SPREAD * jitter(uid))
    return due.replace(microsecond=0)
