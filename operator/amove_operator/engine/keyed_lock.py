"""A lock by name that never blocks: who finds it taken is called when his turn has come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Holder = TypeVar("Holder", bound=Hashable)


class KeyedLock(Generic[Name, Holder]):
    """One holder for each name; those who were turned away come one after the other.

    One of them is called whenever the name is free: were all called, each would turn the others
    away again.
    """

    def __init__(self) -> None:
        self._held: set[Name] = set()
        self._waiting: dict[Name, dict[Holder, Callable[[], None]]] = {}
        self._called: dict[Holder, Name] = {}

    @contextmanager
    def try_acquire(
        self, name: Name, holder: Holder, on_turn: Callable[[], None]
    ) -> Iterator[bool]:
        """Whether the lock is ``holder``'s; if not, ``on_turn`` is called when it is free."""
        self._called.pop(holder, None)
        if name in self._held:
            self._waiting.setdefault(name, {})[holder] = on_turn
            yield False
            return
        self._held.add(name)
        self._leave(name, holder)
        try:
            yield True
        finally:
            self._held.discard(name)
            self._call_next(name)

    def discard(self, holder: Holder) -> None:
        """``holder`` is gone: whoever waits behind it comes now."""
        for name in [name for name, waiting in self._waiting.items() if holder in waiting]:
            self._leave(name, holder)
        if (called := self._called.pop(holder, None)) is not None:
            self._call_next(called)

    def _leave(self, name: Name, holder: Holder) -> Callable[[], None] | None:
        waiting = self._waiting.get(name, {})
        on_turn = waiting.pop(holder, None)
        if not waiting:
            self._waiting.pop(name, None)
        return on_turn

    def _call_next(self, name: Name) -> None:
        if name in self._held or name not in self._waiting:
            return
        holder = next(iter(self._waiting[name]))
        self._called[holder] = name
        if (on_turn := self._leave(name, holder)) is not None:
            on_turn()
