"""A key that is declared together with its bucket, or before it is ready."""

from __future__ import annotations

from amove_operator.errors import ServerFault
from tests.unit.bucket_cluster import BucketCluster, on_cluster

WRITES_OF_A_STATUS = 3
"""Of a new pair: the bucket's intent, the bucket, the key."""


def test_a_key_declared_with_its_bucket_tells_only_how_it_ends() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = cluster.apply_key("team-a", "app", "photos")
        cluster.kube.writes = 0
        assert cluster.says(key) == {}
        cluster.apply("team-a", "photos")
        await cluster.passes()
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert cluster.kube.writes == WRITES_OF_A_STATUS

    on_cluster(scenario)


def test_a_bucket_that_cannot_be_made_is_told_of_at_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.failing["create", "photos"] = ServerFault("503", status=503)
        cluster.apply("team-a", "photos")
        key = cluster.apply_key("team-a", "app", "photos")
        await cluster.passes(3.0)
        assert cluster.says(key)["Ready"] == ("False", "BucketNotReady")
        del cluster.service.failing["create", "photos"]
        await cluster.passes(60.0)
        assert cluster.says(key)["Ready"] == ("True", "Issued")

    on_cluster(scenario)


def test_a_bucket_that_takes_long_is_told_of_after_half_a_minute() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket = cluster.apply("team-a", "photos")
        cluster.d.bucket_names._held.add("photos")  # another pass has the name, and does not end
        key = cluster.apply_key("team-a", "app", "photos")
        await cluster.passes(29.0)
        assert (cluster.says(bucket), cluster.says(key)) == ({}, {})
        await cluster.passes(2.0)
        assert cluster.says(key)["Ready"] == ("False", "BucketNotReady")

    on_cluster(scenario)
