"""One at a time for each name: who comes meanwhile is served afterwards, and holds no worker."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from amove_operator.controllers.shared.store import Item
from amove_operator.engine.workqueue import WorkQueue

Name = TypeVar("Name", bound=Hashable)


class Turns(Generic[Name]):
    """Whose turn it is, by name."""

    def __init__(self, queue: WorkQueue[Item]) -> None:
        self._queue = queue
        self._waiting: dict[Name, set[Item]] = {}

    @contextmanager
    def take(self, name: Name, item: Item) -> Iterator[bool]:
        """Whether it is ``item``'s turn; if not, it is queued again when the present one ends."""
        if name in self._waiting:
            self._waiting[name].add(item)
            yield False
            return
        self._waiting[name] = set()
        try:
            yield True
        finally:
            for waiting in self._waiting.pop(name):
                self._queue.add(waiting)
