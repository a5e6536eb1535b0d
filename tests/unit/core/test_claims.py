"""One bucket name, one AmoveBucket (docs/policies.md), and the guard against mass losses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.mass_loss import is_mass_loss
from amove_operator.core.names import Claimant, claim_holder

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def claimant(
    uid: str, minute: int | None = 0, *, proven: bool = False, stalled: bool = False
) -> Claimant:
    created = None if minute is None else NOON + timedelta(minutes=minute)
    return Claimant(f"ns-{uid}", "media", uid, created, proven=proven, stalled=stalled)


@pytest.mark.parametrize(
    ("claimants", "holder"),
    [
        pytest.param([], None, id="nobody wants it"),
        pytest.param([claimant("a")], "a", id="the only one has it"),
        pytest.param([claimant("a", 2), claimant("b", 1), claimant("c", 3)], "b", id="the oldest"),
        pytest.param(
            [claimant("c", 1), claimant("b", 1), claimant("a", 2)], "b", id="same second: the UID"
        ),
        pytest.param(
            [claimant("a", 1), claimant("b", 1), claimant("c", 9, proven=True)],
            "c",
            id="provenance or intent comes before age",
        ),
        pytest.param(
            [claimant("a", 2, proven=True), claimant("b", 1, proven=True), claimant("c", 0)],
            "b",
            id="two with proof: the oldest of them",
        ),
        pytest.param(
            [claimant("a", 1, stalled=True), claimant("b", 2), claimant("c", 3)],
            "b",
            id="who is stalled has no claim",
        ),
        pytest.param(
            [claimant("a", 1, stalled=True), claimant("b", 2, stalled=True)],
            None,
            id="all are stalled: the name is free",
        ),
        pytest.param(
            [claimant("a", 1), claimant("b", 2, proven=True, stalled=True)],
            "b",
            id="a typo in the spec of the owner does not give its bucket away",
        ),
        pytest.param(
            [claimant("a", None), claimant("b", 5)], "b", id="without a creation time: the last"
        ),
    ],
)
def test_who_holds_the_name(claimants: list[Claimant], holder: str | None) -> None:
    found = claim_holder(claimants)
    assert (found.uid if found else None) == holder


many = st.lists(
    st.builds(
        claimant,
        uid=st.text("abcdef", min_size=1, max_size=3),
        minute=st.one_of(st.none(), st.integers(0, 3)),
        proven=st.booleans(),
        stalled=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: one.uid,
)


@given(many, st.randoms())
def test_the_holder_does_not_depend_on_the_order_they_are_seen_in(
    claimants: list[Claimant], random: Random
) -> None:
    shuffled = list(claimants)
    random.shuffle(shuffled)
    assert claim_holder(claimants) == claim_holder(shuffled)


@given(many)
def test_when_the_holder_goes_the_next_is_who_would_have_been(claimants: list[Claimant]) -> None:
    """So a loser takes over without any negotiation."""
    holder = claim_holder(claimants)
    rest = [one for one in claimants if one != holder]
    heir = claim_holder(rest)
    assert heir is None or heir in rest
    assert heir is not None or all(one.stalled and not one.proven for one in rest)


@pytest.mark.parametrize(
    ("missing", "known", "mass"),
    [
        (0, 0, False),
        (1, 1, False),
        (3, 3, False),
        (4, 4, True),
        (3, 15, False),
        (4, 15, True),
        (4, 20, False),
        (5, 20, True),
        (20, 100, False),
        (21, 100, True),
    ],
)
def test_more_than_three_and_more_than_a_fifth_is_a_mass_loss(
    missing: int, known: int, mass: bool
) -> None:
    assert is_mass_loss(missing, known) is mass
