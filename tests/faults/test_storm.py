"""A minute in which more than a quarter of all calls goes wrong, and the operator is killed.

200 objects live random lives meanwhile. What must never happen is watched; afterwards all is as
declared. test_soak.py is the same for ten minutes, with the cluster going wrong as well;
tests/model/test_storms.py is the same on a virtual clock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness_cluster import Cluster
from tests.faults.storm import Storm, settings_of
from tests.faults.teams import TEAMS
from tests.patience import PATIENCE

SEED = int(os.environ.get("STORM_SEED", "20261127"))
RATE = 0.3
PHASES, SECONDS, STRUCK = 5, 12.0, 30
"""Between two kills so many seconds pass at least, and so many faults strike."""


def test_faults_of_the_service_and_kills_cost_no_key_no_secret_and_no_bucket(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [make_namespace() for _ in range(TEAMS)]
    namespaces = [whole_cluster.within(name) for name in names]
    run = partial(run_operator, **settings_of(names))
    storm = Storm(namespaces, emulator, run, seed=SEED, rate=RATE)
    storm.begins()
    for phase in range(PHASES):
        if phase:
            storm.pod.kill()
        storm.goes_on(SECONDS, deeds=3, enough=STRUCK)
    told = storm.ends(2 * PATIENCE)
    with capsys.disabled():
        sys.stdout.write(f"\n  STORM_SEED={SEED}: {told} ")
