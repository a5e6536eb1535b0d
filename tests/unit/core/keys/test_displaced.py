"""A key that another team waits for, and of which nobody knows the buckets."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.core.conditions import stalled
from amove_operator.core.keys import steps
from amove_operator.core.keys.plan import plan_key
from amove_operator.core.keys.snapshot import Blocked
from amove_operator.core.naming import may_reach
from amove_operator.core.reasons import Reason
from tests.unit.core.keys.key_snapshots import FIRST, WIDE, changed, settled, status

CLOSED = Blocked(Reason.BucketNotFound, "There is no AmoveBucket two here: …")
OTHER = next(name for name in ("x", "y", "z") if not may_reach(FIRST.names9, name))
UNNAMED = settled(status=status(None, issues=0))
"""A crash left the first key in the Secret, before any status was written."""


@pytest.mark.parametrize(
    "stuck", [{"gate": CLOSED}, {"fault": stalled(Reason.InvalidSpec, "wrong")}]
)
def test_a_key_of_unknown_buckets_that_cannot_be_replaced_goes_when_another_team_waits_for_one(
    stuck: dict[str, Any],
) -> None:
    step = plan_key(changed(UNNAMED, wanted=("two",), **stuck))
    assert step == steps.Revoke(FIRST.id, steps.RevokeReason.NAME_RELEASED)


@pytest.mark.parametrize(
    "kept",
    [
        {"gate": CLOSED},
        {"gate": CLOSED, "wanted": (OTHER,)},
        {"wanted": ("two",)},
        {"gate": CLOSED, "wanted": ("two",), "scopes": ((FIRST.id, WIDE),)},
        {"gate": CLOSED, "wanted": ("two",), "status": status(FIRST)},
    ],
    ids=["nobody waits", "its mark is another", "replaceable", "issued here", "named by status"],
)
def test_otherwise_it_is_not_taken_away(kept: dict[str, Any]) -> None:
    assert not isinstance(plan_key(changed(UNNAMED, **kept)), steps.Revoke)
