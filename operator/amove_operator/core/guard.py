"""The mass-loss guards: too much gone at once is an account's trouble, not an absence."""

from __future__ import annotations

_FEW = 3
_SHARE = 0.2


def is_mass_loss(missing: int, known: int) -> bool:
    """More than max(3, 20 %) of what is known is missing in one sweep (design.md §4.6, §5.7)."""
    return missing > max(_FEW, _SHARE * known)
