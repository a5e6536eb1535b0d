"""The line: three classes, in each the namespaces in turn, in each of them first come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from amove_operator.fairness import FairLine, Urgency

REVOCATION, CHANGE, SWEEP = Urgency


def line(*asked: tuple[str, Urgency]) -> FairLine[str]:
    """Items called ``namespace/…``, in the order of their coming."""
    made: FairLine[str] = FairLine(lambda item: item.partition("/")[0])
    for item, urgency in asked:
        made.put(item, urgency)
    return made


def anybody(_group: Hashable) -> bool:
    return True


def served(
    waiting: FairLine[str],
    number: int = 1000,
    may: Callable[[Hashable], bool] = anybody,
    classes: Collection[Urgency] = tuple(Urgency),
) -> list[str]:
    """Who goes, one after the other."""
    went: list[str] = []
    while len(went) < number and (item := waiting.first(may, classes)) is not None:
        waiting.take(item)
        went.append(item)
    return went


def crowd(namespace: str, urgency: Urgency, number: int = 600) -> list[tuple[str, Urgency]]:
    return [(f"{namespace}/{one}", urgency) for one in range(number)]


def test_namespaces_take_turns_however_many_one_of_them_has() -> None:
    waiting = line(*crowd("big", CHANGE), ("small/a", CHANGE), ("small/b", CHANGE))
    assert served(waiting, 5) == ["big/0", "small/a", "big/1", "small/b", "big/2"]


def test_what_is_urgent_goes_first_and_a_lower_class_that_waits_gets_a_quarter() -> None:
    waiting = line(*crowd("a", CHANGE), *crowd("b", SWEEP))
    kinds = "".join(item[0] for item in served(waiting, 12))
    assert kinds == "aaabaaabaaab"
    waiting = line(*crowd("r", REVOCATION), *crowd("c", CHANGE), *crowd("s", SWEEP))
    shares = Counter(item[0] for item in served(waiting, 160))
    assert shares == {"r": 120, "c": 30, "s": 10}


def test_a_class_that_nobody_else_competes_with_waits_for_nothing() -> None:
    assert served(line(*crowd("a", SWEEP, 3))) == ["a/0", "a/1", "a/2"]


def test_one_that_waits_keeps_its_place_and_may_become_more_urgent() -> None:
    waiting = line(("a/1", SWEEP), ("a/2", SWEEP), ("a/3", CHANGE))
    waiting.put("a/1", SWEEP)
    waiting.put("a/2", REVOCATION)
    waiting.put("a/3", SWEEP)
    assert waiting.urgency("a/3") is CHANGE
    assert served(waiting) == ["a/2", "a/3", "a/1"]


def test_groups_and_classes_that_may_not_go_now_stay_in_line() -> None:
    waiting = line(("full/1", CHANGE), ("free/1", CHANGE), ("free/2", SWEEP))
    allowed = served(waiting, may=lambda group: group == "free", classes=[CHANGE])
    assert allowed == ["free/1"]
    assert served(waiting) == ["full/1", "free/2"]


def test_a_class_gives_way_only_to_one_that_may_go() -> None:
    """Else a sweep whose calls hang would have all changes wait for the end of all revocations."""
    good = [(f"good-{number}/a", CHANGE) for number in range(10)]
    waiting = line(*crowd("r", REVOCATION, 200), *good, ("hung/a", SWEEP))
    went = served(waiting, 60, may=lambda group: group != "hung")
    assert sum(item.startswith("good") for item in went) == 10


def test_one_that_is_gone_is_waited_for_by_nobody() -> None:
    waiting = line(("a/1", CHANGE), ("a/2", CHANGE))
    assert waiting.discard("a/1")
    assert not waiting.discard("a/1")
    assert (len(waiting), "a/1" in waiting, "a/2" in waiting) == (1, False, True)
    assert waiting.clear() == ["a/2"]
    assert waiting.first(anybody) is None


def test_it_is_known_since_when_the_first_of_each_class_waits() -> None:
    waiting = line()
    assert [waiting.oldest(urgency) for urgency in Urgency] == [None, None, None]
    waiting.put("a/1", SWEEP, since=5.0)
    waiting.put("b/1", CHANGE, since=7.0)
    waiting.put("a/1", REVOCATION, since=9.0)
    assert [waiting.oldest(urgency) for urgency in Urgency] == [5.0, 7.0, None]
    assert waiting.since("a/1") == 5.0
    assert [waiting.count(urgency) for urgency in Urgency] == [1, 1, 0]
    waiting.take("a/1")
    assert [waiting.oldest(urgency) for urgency in Urgency] == [None, 7.0, None]


ASKED = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(list(Urgency))), min_size=1, max_size=60
)


@given(ASKED)
def test_everybody_goes_once_and_no_namespace_waits_for_two_turns_of_another(
    asked: list[tuple[str, Urgency]],
) -> None:
    items = [(f"{name}/{number}", urgency) for number, (name, urgency) in enumerate(asked)]
    waiting, classes = line(*items), dict(items)
    went = served(waiting)
    assert sorted(went) == sorted(classes)
    for urgency in Urgency:
        of_class = [item for item in went if classes[item] is urgency]
        for place, (one, after) in enumerate(pairwise(of_class)):
            others = {item[0] for item in of_class[place + 1 :]} - {one[0]}
            assert one[0] != after[0] or not others, f"{one} and {after} while {others} wait"
        for name in "abc":
            own = [int(item[2:]) for item in of_class if item[0] == name]
            assert own == sorted(own)
