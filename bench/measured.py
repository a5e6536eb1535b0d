"""The operator, with each long callback of its event loop noted in a file.

``python -m bench.measured FILE run …`` is ``python -m amove_operator run …`` beside that. A full
garbage collection is noted as well; SIGUSR1 asks for one.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LEAST_SECONDS = 0.002
_plain_run: Any = asyncio.Handle._run


@dataclass(frozen=True)
class Slow:
    """A callback that took long: ``moment`` by the machine's monotonic clock, CPU ``seconds``."""

    moment: float
    seconds: float
    what: str

    @property
    def shown(self) -> str:
        """Its name, and milliseconds."""
        return f"`{self.what}` {self.seconds * 1000:.0f}"


def slow_callbacks(file: Path) -> list[Slow]:
    """What has been noted so far, oldest first."""
    lines = (line.split(maxsplit=2) for line in file.read_text().splitlines())
    return [Slow(float(moment), float(seconds), what) for moment, seconds, what in lines]


def longest_by_name(slow: Iterable[Slow]) -> list[Slow]:
    """The longest of each name, the longest of all first."""
    longest: dict[str, Slow] = {}
    for one in sorted(slow, key=lambda one: one.seconds):
        longest[one.what] = one
    return sorted(longest.values(), key=lambda one: -one.seconds)


def _note_into(file: Path) -> Callable[[float, str], None]:
    sink = file.open("w", buffering=1)

    def note(began: float, what: str) -> None:
        if (spent := time.thread_time() - began) > _LEAST_SECONDS:
            sink.write(f"{time.monotonic()} {spent} {what}\n")

    return note


def _note_callbacks(note: Callable[[float, str], None]) -> None:
    def run(handle: Any) -> None:
        callback, began = handle._callback, time.thread_time()
        _plain_run(handle)
        if time.thread_time() - began > _LEAST_SECONDS:
            note(began, _name(callback))

    asyncio.Handle._run = run  # type: ignore[assignment, method-assign]


def _name(callback: Any) -> str:
    """Of the coroutine that a task goes on with, or of a plain callback."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        callback = owner.get_coro()
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _note_collections(note: Callable[[float, str], None]) -> None:
    began = 0.0

    def collecting(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        elif info["generation"] == 2:
            note(began, "full garbage collection")

    gc.callbacks.append(collecting)
    signal.signal(signal.SIGUSR1, lambda *_: gc.collect())


if __name__ == "__main__":
    # Not above: the bench itself reads such files, and needs nothing of the operator for it.
    from amove_operator.cli import main

    noting = _note_into(Path(sys.argv[1]))
    _note_callbacks(noting)
    _note_collections(noting)
    sys.exit(main(sys.argv[2:]))
