"""A lock by name that never blocks: who finds it taken is queued again when it is released."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class KeyedLock(Generic[Name, Item]):
    """One holder for each name; ``requeue`` is called for each item that was turned away."""

    def __init__(self, requeue: Callable[[Item], None]) -> None:
        self._requeue = requeue
        self._waiting: dict[Name, set[Item]] = {}

    @contextmanager
    def try_acquire(self, name: Name, item: Item) -> Iterator[bool]:
        """Whether the lock is ``item``'s; if not, it is queued again when the holder is done."""
        if name in self._waiting:
            self._waiting[name].add(item)
            yield False
            return
        self._waiting[name] = set()
        try:
            yield True
        finally:
            for waiting in self._waiting.pop(name):
                self._requeue(waiting)
