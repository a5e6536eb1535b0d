"""A restart disturbs nobody (design.md §5)."""

from __future__ import annotations

from amove_emulator import Emulator
from tests.cluster.conftest import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster


def test_a_restart_neither_calls_nor_writes(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    cluster.apply(a_bucket("photos"), a_key("writer", bucketRefs=refs("photos")))
    cluster.ready(KEY, "writer")
    print(operator.log)
    assert 0
