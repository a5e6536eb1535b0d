"""The mass-loss guards: too much gone at once is an account's trouble, not an absence."""

from __future__ import annotations

_FEW = 3
_SHARE = 0.2


def most_lost(known: int) -> int:
    """How many of so many may be missing in one sweep: max(3, 20 %)."""
    return max(_FEW, int(_SHARE * known))


def is_mass_loss(missing: int, known: int) -> bool:
    """More than that is missing."""
    return missing > most_lost(known)
