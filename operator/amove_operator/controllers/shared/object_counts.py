"""How many objects are Ready, and how many keys wait or hold too much: counted as they change.

So a scrape of the metrics reads a few numbers, however many objects there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from amove_operator.core import conditions
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import Kind

Of = Literal["exhausted", "untrusted"] | tuple[Kind, bool]


class ObjectCounts:
    """The counts of the objects that are there; the Store tells of each change."""

    def __init__(self) -> None:
        self._counts: Counter[Of] = Counter()

    def moved(self, before: Object | None, now: Object | None) -> None:
        """An object is as ``now`` and was as ``before``; ``None``: it is not there."""
        self._counts.subtract(_counted_as(before))
        self._counts.update(_counted_as(now))

    def of(self, kind: Kind, *, ready: bool) -> int:
        """How many objects of a kind are Ready, or are not."""
        return self._counts[kind, ready]

    @property
    def exhausted(self) -> int:
        """How many AmoveStorageKeys wait because they had too many keys issued."""
        return self._counts["exhausted"]

    @property
    def untrusted(self) -> int:
        """How many AmoveStorageKeys hold a live key that their namespace is not trusted with."""
        return self._counts["untrusted"]


def _counted_as(seen: Object | None) -> Iterator[Of]:
    if seen is None:
        return
    yield seen.KIND, conditions.is_true(seen.status.conditions, "Ready")
    if isinstance(seen, AmoveStorageKey):
        reasons = {one.reason for one in seen.status.conditions}
        if Reason.MintBudgetExhausted in reasons:
            yield "exhausted"
        if Reason.NotPermitted in reasons and seen.proven.key is not None:
            yield "untrusted"
