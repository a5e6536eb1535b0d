"""An index forgets an item wholly, whether its name has one item or many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amove_operator.engine.index import Index

ITEMS, NAMES = ("a", "b", "c"), ("x", "y", "z")
CHANGES = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.none() | st.lists(st.sampled_from(NAMES), max_size=4))
)


@given(CHANGES)
def test_it_says_what_two_plain_sets_of_pairs_would_say(
    changes: list[tuple[str, list[str] | None]],
) -> None:
    index: Index[str, str] = Index()
    pairs: set[tuple[str, str]] = set()
    for item, names in changes:
        pairs = {pair for pair in pairs if pair[0] != item}
        if names is None:
            index.drop(item)
        else:
            index.put(item, names)
            pairs |= {(item, name) for name in names}
        for name in NAMES:
            assert index.get(name) == sorted(one for one, other in pairs if other == name)
        for one in ITEMS:
            assert index.names(one) == {name for other, name in pairs if other == one}
        assert index.in_use() == {name for _, name in pairs}


def test_what_left_leaves_nothing_behind() -> None:
    index: Index[str, str] = Index()
    for item in ITEMS:
        index.put(item, NAMES)
    for item in ITEMS:
        index.drop(item)
    assert index.__dict__ == Index().__dict__
