"""Killed anywhere in a key's life, the next operator leaves one live key, held by a whole Secret.

The moments are not listed here: each operator dies one effect further on, until one survives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.harness import BUCKET, a_bucket
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Starter
from tests.faults.crash_point import CrashingOperator
from tests.faults.key_crashes import (
    DELETE,
    DELETED,
    EDITED,
    GRACE_END,
    ISSUE,
    REISSUE,
    RETAIN,
    ROTATE,
    Matrix,
    SecretVersions,
    Story,
)

Play = Callable[[int], AbstractContextManager[Matrix]]
WHENS = ("before", "after")


@pytest.fixture
def play(
    cluster: Cluster,
    emulator: Emulator,
    starter: Starter,
    operator_variables: Callable[..., dict[str, str]],
    tmp_path: Path,
) -> Iterator[Play]:
    """A matrix with so many CRs abreast, and at its end all that must have held throughout."""
    variables = operator_variables(mint_budget=20, trusted_namespaces=[cluster.namespace])

    def start(crash_at: str, *, armed: bool = False) -> CrashingOperator:
        operator = CrashingOperator(starter, variables, tmp_path, crash_at)
        if armed:
            operator.arm()
        try:
            operator.wait_leading()
        except RuntimeError:
            if not (armed and operator.killed):
                raise
        return operator

    @contextmanager
    def playing(abreast: int) -> Iterator[Matrix]:
        matrix = Matrix(cluster, emulator, start, abreast)
        operator = start("")
        cluster.apply(a_bucket("photos"))
        cluster.ready(BUCKET, "photos")
        operator.stop()
        with SecretVersions(cluster, tmp_path / "secrets.json") as versions:
            yield matrix
            matrix.mend()
        matrix.judge.never_half(versions.seen())
        matrix.judge.never_more_than_two()
        matrix.judge.nothing_else(matrix.kept)
        # What our own deletions took away is no loss: nothing waits for a person.
        assert "MassKeyLoss" not in (tmp_path / "operator.log").read_text()

    yield playing
    # pytest shows it with a failure.
    sys.stdout.write((tmp_path / "operator.log").read_text()[-8000:])


def everywhere(matrix: Matrix, story: Story, when: str) -> int:
    """Kill at every effect of the story; how many there were."""
    for number in count(1):
        if matrix.survives(story, number, when):
            return number - 1
    raise AssertionError("the loop above has no end")


def test_killed_at_any_effect_of_an_issue_one_live_key_is_held_by_a_whole_secret(
    play: Play,
) -> None:
    with play(1) as matrix:
        effects = {when: everywhere(matrix, ISSUE, when) for when in WHENS}
    # Finalizer, create, Secret and status.
    assert min(effects.values()) >= 4


def everywhere_twice(matrix: Matrix, story: Story, when: str, again: str) -> int:
    """Kill at every effect of the story, and its heir at every effect of the healing."""
    healed = 0
    for number in count(1):
        for later in count(1):
            if matrix.survives(story, number, when):
                return healed
            if matrix.heals(later, again):
                break
            healed += 1
    raise AssertionError("the loop above has no end")


def test_killed_here_and_there_in_a_rotation_a_repair_or_a_deletion_it_heals(play: Play) -> None:
    """A sample of what the long run does in full."""
    sample = {ROTATE: (2, 5), REISSUE: (3, 6), DELETED: (2, 4), EDITED: (3, 5), DELETE: (1, 2)}
    with play(2) as matrix:
        for story, numbers in sample.items():
            for number, when in zip(numbers, WHENS, strict=True):
                assert not matrix.survives(story, number, when), (story.name, number, when)


def test_killed_as_a_grace_ends_or_while_a_key_is_let_go_with_its_secret_it_heals(
    play: Play,
) -> None:
    """A sample as well."""
    sample = [(RETAIN, 3, "before"), (RETAIN, 4, "after"), (GRACE_END, 1, "after")]
    with play(2) as matrix:
        for story, number, when in sample:
            assert not matrix.survives(story, number, when), (story.name, number, when)


def test_killed_again_while_it_heals_it_heals_all_the_same(play: Play) -> None:
    """A sample too: the first kill leaves something to do, the second comes in the midst of it."""
    sample = [
        (ISSUE, 5, "before", 1, "after"),
        (ROTATE, 5, "after", 3, "before"),
        (DELETED, 5, "after", 2, "after"),
        (DELETE, 4, "after", 2, "before"),
        (RETAIN, 2, "after", 2, "after"),
    ]
    with play(2) as matrix:
        for story, number, when, later, again in sample:
            assert not matrix.survives(story, number, when), (story.name, number, when)
            assert not matrix.heals(later, again), (story.name, number, when, later, again)


def test_killed_in_the_middle_of_eight_deletions_it_ends_them_without_anybodys_leave(
    play: Play,
) -> None:
    """More keys are gone than a sweep may lose, but nobody takes that for a loss."""
    with play(8) as matrix:
        for number, when in ((14, "after"), (20, "before")):
            assert not matrix.survives(DELETE, number, when), (number, when)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize(
    "story",
    [ISSUE, ROTATE, REISSUE, DELETED, EDITED, DELETE, RETAIN, GRACE_END],
    ids=lambda s: s.name,
)
def test_killed_at_any_effect_one_live_key_is_left_or_none_after_a_deletion(
    play: Play, story: Story, when: str
) -> None:
    with play(3) as matrix:
        effects = everywhere(matrix, story, when)
    assert effects >= 3 * (2 if story is GRACE_END else 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("when", "again"), [("before", "after"), ("after", "before")])
@pytest.mark.parametrize("story", [ISSUE, ROTATE, DELETED, DELETE, RETAIN], ids=lambda s: s.name)
def test_killed_at_any_effect_and_again_at_any_effect_of_the_healing_it_heals(
    play: Play, story: Story, when: str, again: str
) -> None:
    with play(1) as matrix:
        assert everywhere_twice(matrix, story, when, again) >= 4


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", WHENS)
def test_killed_at_any_effect_of_eight_deletions_they_end_by_themselves(
    play: Play, when: str
) -> None:
    with play(8) as matrix:
        assert everywhere(matrix, DELETE, when) >= 8 * 3
