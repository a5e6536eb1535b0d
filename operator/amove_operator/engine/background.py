"""Work that nobody waits for, beside all else."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Begins work, and returns before it has ended."""


class Background:
    """A way to spawn. Each task is held until it ends: the loop itself would let it be collected.

    The work has no log fields of whoever began it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, work: Coroutine[Any, Any, None]) -> object:
        """Have the running loop do the work."""
        loop, context = asyncio.get_running_loop(), contextvars.Context()
        task = loop.create_task(work, name=self._name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
