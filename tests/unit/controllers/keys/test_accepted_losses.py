"""``accept-loss`` is acted on at once, and serves the loss that it was set for alone."""

from __future__ import annotations

from amove_operator.models.refs import Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

SIX = 6


async def six_keys(cluster: BucketCluster) -> list[Ref]:
    keys = []
    for team in ("red", "blue"):
        cluster.apply(team, f"{team}-media")
        keys += [cluster.apply_key(team, f"app-{n}", f"{team}-media") for n in range(SIX // 2)]
    await cluster.passes(60)
    assert len(cluster.service.keys) == SIX
    return keys


async def listed(cluster: BucketCluster) -> None:
    await cluster.passes(60)
    await cluster.d.key_lists.fresh()
    await cluster.passes(5)


def current(cluster: BucketCluster, ref: Ref) -> str:
    found: str = cluster.kube.crs[ref]["status"]["key"]["id"]
    return found


async def a_mass_loss(cluster: BucketCluster) -> Ref:
    """All keys are gone from the list, and one of six objects shows it."""
    key, *_ = await six_keys(cluster)
    cluster.service.unlisted = {*cluster.service.keys}
    await listed(cluster)
    assert cluster.says(key)["Synced"] == ("False", "MassKeyLoss")
    return key


def test_an_accepted_loss_is_replaced_at_once_and_waits_for_no_sweep() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_mass_loss(cluster)
        before = current(cluster, key)
        cluster.annotate(key, accept_loss="1")
        await cluster.passes(5)
        assert current(cluster, key) != before
        assert cluster.says(key) == {"Ready": ("True", "Issued"), "Synced": ("True", "Settled")}

    on_cluster(scenario)


def test_an_accepted_loss_of_keys_that_are_back_by_then_costs_no_key() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_mass_loss(cluster)
        cluster.service.unlisted.clear()
        cluster.annotate(key, accept_loss="1")
        await cluster.passes(5)
        assert cluster.says(key)["Synced"] == ("True", "Settled")
        assert len(cluster.service.created) == SIX

    on_cluster(scenario)


def test_while_the_list_that_an_acceptance_needs_cannot_be_had_nothing_is_settled() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_mass_loss(cluster)
        cluster.service.half_lists = 1000
        cluster.annotate(key, accept_loss="1")
        await cluster.passes(60)
        assert cluster.says(key)["Synced"] == ("False", "ListIncomplete")

    on_cluster(scenario)


async def replaced_by_another_user(cluster: BucketCluster, key: Ref) -> None:
    """The token becomes another user's, and a key is asked for before any list shows that."""
    cluster.service.user = "user-2"
    cluster.annotate(key, rotate_requested_at="now")
    await cluster.passes(5)


def test_an_acceptance_is_spent_once_the_key_was_replaced() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_mass_loss(cluster)
        cluster.annotate(key, accept_loss="1")
        await listed(cluster)
        mine = current(cluster, key)
        await replaced_by_another_user(cluster, key)
        assert cluster.says(key)["Synced"] == ("False", "ApiUserChanged")
        assert current(cluster, key) == mine

    on_cluster(scenario)


def test_an_acceptance_is_spent_once_the_keys_are_back() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_mass_loss(cluster)
        cluster.service.unlisted.clear()
        cluster.annotate(key, accept_loss="1")
        await cluster.passes(5)
        mine = current(cluster, key)
        await replaced_by_another_user(cluster, key)
        assert cluster.says(key)["Synced"] == ("False", "ApiUserChanged")
        assert current(cluster, key) == mine

    on_cluster(scenario)
