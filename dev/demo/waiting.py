"""Wait for what others do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from demo.errors import DemoError

T = TypeVar("T")
PAUSE = 0.1


def until(
    ask: Callable[[], T], seconds: float, complain: Callable[[], str], check: Callable[[], None]
) -> T:
    """Ask until the answer is true, and answer it; ``check()`` on the way, which may raise.

    Raises DemoError with what ``complain()`` says when ``seconds`` are over.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        check()
        if time.monotonic() > deadline:
            raise DemoError(f"not within {seconds:.0f} s: {complain()}")
        time.sleep(PAUSE)
    return answer
