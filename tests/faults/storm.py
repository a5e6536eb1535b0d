"""A storm from its first object to the calm after it; how long, and what happens, the tests say."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx

from amove_emulator import Emulator
from tests.cluster.harness import eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator
from tests.faults.invariants import Invariants
from tests.faults.teams import TEAMS, TRUSTED, Teams
from tests.faults.weather import Pod, Weather
from tests.patience import PATIENCE

A_LOOK = 1.0
"""Seconds between two looks: the emulator is busy with one for a good part of that."""
BUDGET = 20
STALE_BY = 0.5
"""How old a stale list is: less than the operator's settle time, as the contract has it."""


def settings_of(namespaces: list[str]) -> dict[str, Any]:
    """An operator in a hurry: what takes it minutes takes it seconds, and nothing else differs.

    The settle time is longer than any list of the service is old and than any effect is late.
    """
    return {
        "wait": False,
        "watch_namespaces": namespaces,
        "trusted_namespaces": [namespaces[TRUSTED]],
        "resync_interval": "5s",
        "listing_settle": "3s",
        "mint_budget": BUDGET,
        "log_level": "INFO",
    }


class Storm:
    """Teams under bad weather, with an operator that serves them and a watch on the invariants."""

    def __init__(
        self,
        namespaces: list[Cluster],
        emulator: Emulator,
        run: Callable[[], Operator],
        *,
        seed: int,
        rate: float,
        hangs: bool = False,
    ) -> None:
        self.seed, self.rate, self.hangs = seed, rate, hangs
        self.emulator = emulator
        self.chance = Random(seed)  # noqa: S311 (repeatable)
        self.teams = Teams(namespaces, emulator, self.chance)
        self.invariants = Invariants(self.teams, emulator, BUDGET)
        self.pod = Pod(run)
        self.weather: Weather

    def begins(self) -> None:
        """The first team is settled when the weather changes; the others are declared in it."""
        self.teams.declare(0)
        eventually(
            lambda: not self.invariants.unsettled(self.pod.deaths) or None,
            what="a settled team",
            pause=A_LOOK,
        )
        self.emulator.control.behave(stale_by=STALE_BY)
        self.weather = Weather(self.emulator, self.rate, self.seed, hangs=self.hangs)
        for number in range(1, TEAMS):
            self.teams.declare(number)

    def goes_on(self, seconds: float, deeds: int, enough: int = 0) -> None:
        """So many seconds at least, with so many deeds of people at each look, until so many more
        faults have struck."""
        end, enough = time.monotonic() + seconds, enough + self.weather.struck()

        def over() -> bool:
            self.pod.restarted()
            for _ in range(deeds):
                self.teams.something_happens()
            self.glance()
            return time.monotonic() > end and self.weather.struck() >= enough

        eventually(over, seconds + PATIENCE, what=f"{enough} faults", pause=A_LOOK)

    def glance(self) -> None:
        """A look, if the API server lets us."""
        try:
            self.invariants.look()
        except (AssertionError, httpx.HTTPError):
            return

    def ends(self, deadline: float) -> str:
        """The calm; all that was declared is so within the deadline. What the storm brought."""
        told = f"{self.weather.clear()}, {self.pod.deaths} deaths, {self.teams.done} deeds"
        self.teams.calm_down()

        def settled() -> bool:
            self.pod.restarted()
            missing = self.teams.declare_missing()
            wrong = self.invariants.unsettled(self.pod.deaths)
            assert not missing + wrong, f"{len(missing + wrong)} things, such as {wrong[:5]}"
            return True

        began = time.monotonic()
        try:
            eventually(settled, deadline, what=f"all as declared (seed {self.seed})", pause=A_LOOK)
            broken = self.invariants.broken()
            assert not broken, f"seed {self.seed}: {broken[:9]}"
        except AssertionError:
            self._write_down()
            raise
        return f"{told}; settled {time.monotonic() - began:.0f} s after it"

    def _write_down(self) -> None:
        """What the service was asked and what became of its keys, for who looks for the cause."""
        control = self.emulator.control
        path = Path(tempfile.mkdtemp(prefix="amove-storm-")) / f"{self.seed}.json"
        known = {
            "journal": control.journal(),
            "key_events": control.key_events(),
            "wrong": self.invariants.wrong,
            **control.state(),
        }
        path.write_text(json.dumps(known, indent=1))
        sys.stdout.write(f"the service's journal is in {path}\n")
