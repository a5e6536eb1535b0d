"""So many calls a second: a bucket of tokens, which knows no caller. Pure but for its clock."""

from __future__ import annotations

from collections.abc import Callable

# Less than a whole token by a hair is one: rounding must not make a loop of tiny sleeps.
_ROUNDING = 1e-9


class TokenBucket:
    """At most ``rate`` tokens a second in the long run, ``burst`` at once.

    ``monotonic``: seconds that only run forward.
    """

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._monotonic = monotonic
        self._tokens = self._burst
        self._filled_at = monotonic()
        self._paused_until = self._filled_at

    def wait(self, tokens: int = 1) -> float:
        """Seconds until so many can be taken; 0 when they can be now."""
        self._refill()
        missing = min(float(tokens), self._burst) - self._tokens
        return max(self.pause_left, missing / self._rate if missing > _ROUNDING else 0.0)

    def take(self, tokens: int = 1) -> None:
        """Take tokens, whether they are there or not: who comes after waits for them."""
        self._refill()
        self._tokens -= tokens

    def give_back(self, tokens: int) -> None:
        """What was taken and not used; during a pause it is lost, as what came before it is."""
        self._refill()
        if not self.pause_left:
            self._tokens = min(self._burst, self._tokens + tokens)

    def pause(self, seconds: float) -> None:
        """Give none for ``seconds``, then start without a burst."""
        if seconds <= 0:
            return
        self._refill()
        self._tokens = 0.0
        self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    @property
    def pause_left(self) -> float:
        """Seconds for which none is given."""
        return max(0.0, self._paused_until - self._monotonic())

    def _refill(self) -> None:
        """Add what time has brought; a pause brings nothing."""
        now = self._monotonic()
        since = max(self._filled_at, min(self._paused_until, now))
        self._tokens = min(self._burst, self._tokens + (now - since) * self._rate)
        self._filled_at = now
