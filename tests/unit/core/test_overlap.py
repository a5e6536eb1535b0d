"""Whose hand wrote a status: two operators on one object must notice each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from amove_operator.core.overlap import field_manager, other_operator

OURS = field_manager("amove-system", "amove-operator")
SINCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
CREATED = SINCE - timedelta(days=1)


def entry(manager: str, after: float = 60, subresource: str | None = "status") -> dict[str, Any]:
    moment = SINCE + timedelta(seconds=after)
    noted = {"manager": manager, "operation": "Update", "time": moment.isoformat()}
    return noted | ({"subresource": subresource} if subresource else {})


@pytest.mark.parametrize(
    ("entries", "whose"),
    [
        ([], None),
        ([entry(OURS)], None),
        ([entry("kubectl-patch")], None),
        ([entry(field_manager("other", "red"))], "other/red"),
        ([entry(OURS), entry(field_manager("other", "red"))], "other/red"),
        ([entry(field_manager("amove-system", "red"))], "amove-system/red"),
        ([entry(field_manager("other", "red"), after=-60)], None),
        ([entry(field_manager("other", "red"), subresource=None)], None),
        ([entry(field_manager("other", "red"), subresource="scale")], None),
        ([{"manager": field_manager("other", "red"), "subresource": "status"}], None),
        ([{**entry(field_manager("other", "red")), "time": "soon"}], None),
        # What an operator wrote that did not say of which Lease it is.
        ([entry("amove-operator")], None),
    ],
)
def test_another_operator_is_one_that_wrote_status_since_we_lead(
    entries: list[dict[str, Any]], whose: str | None
) -> None:
    assert other_operator(entries, OURS, SINCE, CREATED) == whose


def test_what_a_restore_brought_along_of_an_earlier_object_tells_nothing() -> None:
    entries = [entry(field_manager("other", "red"), after=60)]
    for seconds, whose in ((61, None), (60, "other/red")):
        created = SINCE + timedelta(seconds=seconds)
        assert other_operator(entries, OURS, SINCE, created) == whose


@pytest.mark.parametrize("length", [1, 40, 49, 50, 51, 100, 253])
def test_the_manager_fits_and_no_two_leases_share_one(length: int) -> None:
    namespace = "n" * 63
    names = ["a" * length, "a" * (length - 1) + "b"]
    managers = [field_manager(namespace, name) for name in names]
    assert all(len(manager) <= 128 for manager in managers)
    assert len(set(managers)) == 2
    assert all(other_operator([entry(one)], OURS, SINCE, CREATED) for one in managers)
