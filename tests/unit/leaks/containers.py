"""Every container that is reached from some objects: what could grow, found and not listed."""

from __future__ import annotations

import asyncio
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

PACKAGE = "amove_operator"
_CONTAINERS = (Mapping, list, tuple, set, frozenset, deque, asyncio.Queue)
_EMPTY = ((), frozenset[object]())
_CONSTANT = (Mapping, list, set, deque)


@dataclass(slots=True)
class Size:
    """How many members the containers of one name have: all together, and the largest alone."""

    total: int = 0
    largest: int = 0

    def add(self, members: int) -> None:
        self.total += members
        self.largest = max(self.largest, members)


class Walk:
    """Goes through attributes of our own classes, and through what containers hold.

    A container's name is ``Class.attribute``, with ``[]`` for one within another. Of a class of
    ``engine``, which knows no use of its own, it is the name of the attribute that holds it. An
    API object (a pydantic model) is a value: how large it may be is a rule of its kind. Classes
    that are not ours are passed over, but for the children of a metric, one for each set of labels.
    """

    def __init__(self, roots: Iterable[object]) -> None:
        self.sizes: dict[str, Size] = {}
        self._seen: set[int] = set()
        self._kept: list[object] = []  # else another object may get the id of one that is gone
        self._ahead: deque[tuple[object, str]] = deque((root, "") for root in roots)
        while self._ahead:
            self._visit(*self._ahead.popleft())

    def _visit(self, found: object, name: str) -> None:
        if id(found) in self._seen or isinstance(found, BaseModel | type | str | bytes):
            return
        if found not in _EMPTY:  # of which there is one for all who have nothing
            self._seen.add(id(found))
            self._kept.append(found)
        if isinstance(found, _CONTAINERS) and not hasattr(found, "_fields"):
            self._measure(found, name)
        elif isinstance(found, MetricWrapperBase):
            if found._labelnames and not found._labelvalues:
                self._add(f"{name}{{}}", len(found._metrics))
        elif isinstance(found, partial):
            self._go_on((found.func, *found.args, *found.keywords.values()), name)
        elif isinstance(found, types.MethodType):
            self._go_on((found.__self__, found.__func__), name)
        elif isinstance(found, types.FunctionType):
            cells = (cell.cell_contents for cell in found.__closure__ or ())
            self._go_on((one for one in cells if _is_ours(one)), name)
        elif _is_ours(found):
            kind = type(found)
            engine = kind.__module__.startswith(f"{PACKAGE}.engine.") and name
            for attribute, value in _attributes(found):
                self._ahead.append((value, f"{name if engine else kind.__name__}.{attribute}"))

    def _measure(self, found: Any, name: str) -> None:
        if isinstance(found, asyncio.Queue):
            self._add(name, found.qsize())
            return
        self._add(name, len(found))
        members = [*found, *found.values()] if isinstance(found, Mapping) else list(found)
        self._go_on(members, f"{name}[]")

    def _go_on(self, members: Iterable[object], name: str) -> None:
        self._ahead.extend((member, name) for member in members)

    def _add(self, name: str, members: int) -> None:
        self.sizes.setdefault(name, Size()).add(members)


def _is_in_package(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def _is_ours(found: object) -> bool:
    return _is_in_package(type(found).__module__)


def _attributes(found: object) -> Iterator[tuple[str, object]]:
    """What an object holds, in its dictionary, in slots or in the fields of a named tuple."""
    names = dict.fromkeys(getattr(found, "_fields", ()))
    for kind in type(found).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names |= dict.fromkeys((slots,) if isinstance(slots, str) else slots)
    for name in (*names, *getattr(found, "__dict__", ())):
        if hasattr(found, name):
            yield name, getattr(found, name)


def modules() -> Iterator[tuple[str, types.ModuleType]]:
    for name, module in sorted(sys.modules.items()):
        if _is_in_package(name) and module is not None:
            yield name.removeprefix(f"{PACKAGE}."), module


def held_by_modules() -> list[object]:
    """The objects of our classes that a module itself holds: one for the process."""
    return [one for _, module in modules() for one in vars(module).values() if _is_ours(one)]


def constants() -> dict[str, int]:
    """The size of each container of a module or a class: who grows one at run time leaks.

    A cache of so many entries at most is full at some time, and grows no more.
    """
    found = {}
    for name, module in modules():
        for attribute, value in vars(module).items():
            if isinstance(value, _CONSTANT) and not attribute.startswith("__"):
                found[f"{name}.{attribute}"] = len(value)
            if isinstance(value, type) and value.__module__ == module.__name__:
                for inner, held in vars(value).items():
                    if isinstance(held, _CONSTANT) and not inner.startswith("__"):
                        found[f"{name}.{attribute}.{inner}"] = len(held)
            cached = hasattr(value, "cache_info") and _is_in_package(value.__module__)
            if cached and value.cache_info().maxsize is None:
                found[f"{name}.{attribute}()"] = value.cache_info().currsize
    return found
