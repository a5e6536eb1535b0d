"""Gauges of values that exist elsewhere count what is there when they are scraped."""

from __future__ import annotations

import pytest

from amove_operator.app.gauges import show_operator
from amove_operator.errors import IncompleteListing
from amove_operator.models.refs import Ref
from amove_operator.telemetry import Metrics
from tests.unit.bucket_cluster import BucketCluster, on_cluster


async def some_keys(cluster: BucketCluster, number: int) -> list[Ref]:
    cluster.apply("team", "media")
    keys = [cluster.apply_key("team", f"app-{count}", "media") for count in range(number)]
    await cluster.passes(60)
    return keys


async def listed(cluster: BucketCluster) -> None:
    await cluster.passes(60)
    await cluster.d.key_lists.fresh()
    await cluster.passes(60)


@pytest.mark.parametrize("has_keys", [True, False], ids=["who has keys", "who has none"])
def test_keys_whose_issuer_is_another_user_are_counted_until_he_is_back(has_keys: bool) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        metrics = Metrics()
        show_operator(metrics, cluster.d)

        def shown() -> float:
            ((sample,),) = (one.samples for one in metrics.api_user_changed_keys.collect())
            return float(sample.value)

        await some_keys(cluster, 2)
        await listed(cluster)
        assert shown() == 0
        cluster.service.user = "user-2"
        if has_keys:
            cluster.service.issue("theirs", "a-key-of-his")
        await listed(cluster)
        assert shown() == 2
        cluster.service.user = "user-1"
        await listed(cluster)
        assert shown() == 0

    on_cluster(scenario)


def test_a_deletion_that_only_the_former_users_token_can_end_counts_whatever_it_says() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key, _ = await some_keys(cluster, 2)
        cluster.service.user = "user-2"
        cluster.service.issue("theirs", "a-key-of-his")
        await listed(cluster)
        cluster.delete(key)
        cluster.annotate(key, accept_loss="mine")
        await listed(cluster)
        assert cluster.says(key)["Synced"] == ("False", "ApiRefused")
        assert cluster.d.store.counts.issued_by_others(cluster.d.key_lists.latest) == 2

    on_cluster(scenario)


def test_a_list_that_does_not_add_up_shows_until_one_does() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        metrics = Metrics()
        show_operator(metrics, cluster.d)

        def shown() -> float:
            ((sample,),) = (one.samples for one in metrics.key_list_incomplete.collect())
            return float(sample.value)

        assert shown() == 0
        cluster.service.half_lists = 1
        with pytest.raises(IncompleteListing):
            await cluster.d.key_lists.fresh()
        assert shown() == 1
        await cluster.d.key_lists.fresh()
        assert shown() == 0

    on_cluster(scenario)
