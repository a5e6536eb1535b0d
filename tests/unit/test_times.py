"""Times are written as Kubernetes writes them, and read whatever a person made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from amove_operator import times

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))


def test_times_are_written_in_utc() -> None:
    assert times.rfc3339(NOON.astimezone(BERLIN)) == "2026-01-31T12:00:00Z"
    assert times.microtime(NOON.astimezone(BERLIN)) == "2026-01-31T12:00:00.250000Z"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-31T12:00:00.25Z", NOON),
        ("2026-01-31T13:00:00.25+01:00", NOON),
        ("2026-01-31T12:00:00.25", NOON),
        ("0001-01-01T00:00:00+01:00", None),
        ("noon", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_no_time_is_read_as_none(text: str | None, read: datetime | None) -> None:
    assert times.parse_time(text) == read


def test_the_year_before_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="calendar"):
        times.whole_seconds(datetime(1, 1, 1, tzinfo=BERLIN))
