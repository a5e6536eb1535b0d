"""Killed anywhere on the way to a bucket, the next operator brings it to the same end.

The points are not listed here: each operator dies one effect further on, until one survives.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.conftest import RunOperator
from tests.cluster.harness import BUCKET, a_bucket, eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator

CRASHING = (str(Path(__file__).with_name("crashing_operator.py")),)
WANTED = {
    "isPublic": False,
    "encryptionEnabled": True,
    "versioningEnabled": True,
    "objectLockEnabled": False,
}


class Crashes:
    """Operators one after the other: each mends what its predecessor left, then has its own."""

    def __init__(self, cluster: Cluster, emulator: Emulator) -> None:
        self._cluster = cluster
        self._emulator = emulator
        self._last: str | None = None

    def survives(self, operator: Operator, name: str, out_of_reach: Callable[[], bool]) -> bool:
        """Whether the operator lives through all of the bucket's creation."""
        if self._last is not None:
            self.is_whole(self._last)
        self._last = name
        self._cluster.apply(a_bucket(name, versioningEnabled=True, encryptionEnabled=True))

        def ask() -> str | None:
            if not operator.running:
                return "dead"
            # The Event is the last that is sent: after it nothing more can kill.
            told = "Available" in [reason for reason, _ in self._cluster.events(name)]
            return "alive" if told and out_of_reach() else None

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


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_or_write_a_bucket_is_made_once(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, tmp_path: Path, when: str
) -> None:
    crashes = Crashes(cluster, emulator)
    effects = tmp_path / "effects"
    for number in count(1):
        effects.write_text("")
        name = f"killed-{when}-{number:02}"
        crash = {"CRASH_ABOUT": name, "CRASH_AT": f"{number}:{when}", "CRASH_LIST": str(effects)}
        operator = run_operator(program=CRASHING, environ=crash)
        if crashes.survives(operator, name, lambda: len(effects.read_text().split("\n")) <= number):
            break
    crashes.is_whole(name)
    sent = " ".join(effects.read_text().splitlines())
    assert sent.count("bucket_status") == 2
    assert sent.count("create_bucket") == 1
    assert sent.count("PATCH") == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_the_service_is_at_work_a_bucket_is_made_once(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, when: str
) -> None:
    """The call is on its way, or done, and its answer reaches nobody."""
    crashes = Crashes(cluster, emulator)
    for number in count(1):
        name = f"cut-{when}-{number:02}"
        operator = run_operator()
        kill = {"pid": operator.pid, "when": when}
        fault = emulator.control.fault("*", contains=name, nth=number, kill=kill)
        if crashes.survives(operator, name, lambda: struck(emulator, fault) < number):
            break
    crashes.is_whole(name)
    assert number > 3


def struck(emulator: Emulator, fault: int) -> int:
    """How many calls the fault has counted."""
    return next(int(one["matched"]) for one in emulator.control.faults() if one["id"] == fault)
