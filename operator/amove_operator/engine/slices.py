"""Walking through everything there is without holding up whoever waits for the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE = 200
"""So many, at some 10 microseconds each, are two milliseconds."""


async def in_slices(items: Iterable[T], each: int = SLICE) -> AsyncIterator[T]:
    """The items as they are at the start; the loop gets its turn after every ``each`` of them.

    What is walked may have changed by the time that an item is reached.
    """
    for number, item in enumerate(tuple(items), start=1):
        yield item
        if number % each == 0:
            await asyncio.sleep(0)
