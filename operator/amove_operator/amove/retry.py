"""Whether a failed call is sent again, and after how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from amove_operator.clock import backoff
from amove_operator.errors import ApiError, Throttled, TransportFault, Unavailable


@dataclass(frozen=True)
class RetryPolicy:
    """``tries`` in all, within ``longest_total`` seconds; waits double from ``first_wait``.

    ``slow_down``: seconds for which everybody holds back after a 429 that names no time.
    """

    tries: int = 3
    first_wait: float = 0.5
    longest_wait: float = 8.0
    longest_total: float = 60.0
    slow_down: float = 1.0


def may_repeat(error: ApiError, *, repeatable: bool) -> bool:
    """Whether the call that failed with ``error`` may be sent again.

    A call that is not repeatable goes again only if it never left this machine: a time-out of
    ``create_storage_key`` may have issued a key, and a second try would issue another one, while a
    connection that was refused issued none.
    """
    if not isinstance(error, Unavailable):
        return False
    return repeatable or (isinstance(error, TransportFault) and not error.maybe_done)


def spread_wait(policy: RetryPolicy, attempt: int, rand: float) -> float:
    """Seconds before the try after ``attempt`` (from 1); ``rand`` in [0, 1) spreads the callers."""
    return rand * backoff(policy.first_wait, policy.longest_wait, attempt - 1)


def wait_before_retry(
    policy: RetryPolicy, error: ApiError, *, attempt: int, spent: float, rand: float
) -> float | None:
    """Seconds to wait before trying again; None when it is enough.

    ``spent`` is the seconds since the first try began. A Retry-After is never undercut.
    """
    if attempt >= policy.tries:
        return None
    wait = spread_wait(policy, attempt, rand)
    if isinstance(error, Unavailable) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    return wait if spent + wait <= policy.longest_total else None


def pause_asked_for(policy: RetryPolicy, error: ApiError) -> float:
    """Seconds for which the whole process holds back after ``error``; 0 for none.

    A 503 that names no time may be about one bucket only: it holds back nobody else.
    """
    if not isinstance(error, Throttled):
        return 0.0
    if error.retry_after is not None:
        return error.retry_after
    return policy.slow_down if error.status == 429 else 0.0
