"""The chart's memory limit holds 5,000 objects, and what one tenant can write to burst it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.chart.waiting import until
from tests.node import bombs, pods
from tests.node.crowd import create_all
from tests.node.release import CHART, Manifest, Release
from tests.node.team import API, Team

pytestmark = pytest.mark.node

PAIRS = 250
WAITING = 4500
"""Keys of a bucket that is not there: with the pairs' buckets and keys 5,000 objects."""
SECONDS = 300.0


def create(team: Team, manifests: Iterable[Manifest]) -> None:
    """Create keys in the team's namespace."""
    path = f"/apis/{API}/namespaces/{team.namespace}/amovestoragekeys"
    create_all(team.node, path, manifests)


def limit() -> int:
    values = yaml.safe_load((Path(CHART) / "values.yaml").read_text())
    mebibytes = re.fullmatch(r"(\d+)Mi", values["resources"]["limits"]["memory"])
    assert mebibytes
    return int(mebibytes[1]) * 1024 * 1024


def test_five_thousand_objects_and_bombs_end_no_pod(release: Release, last_team: Team) -> None:
    team, before = last_team, release.restarts()
    create(team, (team.key(f"waiting-{n}", "absent") for n in range(WAITING)))
    team.apply(*(team.bucket(f"b{n}") for n in range(PAIRS)))
    create(team, (team.key(f"k{n}", f"b{n}") for n in range(PAIRS)))
    create(team, bombs.heavy_keys(team, 120))
    secrets = f"/api/v1/namespaces/{team.namespace}/secrets"
    create_all(team.node, secrets, bombs.heavy_secrets(100))
    team.apply(*bombs.growing_key(team, 64))
    # Made last of all, and of another kind of trouble: it must be served all the same.
    team.apply(team.bucket("last"), team.key("last", "last"))

    until("the last key is issued", lambda: team.secret("last"), deadline=SECONDS)
    until("each pair has its key", lambda: len(_issued(team)) == PAIRS, deadline=SECONDS)

    assert release.restarts() == before, "an OOM kill would be a restart"
    most = [pods.most_memory(pod) for pod in release.pods()]
    sys.stderr.write(f"most memory of each pod: {[each // 2**20 for each in most]} MiB\n")
    assert max(most) <= limit()


def _issued(team: Team) -> set[str]:
    names = team.node.kubectl("get", "secrets", team.here, "--output=name").split()
    return {name for name in names if re.fullmatch(r"secret/k\d+", name)}
