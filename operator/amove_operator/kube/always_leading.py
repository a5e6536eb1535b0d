"""The lead without a Lease, for AMOVE_LEADER_ELECTION=false."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class AlwaysLeading:
    """The one process leads from the start."""

    unreadable: str | None = None
    standing_by: str | None = None
    nobody_led_meanwhile = False  # the process before this one may not have ended yet

    async def note_free(self) -> None:
        """There is no Lease that would tell."""

    async def run(self, on_lead: Callable[[], None], on_loss: Callable[[], None]) -> None:
        """Call ``on_lead`` and wait until cancelled; the lead is never lost."""
        on_lead()
        await asyncio.Event().wait()

    def check(self) -> None:
        """Always allowed."""

    def renewed_at(self) -> float:
        """There is nothing to renew."""
        return inf

    def annotation(self, name: str) -> str | None:
        """There is no Lease to say anything."""

    def annotate(self, name: str, value: str) -> None:
        """There is no Lease to say it on."""
