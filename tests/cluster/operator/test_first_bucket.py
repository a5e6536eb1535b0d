"""docs/first-bucket.md, typed as it stands there."""

from __future__ import annotations

from pathlib import Path

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import refusal, s3_with_only
from tests.cluster.harness_cluster import Cluster
from tests.cluster.typing_pages import blocks_of, type_lines

ROOT = Path(__file__).parents[3]
DEMO = "amove-demo"


def test_the_first_bucket_is_there_used_and_taken_away_as_the_page_says(
    whole_cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(watch_namespaces=None)
    declare, explain, remove = blocks_of("first-bucket.md")
    demo = whole_cluster.within(DEMO)
    try:
        shown = type_lines(whole_cluster.plane, declare, ROOT)
        assert "photos-writer" in shown
        with s3_with_only(demo.secret("photos-writer")) as s3:
            assert refusal(s3.list_objects_v2, Bucket="amove-demo-photos") is None
        assert "Available" in type_lines(whole_cluster.plane, explain, ROOT)
        type_lines(whole_cluster.plane, remove, ROOT)
    finally:
        whole_cluster.drop_namespace(DEMO)
    assert emulator.control.live_keys() == []
    assert emulator.control.buckets() == {}
