"""The mint budget: how often one CR may be issued a key (design.md §5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

KEPT = 32
_WAITS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 60))
# An hourly rotation falls due after 54 to 60 minutes: it is neither hasty, nor does one ever
# end a series of hasty issues, which only a longer rest does.
_HASTY = timedelta(minutes=50)
_REST = timedelta(minutes=65)


def next_issue_at(recent: Sequence[datetime], budget: int, now: datetime) -> datetime:
    """The moment from which the next key may be issued; not later than ``now`` means at once.

    ``budget`` issues in quick succession are free; past that, one after 5, 10, 20, 40, then
    every 60 minutes, counted from the last issue. An issue dated in the future (a clock that
    jumped) counts as made now.
    """
    issues = sorted(min(issue, now) for issue in recent)
    spent = _spent(issues, now)
    if spent < budget:
        return now
    return issues[-1] + _WAITS[min(spent - budget, len(_WAITS) - 1)]


def _spent(issues: Sequence[datetime], now: datetime) -> int:
    """How many issues of the running series count against the budget."""
    if not issues or now - issues[-1] > _REST:
        return 0
    hasty = 0
    for earlier, later in reversed(list(pairwise(issues))):
        if later - earlier > _REST:
            break
        hasty += later - earlier < _HASTY
    return 1 + hasty


def remember_issue(recent: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """``recent`` with one more issue, the oldest dropped beyond what status may hold."""
    return (*recent, now)[-KEPT:]
