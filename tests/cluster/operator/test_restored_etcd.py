"""An etcd that was restored from a backup, while the operator ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from amove_emulator import Emulator
from controlplane import ControlPlane
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster

pytestmark = pytest.mark.timeout(900)  # two outages of everything, on a busy machine


def test_what_a_restore_has_lost_is_not_taken_for_deleted(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    plane: ControlPlane,
    tmp_path: Path,
) -> None:
    operator = run_operator(resync_interval="2s")
    cluster.apply(a_bucket("old", deletionPolicy="Delete"))
    cluster.ready(BUCKET, "old")
    plane.back_up(tmp_path / "backup")
    cluster.annotate(BUCKET, "old", reconcile_requested_at="later")
    cluster.apply(a_bucket("new", deletionPolicy="Delete"), a_key("app", bucketRefs=refs("new")))
    key = cluster.ready(KEY, "app")["status"]["key"]["id"]

    plane.restore(tmp_path / "backup")

    assert operator.wait() == 1
    operator.wait_log("the API server's history went back: ")
    anew = run_operator(resync_interval="2s")
    cluster.ready(BUCKET, "old")
    sweeps = emulator.control.count("bucket_status")
    eventually(lambda: emulator.control.count("bucket_status") >= sweeps + 2, what="two sweeps")
    assert anew.running
    assert cluster.get(BUCKET, "new") is None
    assert set(emulator.control.buckets()) == {"old", "new"}
    assert [each["id"] for each in emulator.control.live_keys()] == [key]
    assert emulator.control.count("delete_bucket") == 0
