"""A tenant fills an object up to the limit of etcd: no status fits in, and nobody else waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from amove_operator.errors import ApiError, KubeInternalError, Rejected
from amove_operator.models.refs import Kind, Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

MINUTE = 60.0


def refuse_status(cluster: BucketCluster, fits: Callable[[Ref, dict[str, Any]], bool]) -> None:
    """Status is refused unless it fits."""
    write = cluster.kube.write_status

    async def write_status(
        ref: Ref, version: str, old: dict[str, Any], new: dict[str, Any]
    ) -> dict[str, Any] | None:
        if not fits(ref, new):
            raise KubeInternalError("etcdserver: request is too large")
        return await write(ref, version, old, new)

    cluster.kube.write_status = write_status  # type: ignore[method-assign, assignment]


async def ready_keys(cluster: BucketCluster, namespace: str, count: int, **spec: Any) -> list[Ref]:
    """So many buckets, each with a key."""
    names = [f"{namespace}-{number}" for number in range(count)]
    for name in names:
        cluster.apply(namespace, name)
    keys = [cluster.apply_key(namespace, name, name, **spec) for name in names]
    await cluster.passes(MINUTE)
    assert {cluster.says(key)["Ready"] for key in keys} == {("True", "Issued")}
    return keys


async def sweeps(cluster: BucketCluster, minutes: int) -> None:
    for _ in range(minutes):
        await cluster.passes(MINUTE)
        with contextlib.suppress(ApiError):
            await cluster.d.key_lists.fresh()
    await cluster.passes(1)


def test_a_key_that_was_revoked_keeps_no_name_though_its_status_cannot_say_so() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        [key] = await ready_keys(cluster, "red", 1)
        refuse_status(cluster, lambda ref, new: ref != key)
        cluster.delete(Ref(Kind.BUCKET, "red", "red-0"))
        await cluster.passes(MINUTE)
        del cluster.service.buckets["red-0"]
        blue = cluster.apply("blue", "theirs", bucketName="red-0")
        await sweeps(cluster, 10)
        assert not cluster.service.keys
        assert cluster.kube.crs[key]["status"]["key"]["buckets"] == ["red-0"]
        assert cluster.says(blue)["Ready"] == ("True", "Available")

    on_cluster(scenario)


def test_a_live_key_keeps_its_name_though_no_status_can_be_written() -> None:
    def refuse(key: object) -> None:
        raise Rejected("DEFAULT", "not now")

    async def scenario(cluster: BucketCluster) -> None:
        [key] = await ready_keys(cluster, "red", 1)
        refuse_status(cluster, lambda ref, new: ref != key)
        cluster.service.deleting = refuse
        cluster.delete(Ref(Kind.BUCKET, "red", "red-0"))
        await cluster.passes(MINUTE)
        del cluster.service.buckets["red-0"]
        blue = cluster.apply("blue", "theirs", bucketName="red-0")
        await sweeps(cluster, 10)
        assert cluster.service.keys
        assert cluster.says(blue)["Ready"][0] == "False"

    on_cluster(scenario)


def test_keys_that_we_revoked_are_no_loss_though_status_still_names_them() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        blue = await ready_keys(cluster, "blue", 6)
        red = await ready_keys(cluster, "red", 4, rotation={"gracePeriod": "1m"})
        # The note of the issue fits; what names the new key as the current one does not.
        refuse_status(
            cluster, lambda ref, new: ref not in red or new.get("key", {}).get("serial") != 2
        )
        for key in red:
            cluster.annotate(key, rotate_requested_at="now")
        await sweeps(cluster, 10)
        assert len(cluster.service.keys) == 10
        lost = cluster.kube.crs[blue[0]]["status"]["key"]["id"]
        del cluster.service.keys[lost]
        await sweeps(cluster, 10)
        assert cluster.kube.crs[blue[0]]["status"]["key"]["id"] != lost
        assert cluster.says(blue[0])["Ready"] == ("True", "Issued")

    on_cluster(scenario)


def test_a_team_that_loses_only_its_own_keys_holds_up_itself_alone() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        blue, red = [await ready_keys(cluster, name, 6) for name in ("blue", "red")]
        ids = {key: cluster.kube.crs[key]["status"]["key"]["id"] for key in (*blue, *red)}
        for key in (*red[:5], blue[0]):
            del cluster.service.keys[ids[key]]
        await sweeps(cluster, 10)
        assert cluster.says(red[0])["Synced"] == ("False", "MassKeyLoss")
        assert cluster.says(blue[0]) == cluster.says(blue[1])
        assert cluster.kube.crs[blue[0]]["status"]["key"]["id"] != ids[blue[0]]

    on_cluster(scenario)


def test_a_bucket_whose_status_cannot_be_written_holds_up_no_other_that_is_lost() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        red = [cluster.apply("red", f"red-{number}") for number in range(10)]
        blue = [cluster.apply("blue", f"blue-{number}") for number in range(4)]
        await cluster.passes(MINUTE)
        refuse_status(cluster, lambda ref, new: ref not in red)
        for bucket in red:
            cluster.annotate(bucket, paused="true")
        await cluster.passes(MINUTE)
        del cluster.service.buckets["blue-0"]
        cluster.annotate(blue[0], reconcile_requested_at="now")
        await cluster.passes(30 * MINUTE)
        assert "blue-0" in cluster.service.buckets

    on_cluster(scenario)
