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


def is_new_acceptance(accept_loss: str | None, before: str | None) -> bool:
    """Whether ``accept-loss`` was set to a new value after the loss was seen."""
    return bool(accept_loss) and accept_loss != before


def is_being_ended(seen: Object) -> bool:
    """Whether status says that its bucket or key is deleted at the service by ourselves."""
    return seen.metadata.deleting and deletion_begun(seen.status.conditions)
