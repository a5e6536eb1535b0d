"""Killed anywhere in a bucket's life, the next operator brings it to the same end.

The moments are not listed here: each operator dies one effect further on, until one survives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import about
from tests.cluster.harness import BUCKET, a_bucket, eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Starter
from tests.faults.bucket_crashes import CREATE, DELETE, HALF_MADE, MAKE_AGAIN, Crashes, Story
from tests.faults.crash_point import CrashingOperator

Start = Callable[[str], CrashingOperator]
WHENS = ("before", "after")
OTHERS = (HALF_MADE, MAKE_AGAIN, DELETE)


@pytest.fixture
def start(
    starter: Starter, operator_variables: Callable[..., dict[str, str]], tmp_path: Path
) -> Iterator[Start]:
    """Start an operator that dies where it is told, and wait until it serves."""
    variables = operator_variables()
    started: list[CrashingOperator] = []

    def starting(crash_at: str = "") -> CrashingOperator:
        operator = CrashingOperator(starter, variables, tmp_path, crash_at)
        started.append(operator)
        operator.wait_leading()
        return operator

    yield starting
    for operator in started:
        operator.stop()
    # pytest shows it with a failure.
    print((tmp_path / "operator.log").read_text()[-8000:])  # noqa: T201


Begin = Callable[[int, str], tuple[CrashingOperator, Callable[[], bool]]]
"""Start the operator that dies at the n-th effect about a bucket; whether its moment came."""


def until_one_survives(crashes: Crashes, prefix: str, begin: Begin) -> tuple[int, CrashingOperator]:
    """The number of the first moment that never came, and the operator that outlived it."""
    for number in count(1):
        name = f"{prefix}-{number:02}"
        operator, reached = begin(number, name)
        if crashes.survives(operator, name, reached):
            return number, operator
    raise AssertionError("the loop above has no end")


@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("story", [CREATE, *OTHERS], ids=lambda story: story.name)
def test_killed_at_any_call_or_write_a_bucket_ends_as_if_nobody_had_been(
    cluster: Cluster, emulator: Emulator, start: Start, story: Story, when: str
) -> None:
    crashes = Crashes(cluster, emulator, story)

    def begin(number: int, name: str) -> tuple[CrashingOperator, Callable[[], bool]]:
        operator = start(f"{number}:{when}")
        crashes.begin(name, operator)
        return operator, lambda: len(operator.effects) >= number

    _, survivor = until_one_survives(crashes, f"killed-{when}", begin)
    assert tuple(effect.split()[0] for effect in survivor.effects) == story.effects


def killed_while_the_service_is_at_work(
    cluster: Cluster, emulator: Emulator, start: Start, story: Story, when: str
) -> None:
    """The call is on its way, or done, and its answer reaches nobody."""
    crashes = Crashes(cluster, emulator, story)

    def begin(number: int, name: str) -> tuple[CrashingOperator, Callable[[], bool]]:
        operator = start("")
        crashes.begin(name, operator)
        kill = {"pid": operator.pid, "when": when}
        fault = emulator.control.fault("*", contains=name, nth=number, kill=kill)
        return operator, lambda: _has_struck(emulator, fault)

    survived, _ = until_one_survives(crashes, f"cut-{when}", begin)
    assert survived == 1 + story.calls


@pytest.mark.parametrize("when", WHENS)
def test_killed_while_the_service_is_at_work_a_bucket_is_made_once(
    cluster: Cluster, emulator: Emulator, start: Start, when: str
) -> None:
    killed_while_the_service_is_at_work(cluster, emulator, start, CREATE, when)


@pytest.mark.long
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("story", OTHERS, ids=lambda story: story.name)
def test_killed_while_the_service_is_at_work_a_bucket_ends_as_if_nobody_had_been(
    cluster: Cluster, emulator: Emulator, start: Start, story: Story, when: str
) -> None:
    killed_while_the_service_is_at_work(cluster, emulator, start, story, when)


def _has_struck(emulator: Emulator, fault: int) -> bool:
    return any(one["id"] == fault and one["struck"] for one in emulator.control.faults())


@pytest.mark.parametrize("when", WHENS)
def test_killed_amid_the_deletion_of_many_the_rest_goes_and_is_no_mass_loss(
    cluster: Cluster, emulator: Emulator, start: Start, tmp_path: Path, when: str
) -> None:
    """What the first operator deleted, and could not confirm, must not frighten the second."""
    names = [f"doomed-{number}" for number in range(8)]
    kept = ["kept-0", "kept-1"]
    first = start("")
    cluster.apply(*(a_bucket(name, deletionPolicy="Delete") for name in names))
    cluster.apply(*(a_bucket(name) for name in kept))
    for name in names + kept:
        cluster.until(BUCKET, name, "Synced")
    kill = {"pid": first.pid, "when": when}
    emulator.control.fault("delete_bucket", nth=6, kill=kill)

    for name in names:
        cluster.delete(BUCKET, name)

    eventually(lambda: first.killed, what="its death")
    assert len(emulator.control.buckets()) in range(len(kept) + 1, len(kept) + 4)
    start("")
    for name in names:
        cluster.gone(BUCKET, name)
    assert set(emulator.control.buckets()) == set(kept)
    for name in kept:
        cluster.until(BUCKET, name, "Synced", "Settled")
    assert "MassBucketLoss" not in (tmp_path / "operator.log").read_text()
    journal = emulator.control.journal("delete_bucket")
    done = [about(entry) for entry in journal if entry["effect"]]
    assert sorted(done) == names
    assert emulator.control.count("create_bucket") == len(names + kept)
