"""What goes wrong with a deletion that was begun shows in an Event, one for each change."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.errors import ApiError, Rejected, TransportFault
from amove_operator.models.refs import Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

HOURS = 6
DOWN = TransportFault("delete: time-out")
REFUSED = Rejected("DEFAULT", "it is under legal hold")


async def a_bucket_and_its_key(cluster: BucketCluster) -> tuple[Ref, Ref]:
    bucket = cluster.apply("team", "media", deletionPolicy="Delete")
    key = cluster.apply_key("team", "app", "media")
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    cluster.kube.events.clear()
    return bucket, key


def failing(cluster: BucketCluster, call: str, error: ApiError) -> None:
    async def fails(*_: Any) -> Any:
        raise error

    setattr(cluster.service, call, fails)


def warnings(cluster: BucketCluster) -> list[str]:
    """The reasons of the Events but for those that tell of something done."""
    return [one for one in cluster.kube.events if one not in ("KeyRevoked", "Deleted")]


@pytest.mark.parametrize(("error", "reason"), [(DOWN, "RevokePending"), (REFUSED, "ApiRefused")])
def test_a_revocation_that_fails_for_hours_is_told_by_one_event(
    error: ApiError, reason: str
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        _, key = await a_bucket_and_its_key(cluster)
        failing(cluster, "delete_storage_key", error)
        cluster.delete(key)
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Reconciling"] == ("True", "Deleting")
        assert cluster.says(key)["Synced"] == ("False", reason)
        assert cluster.kube.events == [reason]
        delattr(cluster.service, "delete_storage_key")
        await cluster.passes(2 * 3600)
        assert key not in cluster.kube.crs
        assert warnings(cluster) == [reason]

    on_cluster(scenario)


def test_each_change_of_what_holds_a_deletion_up_is_told_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        _, key = await a_bucket_and_its_key(cluster)
        failing(cluster, "delete_storage_key", DOWN)
        failing(cluster, "get_storage_keys", DOWN)
        cluster.delete(key)
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Reconciling"] == ("True", "Deleting")
        assert cluster.kube.events == ["RevokePending", "ApiUnavailable"]

    on_cluster(scenario)


def test_a_bucket_whose_deletion_waits_for_a_key_then_for_its_objects_says_either_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, key = await a_bucket_and_its_key(cluster)
        cluster.service.full.add("media")
        cluster.delete(bucket)
        await cluster.passes(HOURS * 3600)
        assert cluster.kube.events == ["DeletionBlocked"]
        cluster.delete(key)
        await cluster.passes(HOURS * 3600)
        assert warnings(cluster) == ["DeletionBlocked", "BucketNotEmpty"]
        cluster.service.full.clear()
        await cluster.passes(2 * 3600)
        assert bucket not in cluster.kube.crs
        assert warnings(cluster) == ["DeletionBlocked", "BucketNotEmpty"]

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("error", "reason"), [(DOWN, "ApiUnavailable"), (REFUSED, "DeleteRefused")]
)
def test_a_bucket_whose_deletion_fails_for_hours_says_so_once(error: ApiError, reason: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, key = await a_bucket_and_its_key(cluster)
        cluster.service.failing["delete", "media"] = error
        cluster.delete(key)
        await cluster.passes(60)
        cluster.delete(bucket)
        await cluster.passes(HOURS * 3600)
        assert cluster.says(bucket)["Synced"] == ("False", reason)
        assert warnings(cluster) == [reason]

    on_cluster(scenario)


def test_a_deletion_in_which_nothing_goes_wrong_warns_of_nothing() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, key = await a_bucket_and_its_key(cluster)
        await cluster.restart()  # so that it waits for a key list as well
        cluster.delete(key)
        await cluster.passes(120)
        cluster.delete(bucket)
        await cluster.passes(120)
        assert not cluster.kube.crs
        assert warnings(cluster) == []

    on_cluster(scenario)
