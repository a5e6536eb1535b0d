"""The mint budget: how often one CR may be issued a key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from amove_operator.models import RecentIssue

KEPT = 32
_SCOPES_KEPT = 8
_WAITS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 60))
# An hourly rotation falls due after 54 to 60 minutes: it is neither hasty, nor does one ever
# end a series of hasty issues, which only a longer rest does.
_HASTY = timedelta(minutes=50)
_REST = timedelta(minutes=65)


def next_issue_at(recent: Sequence[RecentIssue], budget: int, now: datetime) -> datetime:
    """The moment from which the next key may be issued; not later than ``now`` means at once.

    ``budget`` issues in quick succession are free; past that, one after 5, 10, 20, 40, then
    every 60 minutes, counted from the last issue. An issue dated in the future (a clock that
    jumped) counts as made now.
    """
    issues = sorted(min(issue.issued_at, now) for issue in recent)
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


def remember_issue(recent: Sequence[RecentIssue], issue: RecentIssue) -> tuple[RecentIssue, ...]:
    """``recent`` with one more issue, the oldest dropped beyond what status may hold.

    A note of the same serial is replaced: that key was never asked for. Of old issues only the
    moment is kept, since none of their keys can be on its way any more.
    """
    known = [one for one in recent if one.serial != issue.serial]
    newest = (*known, issue)[-KEPT:]
    old, young = newest[:-_SCOPES_KEPT], newest[-_SCOPES_KEPT:]
    return (*(one.model_copy(update={"scope": None}) for one in old), *young)
