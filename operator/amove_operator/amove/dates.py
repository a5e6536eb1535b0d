"""Reading the dates of a .NET service and of HTTP headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_dotnet_date(value: object) -> datetime | None:
    """Read a .NET ISO-8601 date as an aware UTC datetime.

    Seven fraction digits are cut to microseconds, a missing ``Z`` means UTC, and the year 1
    (.NET's default value) means "not set". Whatever cannot be read is None too, since a date
    must never be the reason to lose an answer (docs/amove-api.md, "Transport").
    """
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return aware if aware.year > 1 else None


def parse_http_date(text: str | None) -> float | None:
    """Read an HTTP date as seconds since the epoch; None where it is missing or is none."""
    if not text:
        return None
    try:
        read = parsedate_to_datetime(text)
        return (read.replace(tzinfo=UTC) if read.tzinfo is None else read).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
