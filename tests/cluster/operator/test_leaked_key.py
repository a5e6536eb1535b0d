"""docs/leaked-key.md, typed as it stands there."""

from __future__ import annotations

from pathlib import Path

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import KEY, a_bucket, a_key, eventually, refs, refusal, s3_with_only
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import live_of
from tests.cluster.typing_pages import blocks_of, type_lines

NAME, ISSUE, AWAIT, RESTART, RESET, ALL, TOKEN = range(7)


def test_a_leaked_key_is_dead_and_replaced_by_what_the_page_says_to_type(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, tmp_path: Path
) -> None:
    run_operator()
    plane, space = cluster.plane, cluster.namespace
    key = a_key("photos-writer", bucketRefs=refs("photos"), rotation={"gracePeriod": "2h"})
    cluster.apply(a_bucket("photos"), key, a_key("other", bucketRefs=refs("photos")))
    cluster.ready(KEY, "photos-writer")
    leaked = cluster.secret("photos-writer")
    other = cluster.ready(KEY, "other")["status"]["key"]["id"]
    plane.kubectl(
        "create", "deployment", "photos", "--image=example.org/a:1", "--replicas=0", f"-n={space}"
    )
    typed = blocks_of("leaked-key.md")
    assert len(typed) == TOKEN + 1
    name = typed[NAME].replace("team-a", space)
    # Not so fast that a page that waits for too little would do as well.
    slow = emulator.control.fault("delete_storage_key", delay_before=5.0, times=None)

    type_lines(plane, name + typed[ISSUE] + typed[AWAIT], tmp_path)
    with s3_with_only(leaked) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") == "InvalidAccessKeyId"
    with s3_with_only(cluster.secret("photos-writer")) as s3:
        assert refusal(s3.list_objects_v2, Bucket="photos") is None
    seen = cluster.found(KEY, "photos-writer")
    assert live_of(emulator, seen) == [seen["status"]["key"]["id"]]
    assert cluster.found(KEY, "other")["status"]["key"]["id"] == other
    emulator.control.clear_faults(slow)

    assert "photos restarted" in type_lines(plane, name + typed[RESTART], tmp_path)
    type_lines(plane, name + typed[RESET], tmp_path)
    assert cluster.found(KEY, "photos-writer")["spec"]["rotation"].get("gracePeriod") in (
        "1h",
        None,
    )
    cluster.ready(KEY, "photos-writer")
    assert live_of(emulator, seen) == [seen["status"]["key"]["id"]]

    former = {seen["status"]["key"]["id"], other}
    type_lines(plane, name + typed[ALL], tmp_path)
    eventually(lambda: not former & {each["id"] for each in emulator.control.live_keys()})
    for each in ("photos-writer", "other"):
        now = cluster.ready(KEY, each)
        assert live_of(emulator, now) == [now["status"]["key"]["id"]]


def test_a_leaked_token_is_replaced_in_its_secret_by_what_the_page_says_to_type(
    cluster: Cluster, tmp_path: Path
) -> None:
    """That the operator takes it up is shown with a kubelet, in tests/node."""
    here = {"amove-system": cluster.namespace}
    (tmp_path / "token").write_text("the former one")
    type_lines(cluster.plane, blocks_of("leaked-key.md")[-1], tmp_path, here)
    assert cluster.secret("amove-credentials") == {"token": "the former one"}
    (tmp_path / "token").write_text("the new one")
    type_lines(cluster.plane, blocks_of("leaked-key.md")[-1], tmp_path, here)
    assert cluster.secret("amove-credentials") == {"token": "the new one"}
    assert not (tmp_path / "token").exists()
