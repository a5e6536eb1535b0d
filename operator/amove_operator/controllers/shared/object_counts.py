"""How many objects are Ready, how many keys wait or hold too much, and what is due or old.

Counted as they change: a scrape of the metrics reads a few numbers, however many objects there
are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from amove_operator.core import conditions
from amove_operator.core.key_list import KeyList
from amove_operator.core.reading import Object
from amove_operator.core.reasons import Reason
from amove_operator.engine.earliest import Earliest
from amove_operator.models import AmoveStorageKey
from amove_operator.models.refs import Kind
from amove_operator.models.shared import Condition

Ready = tuple[Kind, bool, str]
"""Objects of a kind that are Ready or not, and the reason of that."""
Of = Literal["exhausted", "untrusted"] | Ready
_REASONS = frozenset((*Reason, "none"))
Issuer = tuple[str | None, bool]
"""The user who issued an object's key, and whether the object says that the user is another now."""


class ObjectCounts:
    """The counts of the objects that are there; the Store tells of each change.

    Moments are Unix seconds. ``unready_since``: by kind and by whether the object is stalled.
    ``revocations_due``: when a live key of an object is to be revoked, because its grace ends or
    the object is deleted.
    """

    def __init__(self) -> None:
        self._counts: Counter[Of] = Counter()
        self._issuers: Counter[Issuer] = Counter()
        self.unready_since: dict[tuple[Kind, bool], Earliest[str]] = {
            (kind, halted): Earliest() for kind in Kind for halted in (False, True)
        }
        self.issued: Earliest[str] = Earliest()
        self.rotations: Earliest[str] = Earliest()
        self.revocations_due: Earliest[str] = Earliest()

    def moved(self, before: Object | None, now: Object | None) -> None:
        """An object is as ``now`` and was as ``before``; ``None``: it is not there."""
        self._counts.subtract(_counted_as(before))
        self._counts.update(_counted_as(now))
        self._issuers.update(_issuer(now))
        for issuer in _issuer(before):
            self._issuers[issuer] -= 1
            if not self._issuers[issuer]:
                del self._issuers[issuer]
        if before is not None and (now is None or now.metadata.uid != before.metadata.uid):
            self._note_moments(before, there=False)
        if now is not None:
            self._note_moments(now, there=True)

    def _note_moments(self, seen: Object, *, there: bool) -> None:
        uid, said = seen.metadata.uid, seen.status.conditions
        halted = conditions.is_true(said, "Stalled")
        for which, since in self.unready_since.items():
            since.put(uid, _unready_since(seen) if there and which == (seen.KIND, halted) else None)
        if isinstance(seen, AmoveStorageKey):
            key = seen.proven.key if there else None
            self.issued.put(uid, _seconds(key.issued_at if key is not None else None))
            rests = not there or seen.metadata.deleting or seen.metadata.paused
            self.rotations.put(uid, None if rests else _seconds(seen.proven.next_rotation))
            self.revocations_due.put(uid, _revocation_due(seen) if there else None)

    def by_readiness(self) -> dict[Ready, int]:
        """How many objects there are of each kind, readiness and reason that was seen so far."""
        return {of: count for of, count in self._counts.items() if isinstance(of, tuple)}

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


def _unready_since(seen: Object) -> float | None:
    """Since when the object is not Ready; a new one, since it was made."""
    ready = conditions.find(seen.status.conditions, "Ready")
    if ready is None:
        return _seconds(seen.metadata.creation_timestamp)
    return None if ready.status == "True" else _seconds(ready.last_transition_time)


def _revocation_due(key: AmoveStorageKey) -> float | None:
    """When a live key of the object is to be revoked; one that is paused has it wait."""
    if key.metadata.paused:
        return None
    status = key.proven
    due = [one.revoke_after for one in status.retiring if not one.dead]
    asked = key.metadata.deletion_timestamp
    if asked is not None and key.metadata.finalized_by_us and key.spec.deletion_policy == "Delete":
        due += [asked] if status.key is not None and not status.key.dead else []
    return _seconds(min(due, default=None))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _counted_as(seen: Object | None) -> Iterator[Of]:
    if seen is None:
        return
    said = seen.status.conditions
    yield seen.KIND, conditions.is_true(said, "Ready"), _shown_reason(said)
    if isinstance(seen, AmoveStorageKey):
        reasons = {one.reason for one in said}
        if Reason.MintBudgetExhausted in reasons:
            yield "exhausted"
        if Reason.NotPermitted in reasons and seen.proven.key is not None:
            yield "untrusted"


def _shown_reason(said: Iterable[Condition]) -> str:
    """The reason of Ready as a label: a word of ours, or ``other`` for a newer version's."""
    reason = conditions.reason_of(said, "Ready") or "none"
    return reason if reason in _REASONS else "other"
