"""How times are written and read: RFC 3339 as Kubernetes has it, in UTC.

Whatever status says is in whole seconds. A fraction that is compared but not written would never
be equal to what was read, and each pass would send one more write.
"""

from __future__ import annotations

from datetime import UTC, datetime


def whole_seconds(moment: datetime) -> datetime:
    """In UTC, cut to the second.

    ValueError where that is outside of the calendar: midnight of the year 1 in Berlin is in the
    year 0 in UTC.
    """
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("a time outside of the calendar") from None


def rfc3339(moment: datetime) -> str:
    """``metav1.Time``: ``2026-01-31T12:00:00Z``. ValueError outside of the calendar."""
    return f"{whole_seconds(moment).replace(tzinfo=None).isoformat()}Z"


def microtime(moment: datetime) -> str:
    """``metav1.MicroTime``: ``2026-01-31T12:00:00.000000Z``, as Events and Leases have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> datetime | None:
    """Read a time that a person may have edited, in UTC; None where it is none.

    Without an offset it counts as UTC.
    """
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # overflow: the year 1 with an offset to the east
        return None
