"""The mass-loss guards: too much gone at once is an account's trouble, not an absence.

For example a token of another user, who sees none of our 40 buckets: making them anew would leave
40 empty buckets in a stranger's account, and every application without its data.
"""

from __future__ import annotations

_FEW = 3
_SHARE = 0.2


def most_lost(known: int) -> int:
    """How many of so many may be missing in one sweep: max(3, 20 %); of 40 eight, of 10 three."""
    return max(_FEW, int(_SHARE * known))


def is_mass_loss(missing: int, known: int) -> bool:
    """More than that is missing."""
    return missing > most_lost(known)
