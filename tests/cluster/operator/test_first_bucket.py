"""docs/first-bucket.md, typed as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import refusal, s3_with_only
from tests.cluster.harness_cluster import Cluster
from tests.cluster.typing_pages import DOCS, blocks_of, type_lines

ROOT = Path(__file__).parents[3]
DEMO, NAME = "amove-demo", "amove-demo-photos"


@pytest.fixture
def demo(
    whole_cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> Iterator[Cluster]:
    """The namespace that the page makes; keys are not so fast that a page without a wait passes."""
    run_operator(watch_namespaces=None)
    emulator.control.fault("create_storage_key", delay_before=3.0, times=None)
    yield whole_cluster.within(DEMO)
    whole_cluster.drop_namespace(DEMO)


def test_the_first_bucket_is_there_and_taken_away_as_the_page_says(
    demo: Cluster, emulator: Emulator
) -> None:
    declare, explain, remove, _ = blocks_of("first-bucket.md")
    shown = type_lines(demo.plane, declare, ROOT)
    assert "photos-writer" in shown
    with s3_with_only(demo.secret("photos-writer")) as s3:
        assert refusal(s3.list_objects_v2, Bucket=NAME) is None
    assert "Available" in type_lines(demo.plane, explain, ROOT)

    type_lines(demo.plane, remove, ROOT)

    assert demo.get("Namespace", DEMO) is None
    assert emulator.control.live_keys() == []
    assert emulator.control.buckets() == {}


def test_a_first_bucket_that_was_used_is_let_go_of_as_the_page_says(
    demo: Cluster, emulator: Emulator
) -> None:
    declare, _, remove, let_go = blocks_of("first-bucket.md")
    type_lines(demo.plane, declare, ROOT)
    thing = {"Bucket": NAME, "Key": "a"}
    with s3_with_only(demo.secret(_secret_of_the_pod())) as s3:
        assert refusal(s3.put_object, **thing, Body=b"b") is None
    with s3_with_only(demo.secret("photos-reader")) as s3:
        assert refusal(s3.get_object, **thing) is None
        assert refusal(s3.put_object, **thing, Body=b"c") == "AccessDenied"
    with s3_with_only(demo.secret("photos-writer")) as s3:
        assert refusal(s3.delete_object, **thing) is None

    type_lines(demo.plane, let_go + remove, ROOT)

    assert demo.get("Namespace", DEMO) is None
    assert emulator.control.live_keys() == []
    assert set(emulator.control.buckets()) == {NAME}


def _secret_of_the_pod() -> str:
    """The Secret that the page's Pod has in its environment."""
    text = (DOCS / "first-bucket.md").read_text()
    (pod,) = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S))
    (container,) = pod["spec"]["containers"]
    name: str = container["envFrom"][0]["secretRef"]["name"]
    return name
