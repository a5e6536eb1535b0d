"""The mass-loss guards: too much gone at once is an account's trouble, not an absence.

For example a token of another user, who sees none of our 40 buckets: making them anew would leave
40 empty buckets in a stranger's account, and every application without its data.
"""

from __future__ import annotations

from amove_operator.core.conditions import deletion_begun
from amove_operator.core.reading import Object

_FEW = 3
_SHARE = 0.2


def most_lost(known: int) -> int:
    """How many of so many may be missing in one sweep: max(3, 20 %); of 40 eight, of 10 three."""
    return max(_FEW, int(_SHARE * known))


def is_mass_loss(missing: int, known: int) -> bool:
    """More than that is missing."""
    return missing > most_lost(known)


class Tally:
    """How many there are by namespace, and in which there are most; each answer costs a look-up."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, int] = {}
        self._having: dict[int, dict[str, None]] = {}
        self._most = 0

    def __getitem__(self, namespace: str) -> int:
        return self._counts.get(namespace, 0)

    def add(self, namespace: str, number: int = 1) -> None:
        """One more, or with -1 one less."""
        before = self[namespace]
        now = before + number
        self.total += number
        self._leave(before, namespace)
        if now:
            self._counts[namespace] = now
            self._having.setdefault(now, {})[namespace] = None
        # Counts move by one: where nobody has the highest any more, this one is next to it.
        if now > self._most or self._most not in self._having:
            self._most = now

    def _leave(self, count: int, namespace: str) -> None:
        if self._counts.pop(namespace, None) is not None:
            del self._having[count][namespace]
            if not self._having[count]:
                del self._having[count]

    @property
    def most(self) -> str | None:
        """A namespace with the highest number, if there is any."""
        return next(iter(self._having.get(self._most, ())), None)


def holds_up(namespace: str, lost: Tally, known: Tally) -> bool:
    """Whether what is lost of one account, by namespace, holds up the losses of a namespace.

    More than max(3, 20 %) of the account's buckets must be missing. Of 100 buckets red has 30 and
    deletes them by S3: red is held up, and blue, which lost one of its 20, is not: one team holds
    up nobody but itself. But if an account is switched off, of which red has 98 buckets and blue
    two, then all that blue has is missing as well: the loss shows beyond red, and blue is held up.
    """
    worst = lost.most
    if worst is None or not is_mass_loss(lost.total, known.total):
        return False
    own = lost[namespace]
    if own == lost[worst] or is_mass_loss(own, known[namespace]):
        return True
    beyond, others = lost.total - lost[worst], known.total - known[worst]
    return beyond > _SHARE * others


def is_new_acceptance(accept_loss: str | None, before: str | None) -> bool:
    """Whether ``accept-loss`` was set to a new value after the loss was seen."""
    return bool(accept_loss) and accept_loss != before


def is_being_ended(seen: Object) -> bool:
    """Whether status says that its bucket or key is deleted at the service by ourselves."""
    return seen.metadata.deleting and deletion_begun(seen.status.conditions)
