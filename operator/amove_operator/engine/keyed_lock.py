"""A lock by name that never blocks: who finds it taken is queued again when his turn has come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class KeyedLock(Generic[Name, Item]):
    """One holder for each name; those who were turned away come one after the other.

    ``requeue`` is called for one of them whenever the name is free: were it called for all, each
    would turn the others away again.
    """

    def __init__(self, requeue: Callable[[Item], None]) -> None:
        self._requeue = requeue
        self._held: set[Name] = set()
        self._waiting: dict[Name, dict[Item, None]] = {}
        self._called: dict[Item, Name] = {}

    @contextmanager
    def try_acquire(self, name: Name, item: Item) -> Iterator[bool]:
        """Whether the lock is ``item``'s; if not, it is queued again when the lock is free."""
        self._called.pop(item, None)
        if name in self._held:
            self._waiting.setdefault(name, {})[item] = None
            yield False
            return
        self._held.add(name)
        self._leave(name, item)
        try:
            yield True
        finally:
            self._held.discard(name)
            self._call_next(name)

    def discard(self, item: Item) -> None:
        """``item`` is gone: whoever waits behind it comes now."""
        if (name := self._called.pop(item, None)) is not None:
            self._call_next(name)
        for waited in [name for name, items in self._waiting.items() if item in items]:
            self._leave(waited, item)

    def _leave(self, name: Name, item: Item) -> None:
        waiting = self._waiting.get(name, {})
        waiting.pop(item, None)
        if not waiting:
            self._waiting.pop(name, None)

    def _call_next(self, name: Name) -> None:
        if name in self._held or name not in self._waiting:
            return
        item = next(iter(self._waiting[name]))
        self._leave(name, item)
        self._called[item] = name
        self._requeue(item)
