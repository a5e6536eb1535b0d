"""A wall clock and a monotonic one that no test waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.virtual_time import VirtualTimeLoop


class Time:
    """``seconds`` are a test's to move. The operator's wall clock can be set wrong: ``jumped``."""

    began = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.jumped = timedelta()

    def elapsed(self) -> float:
        """The monotonic clock, looked at by nobody."""
        return self.seconds

    def monotonic(self) -> float:
        """Seconds; a little later every time it is asked."""
        self.seconds += 0.001
        return self.seconds

    def true(self) -> datetime:
        """What a right clock shows."""
        return self.began + timedelta(seconds=self.elapsed())

    def local(self) -> datetime:
        """What the operator's clock shows."""
        return self.true() + self.jumped


class LoopTime(Time):
    """Goes with the virtual clock of an event loop."""

    began = datetime(2026, 3, 1, tzinfo=UTC)

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def elapsed(self) -> float:
        """The loop's time."""
        return self._loop.time()

    monotonic = elapsed
