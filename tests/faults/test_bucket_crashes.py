"""Killed anywhere on the way to a bucket, the next operator brings it to the same end.

The moments are not listed here: each operator dies one effect further on, until one survives.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.harness import BUCKET, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.faults.forked_operator import ForkedOperator, fork_context

Start = Callable[[str], ForkedOperator]
WANTED = {
    "isPublic": False,
    "encryptionEnabled": True,
    "versioningEnabled": True,
    "objectLockEnabled": False,
}


@pytest.fixture(scope="module")
def forks(operator_kubeconfig: Path) -> ForkServerContext:
    """Where operators are forked from."""
    return fork_context(operator_kubeconfig)


@pytest.fixture
def start(
    forks: ForkServerContext, operator_variables: Callable[..., dict[str, str]], tmp_path: Path
) -> Start:
    """Start an operator that dies where it is told, and wait until it serves."""
    variables = operator_variables()

    def starting(crash_at: str = "") -> ForkedOperator:
        operator = ForkedOperator(forks, variables, tmp_path, crash_at)
        operator.wait_leading()
        return operator

    return starting


class Crashes:
    """Operators one after the other: each mends what its predecessor left, then has its own."""

    def __init__(self, cluster: Cluster, emulator: Emulator) -> None:
        self._cluster = cluster
        self._emulator = emulator
        self._names: list[str] = []

    def survives(self, operator: ForkedOperator, name: str, reached: Callable[[], bool]) -> bool:
        """Whether it lives through the creation of the bucket; ``reached``: its moment came."""
        if self._names:
            self.is_whole(self._names[-1])
        self._names.append(name)
        operator.arm(about=name)
        self._cluster.apply(a_bucket(name, versioningEnabled=True, encryptionEnabled=True))

        def ask() -> str | None:
            if not operator.running:
                return "dead"
            ready = condition(self._cluster.get(BUCKET, name), "Ready").get("status") == "True"
            return "alive" if ready and not reached() else None

        return eventually(ask, what=f"{name} ready, or its operator killed") == "alive"

    def is_whole(self, name: str) -> None:
        """The bucket is as if nobody had been killed."""
        status = self._cluster.ready(BUCKET, name)["status"]
        assert status["provenance"] == "Created"
        assert "createIntent" not in status
        found = self._emulator.control.buckets()[name]
        assert {flag: found[flag] for flag in WANTED} == WANTED
        journal = self._emulator.control.journal("create_bucket")
        made = [entry["body"]["bucketName"] for entry in journal if entry["effect"]]
        assert made.count(name) == 1


Begin = Callable[[int, str], tuple[ForkedOperator, Callable[[], bool]]]
"""Start the operator that dies at the n-th effect about a bucket; whether its moment came."""


def until_one_survives(crashes: Crashes, prefix: str, begin: Begin) -> tuple[int, ForkedOperator]:
    """The number of the first moment that never came, and the operator that outlived it."""
    for number in count(1):
        name = f"{prefix}-{number:02}"
        operator, reached = begin(number, name)
        if crashes.survives(operator, name, reached):
            crashes.is_whole(name)
            return number, operator
    raise AssertionError("the loop above has no end")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_or_write_a_bucket_is_made_once(
    cluster: Cluster, emulator: Emulator, start: Start, when: str
) -> None:
    def begin(number: int, name: str) -> tuple[ForkedOperator, Callable[[], bool]]:
        operator = start(f"{number}:{when}")
        return operator, lambda: len(operator.effects) >= number

    _, survivor = until_one_survives(Crashes(cluster, emulator), f"killed-{when}", begin)
    assert [effect.split()[0] for effect in survivor.effects] == [
        "PATCH",  # the finalizer
        "bucket_status",
        "PATCH",  # the intent
        "create_bucket",
        "bucket_status",
        "PATCH",  # the provenance
    ]
    survivor.stop()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_service_is_at_work_a_bucket_is_made_once(
    cluster: Cluster, emulator: Emulator, start: Start, when: str
) -> None:
    """The call is on its way, or done, and its answer reaches nobody."""

    def begin(number: int, name: str) -> tuple[ForkedOperator, Callable[[], bool]]:
        operator = start("")
        kill = {"pid": operator.pid, "when": when}
        fault = emulator.control.fault("*", contains=name, nth=number, kill=kill)
        return operator, lambda: _has_struck(emulator, fault)

    survived, survivor = until_one_survives(Crashes(cluster, emulator), f"cut-{when}", begin)
    assert survived == 1 + len(("bucket_status", "create_bucket", "bucket_status"))
    survivor.stop()


def _has_struck(emulator: Emulator, fault: int) -> bool:
    return any(one["id"] == fault and one["struck"] for one in emulator.control.faults())
