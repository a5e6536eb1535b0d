"""Waiting for what a controller does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.patience import PATIENCE, PAUSE

T = TypeVar("T")


def until(what: str, ask: Callable[[], T], *, deadline: float = PATIENCE) -> T:
    """Ask until the answer is true, and return it. Raises AssertionError after ``deadline`` s."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(PAUSE)
    raise AssertionError(f"not within {deadline:.0f} s: {what}")
