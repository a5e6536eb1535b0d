"""Ten minutes in which everything goes wrong: the service, the cluster, and the operator itself.

``make soak``, with SOAK_SEED and SOAK_SECONDS. docs/reliability.md tells what it does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.harness_wire import Wire
from tests.faults.storm import Storm, settings_of
from tests.faults.teams import TEAMS
from tests.faults.weather import Disturbances, shuffled

SEED = int(os.environ.get("SOAK_SEED", time.strftime("%Y%m%d")))
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
RATE = 0.2
BETWEEN = 10.0
"""Seconds of nothing but the service's faults between two disturbances."""
DEADLINE = 300.0
"""Seconds in which all is as declared afterwards."""


@pytest.fixture
def wire(plane: ControlPlane, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Wire]:
    """What the operator reaches the API server through."""
    with Wire(plane, operator_kubeconfig, tmp_path).running() as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 1800)
def test_nothing_that_goes_wrong_for_ten_minutes_costs_a_key_a_secret_or_a_bucket(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
    plane: ControlPlane,
    wire: Wire,
    token_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n  SOAK_SEED={SEED}, {SECONDS:.0f} s\n")
    names = [make_namespace() for _ in range(TEAMS)]
    namespaces = [whole_cluster.within(name) for name in names]
    run = partial(
        run_operator,
        **settings_of(names),
        environ={"KUBECONFIG": str(wire.kubeconfig)},
        leader_election=True,
        lease_namespace=SYSTEM,
    )
    storm = Storm(namespaces, emulator, run, seed=SEED, rate=RATE, hangs=True)
    storm.begins()
    disturbances = Disturbances(storm.teams, plane, wire, storm.pod, emulator, token_file)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for what in shuffled(disturbances.names(), storm.chance):
            storm.goes_on(BETWEEN, deeds=2)
            if time.monotonic() > end:
                break
            with capsys.disabled():
                sys.stdout.write(f"  {end - time.monotonic():4.0f} s left: {what}\n")
            disturbances.happens(what)
    storm.goes_on(BETWEEN, deeds=2)
    told = storm.ends(DEADLINE)
    with capsys.disabled():
        sys.stdout.write(f"  {told}; {dict(disturbances.count)} ")
