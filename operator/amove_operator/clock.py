"""Time: the clocks that a test replaces, the dates of HTTP, and how waits grow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

# 2 to this power is beyond every cap; a float would overflow at 1024 failures in a row.
_LARGEST_EXPONENT = 60


@dataclass(frozen=True)
class Clock:
    """Both clocks of the machine, in seconds, and waiting.

    ``monotonic`` only runs forward: for durations. ``now`` is Unix time, which a person or NTP may
    set back: only for dates that others read or wrote.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


SYSTEM_CLOCK = Clock()


def backoff(base: float, cap: float, attempt: int) -> float:
    """Seconds to wait after failure number ``attempt`` (from 0): 1, 2, 4, 8 … for a base of 1."""
    return min(cap, base * 2.0 ** min(attempt, _LARGEST_EXPONENT))


def parse_http_date(text: str | None) -> float | None:
    """An HTTP date as seconds since the epoch; None where it is missing or is none."""
    if not text:
        return None
    try:
        read = parsedate_to_datetime(text)
        return (read.replace(tzinfo=UTC) if read.tzinfo is None else read).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
