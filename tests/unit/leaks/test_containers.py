"""The walk that finds what could grow: no container of ours may hide from it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from amove_operator.engine.index import Index
from amove_operator.telemetry import Metrics
from tests.unit.leaks.containers import Walk


class Slotted:
    __slots__ = ("kept",)

    def __init__(self, *kept: object) -> None:
        self.kept = kept


class Pair(NamedTuple):
    left: object
    right: object


@dataclass
class Holder:
    plain: dict[str, Any] = field(default_factory=dict)
    slotted: Slotted = field(default_factory=lambda: Slotted("a", "b", "c"))
    pair: Pair = field(default_factory=lambda: Pair(1, Slotted("in a named tuple")))
    bound: Any = None
    index: Index[str, str] = field(default_factory=Index)
    waiting: Any = field(default_factory=asyncio.Queue)
    metrics: Metrics = field(default_factory=Metrics)


for ours in (Slotted, Pair, Holder):
    ours.__module__ = "amove_operator.made_up"


def test_a_container_is_found_wherever_it_is_held() -> None:
    holder = Holder()
    holder.plain = {"one": [1, 2], "two": [3], "three": {"deep": deque("abcd")}}
    holder.index.put("item", ["name", "other"])
    holder.waiting.put_nowait("event")
    holder.metrics.keys_revoked.labels("grace").inc()
    hidden = Holder(plain={"in a closure": 1})
    holder.bound = partial(lambda given: (given, hidden), "x")
    sizes = {name: (one.total, one.largest) for name, one in Walk([holder]).sizes.items()}
    for name, expected in {
        "Holder.plain": (4, 3),
        "Holder.plain[]": (4, 2),
        "Holder.plain[][]": (4, 4),
        "Slotted.kept": (8, 3),
        "Holder.index._items": (2, 2),
        "Holder.index._names": (1, 1),
        "Holder.waiting": (1, 1),
        "Metrics.keys_revoked{}": (1, 1),
    }.items():
        assert sizes[name] == expected, name
