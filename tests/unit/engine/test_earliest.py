"""The earliest of many moments is known, whatever comes, moves and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amove_operator.engine.earliest import Earliest

PUT = st.tuples(st.integers(0, 5), st.none() | st.integers(0, 3).map(float))


@given(st.lists(PUT, max_size=60))
def test_the_first_is_the_least_of_those_that_are_there(
    puts: list[tuple[int, float | None]],
) -> None:
    moments, known = Earliest[int](), dict[int, float]()
    for key, moment in puts:
        moments.put(key, moment)
        known.pop(key, None)
        if moment is not None:
            known[key] = moment
        assert moments.first() == min(known.values(), default=None)


def test_one_that_moves_to_and_fro_for_ever_costs_no_more_than_one() -> None:
    moments = Earliest[str]()
    moments.put("first", 0.0)
    for number in range(1000):
        moments.put("restless", 1.0 + number % 2)
    assert len(moments._heap) <= 100
