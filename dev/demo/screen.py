"""What the person who watches sees: one line a step, with its time, and what there is to see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from demo.errors import RefusedError

INDENT = " " * 15


class Step:
    """One step under way."""

    def __init__(self) -> None:
        self.details: list[str] = []

    def show(self, text: str) -> None:
        """Put ``text`` below the step's line."""
        self.details += text.strip("\n").splitlines()


class Screen:
    """Numbers the steps; how many held, the seconds they took, and the titles of failed ones."""

    def __init__(self) -> None:
        self.held = 0
        self.seconds = 0.0
        self.failed: list[str] = []

    def say(self, text: str = "") -> None:
        """Print a line that belongs to no step."""
        print(text, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time what happens inside, then tell; an exception makes it a failed step, and goes on."""
        step, begun = Step(), time.monotonic()
        try:
            yield step
        except RefusedError:
            raise
        except Exception as error:
            self.failed.append(title)
            step.show(str(error) or type(error).__name__)
            self._tell("FAILED", time.monotonic() - begun, title, step)
            raise
        seconds = time.monotonic() - begun
        self.held += 1
        self.seconds += seconds
        self._tell(f"{self.held:3} ok", seconds, title, step)

    def _tell(self, mark: str, seconds: float, title: str, step: Step) -> None:
        self.say(f"{mark:6} {seconds:5.1f} s {title}")
        for line in step.details:
            self.say(f"{INDENT}{line}".rstrip())
