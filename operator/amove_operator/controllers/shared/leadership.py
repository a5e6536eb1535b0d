"""Since when this process leads, and which namespaces it cannot list."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Leadership:
    """Whether this process acts. ``since`` is monotonic: minus infinity for one that never led.

    ``renewed_at``: when the last renewal of the Lease was begun; infinity where there is none.
    """

    def __init__(self) -> None:
        self.leading = False
        self.since = -inf
        self.renewed_at: Callable[[], float] = lambda: inf

    def begin(self, at: float) -> None:
        """From now on this process acts."""
        self.leading, self.since = True, at

    def end(self) -> None:
        """The lead is lost."""
        self.leading = False


class Namespaces:
    """The watched namespaces that a census could not list.

    ``hidden``: those of them that exist, so that Secrets there may hold keys that we cannot see.
    ``refused``: why nothing at all can be listed, where all namespaces are one scope.
    """

    def __init__(self) -> None:
        self.refused: str | None = None
        self.unlisted: frozenset[str] = frozenset()
        self.hidden: frozenset[str] = frozenset()

    def listable(self, *namespaces: str) -> str | None:
        """The first of these that can be listed."""
        return next((each for each in namespaces if each not in self.unlisted), None)

    def found(self, unlisted: frozenset[str], hidden: frozenset[str]) -> None:
        """What a census found out."""
        self.unlisted, self.hidden = unlisted, hidden
