"""A status that a newer version wrote is left alone: nothing is done that it may forbid."""

from __future__ import annotations

import copy
from typing import Any

from amove_operator.core.conditions import unsynced
from amove_operator.core.reading import read_object, status_unreadable
from amove_operator.models.refs import Kind, Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

UNREADABLE = ("False", "StatusUnreadable")
HOURS = 6


async def a_ready_pair(cluster: BucketCluster) -> tuple[Ref, Ref]:
    bucket = cluster.apply("team", "media", deletionPolicy="Delete")
    key = cluster.apply_key("team", "app", "media")
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    return bucket, key


def status_of(cluster: BucketCluster, ref: Ref) -> dict[str, Any]:
    """The status without what says that it cannot be read."""
    shown = copy.deepcopy(cluster.kube.crs[ref]["status"])
    shown["conditions"] = [one for one in shown.get("conditions", ()) if one["type"] != "Synced"]
    return {name: value for name, value in shown.items() if name != "observedGeneration"}


async def written_by_a_newer_version(
    cluster: BucketCluster, ref: Ref, **fields: Any
) -> dict[str, Any]:
    """Another process wrote this into status, and ours is started."""
    await cluster.stop()
    status = cluster.kube.crs[ref]["status"]
    for name, value in fields.items():
        status[name] = {**status[name], **value} if isinstance(value, dict) else value
    cluster.kube.touch(cluster.kube.crs[ref])
    before = status_of(cluster, ref)
    cluster.start()
    for item in list(cluster.d.store):
        cluster.d.queue.add(item)
    await cluster.passes()
    return before


def test_a_key_whose_status_a_newer_version_wrote_is_left_alone_whatever_is_asked() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        _, key = await a_ready_pair(cluster)
        before = await written_by_a_newer_version(cluster, key, key={"permission": "Admin"})
        assert cluster.says(key) == {"Ready": ("True", "Issued"), "Synced": UNREADABLE}
        said = cluster.kube.crs[key]["status"]["conditions"][1]["message"]
        assert "status.key.permission" in said
        assert "Admin" not in said
        writes, secret = cluster.kube.writes, copy.deepcopy(cluster.kube.secrets)
        for _ in range(HOURS):
            cluster.annotate(key, reconcile_requested_at=str(cluster.loop.time()))
            await cluster.resync()
            await cluster.passes(3600)
        assert cluster.kube.writes == writes
        cluster.annotate(key, rotate_requested_at="now")
        cluster.delete(key)
        cluster.kube.secrets.clear()
        await cluster.passes(3600)
        assert status_of(cluster, key) == before
        assert len(cluster.service.created) == len(cluster.service.keys) == 1
        assert secret != {}
        await written_by_a_newer_version(cluster, key, key={"permission": "ReadWrite"})
        await cluster.passes(3600)
        assert key not in cluster.kube.crs
        assert cluster.service.keys == {}

    on_cluster(scenario)


def test_a_bucket_whose_proof_a_newer_version_wrote_keeps_its_name_and_is_not_deleted() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, _ = await a_ready_pair(cluster)
        before = await written_by_a_newer_version(cluster, bucket, provenance="Imported")
        rival = cluster.apply("other", "media", bucketName="media")
        cluster.delete(bucket)
        await cluster.passes(3600)
        assert cluster.says(rival)["Ready"] == ("False", "BucketClaimed")
        assert cluster.says(bucket)["Synced"] == UNREADABLE
        assert status_of(cluster, bucket) == before
        assert list(cluster.service.buckets) == ["media"]

    on_cluster(scenario)


def test_conditions_that_cannot_be_read_are_not_written_over_and_one_event_says_so() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, _ = await a_ready_pair(cluster)
        newer = [{"type": "Ready", "status": "Mostly", "reason": "Newer"}]
        await written_by_a_newer_version(cluster, bucket, conditions=newer)
        writes = cluster.kube.writes
        for _ in range(HOURS):
            await cluster.resync()
            await cluster.passes(3600)
        assert cluster.kube.crs[bucket]["status"]["conditions"] == newer
        assert cluster.kube.events.count("StatusUnreadable") == 1
        assert cluster.kube.writes == writes

    on_cluster(scenario)


def test_one_that_vanishes_is_let_go_of_and_its_key_stays_for_a_person_to_judge() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        _, key = await a_ready_pair(cluster)
        await written_by_a_newer_version(cluster, key, key={"permission": "Admin"})
        cluster.strip(key)
        await cluster.passes(3600)
        assert len(cluster.service.keys) == 1
        assert cluster.d.store.vanished == {}

    on_cluster(scenario)


def test_what_of_a_status_can_be_read_is_read_and_the_rest_is_named_without_its_value() -> None:
    body = {
        "metadata": {"name": "media", "namespace": "team", "uid": "u", "resourceVersion": "1"},
        "spec": {},
        "status": {"ownerUID": "u", "bucketName": "media", "provenance": "Imported"},
    }
    found, fault = read_object(Kind.BUCKET, body)
    assert fault is None
    assert found.status.owner_uid == "u"
    (unread,) = found.unread_status
    assert unread.startswith("status.provenance: ")
    assert "Imported" not in unread
    said = status_unreadable(found.unread_status)
    assert said == unsynced(said.synced.reason, said.synced.message)
