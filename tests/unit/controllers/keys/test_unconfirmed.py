"""A key that may live on is never let go of in silence: an Event names it."""

from __future__ import annotations

import pytest

from amove_operator.kube.views import ObjectReference
from amove_operator.models.refs import Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster


async def some_keys(cluster: BucketCluster, number: int) -> list[Ref]:
    """So many teams with a bucket and a key each."""
    keys = []
    for count in range(number):
        cluster.apply(f"team-{count}", f"bucket-{count}")
        keys.append(cluster.apply_key(f"team-{count}", "app", f"bucket-{count}"))
    await cluster.passes(60)
    assert len(cluster.service.keys) == number
    return keys


async def listed(cluster: BucketCluster, times: int) -> None:
    """So many lists, a minute apart."""
    for _ in range(times):
        await cluster.passes(60)
        await cluster.d.key_lists.fresh()


def warned(cluster: BucketCluster) -> list[str]:
    """The messages of the Events RevokeUnconfirmed, as they come."""
    found, emit = list[str](), cluster.kube.emit_event

    async def noted(about: ObjectReference, *, type: str, reason: str, message: str) -> None:
        if reason == "RevokeUnconfirmed":
            found.append(message)
        await emit(about, type=type, reason=reason, message=message)  # type: ignore[arg-type]

    setattr(cluster.kube, "emit_event", noted)  # noqa: B010
    return found


@pytest.mark.parametrize("number", [1, 2, 6], ids=["alone", "of two", "a mass loss"])
@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_deletion_that_accept_loss_ends_by_an_empty_list_names_the_key_that_may_live(
    number: int, deleted_first: bool
) -> None:
    """The list is empty since the token is another user's, who has no keys."""

    async def scenario(cluster: BucketCluster) -> None:
        key, *_ = await some_keys(cluster, number)
        told = warned(cluster)
        named = cluster.kube.crs[key]["status"]["key"]["id"]
        cluster.service.user = "user-2"
        await listed(cluster, 2)
        if deleted_first:
            cluster.delete(key)
            await listed(cluster, 3)
            assert key in cluster.kube.crs
            assert told == []
        cluster.annotate(key, accept_loss="mine")
        if not deleted_first:
            cluster.delete(key)
        await listed(cluster, 3)
        assert key not in cluster.kube.crs
        assert len(cluster.service.keys) == number, "the former user's keys live"
        [message] = told
        for word in (named, "bucket-0", "user-1"):
            assert word in message

    on_cluster(scenario)


def test_a_revocation_asked_for_in_vain_before_the_loss_was_accepted_is_told_all_the_same() -> None:
    """It was asked for while nobody could tell whose the empty list was, and is not asked again."""

    async def scenario(cluster: BucketCluster) -> None:
        key, other = await some_keys(cluster, 2)
        told = warned(cluster)
        cluster.annotate(other, paused="true")  # so that its key is missed, and not replaced
        cluster.annotate(key, paused="true")
        cluster.service.user = "user-2"
        await listed(cluster, 2)
        cluster.delete(key)
        cluster.annotate(key, paused=None)
        await listed(cluster, 3)
        assert cluster.says(key)["Synced"] == ("False", "ApiRefused")
        assert told == []
        cluster.annotate(key, accept_loss="mine")
        await listed(cluster, 3)
        assert key not in cluster.kube.crs
        [message] = told
        assert "key-1" in message

    on_cluster(scenario)


def test_a_key_that_a_list_of_its_user_lacks_is_told_of_as_gone_from_the_list() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key, _ = await some_keys(cluster, 2)
        told = warned(cluster)
        cluster.annotate(key, paused="true")
        del cluster.service.keys["key-1"]
        cluster.delete(key)
        await listed(cluster, 2)
        cluster.annotate(key, paused=None)
        await listed(cluster, 2)
        assert key not in cluster.kube.crs
        assert not any("may live on" in message for message in told)

    on_cluster(scenario)
