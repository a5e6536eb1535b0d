"""The earliest of many moments, each of which comes, moves and goes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Earliest(Generic[Key]):
    """A moment (in seconds) for each key; putting and dropping one is O(log n), looking O(1)."""

    def __init__(self) -> None:
        self._moments: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []  # may hold outdated entries, not the first
        self._sequence = itertools.count()  # keys themselves need not be comparable

    def put(self, key: Key, moment: float | None) -> None:
        """From now on ``key`` has that moment; None: it has none."""
        before = self._moments.pop(key, None)
        if moment is not None and before is not None and before[0] == moment:
            self._moments[key] = before
        elif moment is not None:
            self._moments[key] = moment, next(self._sequence)
            heapq.heappush(self._heap, (*self._moments[key], key))
        self._drop_outdated()

    def first(self) -> float | None:
        """The earliest moment; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def _drop_outdated(self) -> None:
        """The first is always a current one, and at most half of the others are not."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        if len(self._heap) > 2 * len(self._moments) + 64:
            self._heap = [one for one in self._heap if self._is_current(one)]
            heapq.heapify(self._heap)

    def _is_current(self, entry: tuple[float, int, Key]) -> bool:
        return self._moments.get(entry[2]) == entry[:2]
