"""How much of an account may be lost, and which namespaces a mass loss holds up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.mass_loss import Tally, holds_up, is_mass_loss


def tally(**numbers: int) -> Tally:
    counted = Tally()
    for namespace, number in numbers.items():
        for _ in range(number):
            counted.add(namespace)
    return counted


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans())))
def test_a_tally_knows_its_total_and_where_most_are(moves: list[tuple[str, bool]]) -> None:
    counted, truth = Tally(), Counter[str]()
    for namespace, more in moves:
        if more or truth[namespace]:
            counted.add(namespace, 1 if more else -1)
            truth[namespace] += 1 if more else -1
        assert counted.total == truth.total()
        assert all(counted[each] == truth[each] for each in "abcd")
        most = max(truth.values(), default=0)
        assert (counted.most is None) if not most else (truth[counted.most or ""] == most)


HELD_UP: list[tuple[str, dict[str, int], dict[str, int], str]] = [
    ("three of three", {"a": 3}, {"a": 3}, ""),
    ("four of four", {"a": 4}, {"a": 4}, "a"),
    ("a fifth", {"a": 10, "b": 10}, {"a": 50, "b": 50}, ""),
    (
        "one team's, beside another's single one",
        {"a": 30, "b": 1},
        {"a": 30, "b": 20, "c": 50},
        "a",
    ),
    (
        "one team's, beside all the little that another has",
        {"a": 98, "b": 2},
        {"a": 98, "b": 2},
        "ab",
    ),
    ("two teams' whole", {"a": 12, "b": 11}, {"a": 12, "b": 11, "c": 77}, "ab"),
    ("as much of each of two", {"a": 11, "b": 11}, {"a": 40, "b": 60}, "ab"),
    ("few, of which one team has lost most", {"a": 3, "b": 1}, {"a": 3, "b": 7}, "a"),
    ("one of each of many", dict.fromkeys("abcd", 1), dict.fromkeys("abcdefghij", 1), "abcd"),
]


@pytest.mark.parametrize(
    ("lost", "known", "held"), [row[1:] for row in HELD_UP], ids=[row[0] for row in HELD_UP]
)
def test_who_is_held_up(lost: dict[str, int], known: dict[str, int], held: str) -> None:
    found = [each for each in lost if holds_up(each, tally(**lost), tally(**known))]
    assert "".join(found) == held


numbers = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=1
)


@given(numbers)
def test_a_mass_loss_holds_up_somebody_and_nothing_less_holds_up_anybody(
    drawn: dict[str, tuple[int, int]],
) -> None:
    lost = tally(**{each: gone for each, (gone, _) in drawn.items()})
    known = tally(**{each: gone + there for each, (gone, there) in drawn.items()})
    held = any(holds_up(each, lost, known) for each in drawn)
    assert held == is_mass_loss(lost.total, known.total)
