"""What every scenario is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.stage import Stage, stage

FAST = "10000"
"""As AMOVE_RATE_LIMIT: so that only AMOVE_CONCURRENCY and the machine bind."""


@dataclass(frozen=True)
class Run:
    """How many pairs of a bucket and a key; how often cold starts are measured; how to tell of
    progress; where profiles go, if at all."""

    count: int
    rounds: int
    tell: Callable[[str], None]
    profiles: Path | None = None

    @property
    def patience(self) -> float:
        """Seconds after which a cold start has failed."""
        return 60.0 + self.count / 4

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """A fresh one."""
        self.tell("starting a control plane and an emulator")
        with stage(self.profiles) as here:
            yield here


@dataclass(frozen=True)
class Outcome:
    """Figures by the names that the goals have, and a table of all that was measured."""

    figures: Mapping[str, float]
    details: str


Measure = Callable[[Run], Outcome]
