"""How waits grow, and what is read as an HTTP date."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.clock import backoff, parse_http_date


def test_waits_double_up_to_the_cap_and_stay_there() -> None:
    assert [backoff(0.5, 8.0, attempt) for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert backoff(1.0, 600.0, 5_000) == 600.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:16:50 GMT", 1010.0),
        ("Thu, 01 Jan 1970 00:16:50 -0000", 1010.0),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_http_date_is_seconds_since_the_epoch(text: str | None, seconds: float | None) -> None:
    assert parse_http_date(text) == seconds


@given(st.text() | st.none())
def test_whatever_stands_for_an_http_date_it_raises_nothing(text: str | None) -> None:
    parse_http_date(text)
