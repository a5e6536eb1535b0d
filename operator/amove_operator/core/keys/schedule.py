"""When a key may and must be issued: the mint budget, and rotation by the clock. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from amove_operator.models import RecentIssue

KEPT = 32
_SCOPES_KEPT = 8
_WAITS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 60))
# Hourly rotations come 54 to 60 minutes apart: they neither count against the budget (less than
# 50 minutes apart does) nor give it back (more than 65 does). With one limit of 50 minutes the
# longest wait, of 60, would itself give the budget back: a loop would get three keys every hour.
_HASTY = timedelta(minutes=50)
_REST = timedelta(minutes=65)
_SPREAD = 0.1


# ---------------------------------------------------------------- the mint budget


def next_issue_at(recent: Sequence[RecentIssue], budget: int, now: datetime) -> datetime:
    """The moment from which the next key may be issued; not later than ``now`` means at once.

    ``budget`` issues in quick succession are free; past that, one after 5, 10, 20, 40, then every
    60 minutes, counted from the last issue. With a budget of 3 and a Secret that somebody deletes
    each time, keys are issued at 12:00, 12:00, 12:00, 12:05, 12:15, 12:35. An issue dated in the
    future (a clock that jumped) counts as made now: else nothing could be issued until then.
    """
    issues = sorted(min(issue.issued_at, now) for issue in recent)
    spent = _spent(issues, now)
    if spent < budget:
        return now
    return issues[-1] + _WAITS[min(spent - budget, len(_WAITS) - 1)]


def _spent(issues: Sequence[datetime], now: datetime) -> int:
    """How many issues count against the budget: those since the last pause of 65 minutes."""
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

    A note of the same serial is replaced: that key was never asked for. The scope stays with the
    newest only, since a key of an old issue is in the list or gone by now; 32 scopes of 64 bucket
    names each would be 130 kB of status.
    """
    known = [one for one in recent if one.serial != issue.serial]
    newest = (*known, issue)[-KEPT:]
    old, young = newest[:-_SCOPES_KEPT], newest[-_SCOPES_KEPT:]
    return (*(one.model_copy(update={"scope": None}) for one in old), *young)


# ---------------------------------------------------------------- rotation (docs/rotation.md)


def jitter(uid: str) -> float:
    """A number in [0, 1) that is always the same for one UID, and spread over all of them."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:6], "big") / 2**48


def next_rotation(issued_at: datetime, interval: timedelta, uid: str) -> datetime:
    """Between 90 and 100 % of ``interval`` after the issue: never later than was asked for.

    Spread by the UID: a thousand keys that were made in one minute are not replaced in one.
    """
    due = issued_at + interval * (1 - _SPREAD * jitter(uid))
    return due.replace(microsecond=0)
