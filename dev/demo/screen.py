"""What the person who watches sees: one line a step, with its time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WIDEST = 100
INDENT = "      "


class Step:
    """One step under way."""

    def __init__(self, title: str, show: Callable[[str], None]) -> None:
        self.title = title
        self._show = show
        self._result = ""

    def found(self, result: str) -> None:
        """What the line says behind the title, once the step is over."""
        self._result = f": {result}"

    def show(self, text: str) -> None:
        """Print ``text`` now, indented, ahead of the step's own line."""
        for line in text.rstrip().splitlines():
            self._show(f"{INDENT}{line}")

    @property
    def line(self) -> str:
        return self.title + self._result


class Screen:
    """Numbers the steps and remembers which failed."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write or (lambda line: print(line, flush=True))
        self._begun = time.monotonic()
        self.held = 0
        self.failed: str | None = None

    def say(self, text: str = "") -> None:
        """Print a line that belongs to no step."""
        self._write(text)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time what happens inside; an exception marks the step as failed, and goes on."""
        step, begun = Step(title, self._write), time.monotonic()
        try:
            yield step
        except BaseException:
            self.failed = f"step {self.held + 1}, {title}"
            self._line("FAILED", step.title, time.monotonic() - begun)
            raise
        self.held += 1
        self._line(f"{self.held:2} ok", step.line, time.monotonic() - begun)

    @property
    def seconds(self) -> float:
        """Since the first line."""
        return time.monotonic() - self._begun

    def _line(self, mark: str, text: str, seconds: float) -> None:
        room = max(40, min(WIDEST, shutil.get_terminal_size((WIDEST + 16, 24)).columns - 16))
        self._write(f"{mark:<5} {text:<{room}} {seconds:5.1f} s")
