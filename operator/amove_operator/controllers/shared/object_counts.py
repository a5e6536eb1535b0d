"""How many objects are Ready, and how many keys wait or hold too much: counted as they change.

So a scrape of the metrics reads a few numbers, however many objects there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from amove_operator.core import conditions
from amove_operator.core.key_list import KeyList
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import Kind

Of = Literal["exhausted", "untrusted"] | tuple[Kind, bool]
Issuer = tuple[str | None, bool]
"""The user who issued an object's key, and whether the object says that the user is another now."""


class ObjectCounts:
    """The counts of the objects that are there; the Store tells of each change."""

    def __init__(self) -> None:
        self._counts: Counter[Of] = Counter()
        self._issuers: Counter[Issuer] = Counter()

    def moved(self, before: Object | None, now: Object | None) -> None:
        """An object is as ``now`` and was as ``before``; ``None``: it is not there."""
        self._counts.subtract(_counted_as(before))
        self._counts.update(_counted_as(now))
        self._issuers.update(_issuer(now))
        for issuer in _issuer(before):
            self._issuers[issuer] -= 1
            if not self._issuers[issuer]:
                del self._issuers[issuer]

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

    def issued_by_others(self, listing: KeyList | None) -> int:
        """How many AmoveStorageKeys have a key that another API user than today's issued.

        By the list, where that shows anybody's keys; an empty one does not say whose it is, but the
        user of a key that was issued since does, and then the object says so.
        """
        return sum(
            count
            for (user, says_so), count in self._issuers.items()
            if says_so or (listing is not None and listing.speaks_for(user) is False)
        )


def _issuer(seen: Object | None) -> Iterator[Issuer]:
    if isinstance(seen, AmoveStorageKey) and seen.proven.key is not None:
        reasons = {one.reason for one in seen.status.conditions}
        yield seen.proven.key.user_id, Reason.ApiUserChanged in reasons


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
