"""Whether a consistent read shows less than was seen before it was asked for."""

from __future__ import annotations

import pytest

from amove_operator.core.history import is_older, number, object_is_older


@pytest.mark.parametrize(
    ("version", "seen_before", "older"),
    [
        ("119", 120, True),
        ("120", 120, False),
        ("121", 120, False),
        ("9", 0, False),
        ("99", 100, True),
        ("a7", 120, False),
        ("", 120, False),
    ],
)
def test_a_list_is_older_where_its_version_is_lower_than_what_was_seen(
    version: str, seen_before: int, older: bool
) -> None:
    assert is_older(version, seen_before) is older


@pytest.mark.parametrize(
    ("shown", "known", "seen_before", "older"),
    [
        ("110", "120", 130, True),
        ("110", "120", 120, True),
        ("110", "120", 119, False),
        ("120", "120", 130, False),
        ("121", "120", 130, False),
        ("a7", "120", 130, False),
        ("110", "b9", 130, False),
    ],
    ids=[
        "older than it was seen before the read",
        "it was the newest of all that was seen",
        "it was seen only after the read was begun",
        "the same",
        "newer",
        "no number shown",
        "no number known",
    ],
)
def test_an_object_is_older_where_it_was_seen_newer_before(
    shown: str, known: str, seen_before: int, older: bool
) -> None:
    assert object_is_older(shown, known, seen_before) is older


def test_what_is_no_number_is_never_newer_than_anything() -> None:
    assert [number(each) for each in ("12", "", "x", "-3")] == [12, 0, 0, 0]
