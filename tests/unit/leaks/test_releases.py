"""Each way in which something of an object stayed behind when the object had left."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from amove_operator.controllers.resync import Resync
from amove_operator.core.naming import marker_of
from amove_operator.errors import KubeUnavailable
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, ObjectId, Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster
from tests.unit.leaks.containers import Walk

OTHERS = "example.com/other"


def left_of(cluster: BucketCluster) -> dict[str, int]:
    """Which containers of what is kept of objects are not empty."""
    d = cluster.d
    kept = [d.memories, d.bucket_losses, d.key_losses, d.names, d.store, d.queue]
    names = ("Memories.", "BucketLosses._", "KeyLosses._", "NameRegistry.", "Store.", "KeyIndex.")
    sizes = {name: size.total for name, size in Walk(kept).sizes.items()}
    fixed = ("BucketLosses._counted", "KeyLosses._counted")
    found = {name: size for name, size in sizes.items() if size and name.startswith(names)}
    assert len(d.queue) == 0
    return {name: size for name, size in found.items() if name not in fixed}


# ---------------------------------------------------------------- what a pass notes too late


def test_of_a_bucket_that_goes_while_it_is_observed_no_loss_stays() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        cluster.service.buckets.clear()
        cluster.service.pause = asyncio.Event()
        cluster.annotate(ref, reconcile_requested_at="1")
        await cluster.passes()
        body = cluster.kube.crs.pop(ref)
        body["metadata"]["finalizers"] = []
        cluster.d.store.unserved.clear()  # as if it had been let go of
        cluster.dispatcher.on_object_event(ref.kind, "DELETED", body)
        assert left_of(cluster) == {}
        cluster.service.pause.set()
        await cluster.passes(3600)
        assert left_of(cluster) == {}

    on_cluster(scenario)


def test_no_memory_begins_for_a_bucket_that_is_gone() -> None:
    """It was observed because another was lost, and went; then a third one was lost."""

    async def scenario(cluster: BucketCluster) -> None:
        first, second, third = (cluster.apply("team", f"media-{n}") for n in range(3))
        await cluster.passes()
        cluster.service.buckets.pop("media-0")
        cluster.annotate(first, reconcile_requested_at="1")
        await cluster.passes()
        cluster.delete(second)
        await cluster.passes(60)
        assert second not in cluster.kube.crs
        cluster.service.buckets.pop("media-2")
        cluster.annotate(third, reconcile_requested_at="1")
        await cluster.passes(60)
        there = {cluster.kube.crs[ref]["metadata"]["uid"] for ref in (first, third)}
        assert cluster.d.memories.buckets.keys() == there

    on_cluster(scenario)


def test_who_goes_while_its_status_says_that_it_waits_for_a_name_wants_it_no_more() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        mine = cluster.apply("red", "media")
        key = cluster.apply_key("red", "app", "media")
        await cluster.passes(60)
        assert len(cluster.service.keys) == 1
        cluster.service.buckets.clear()
        cluster.delete(mine)
        write = cluster.kube.write_status

        async def goes_meanwhile(ref: Ref, *sent: Any) -> Any:
            answer = await write(ref, *sent)
            reasons = {one["reason"] for one in cluster.kube.crs[ref]["status"]["conditions"]}
            if ref.namespace == "blue" and "NameInUse" in reasons:
                gone = cluster.kube.crs.pop(ref)
                cluster.d.store.unserved.clear()
                cluster.dispatcher.on_object_event(ref.kind, "DELETED", gone)
            return answer

        setattr(cluster.kube, "write_status", goes_meanwhile)  # noqa: B010
        theirs = cluster.apply("blue", "media")
        await cluster.passes(60)
        assert theirs not in cluster.kube.crs
        assert cluster.d.names.wanted == {}
        assert key in cluster.kube.crs

    on_cluster(scenario)


@pytest.mark.parametrize("answered", [True, False])
def test_of_fifty_that_another_finalizer_keeps_for_days_nothing_stays_when_they_go(
    answered: bool,
) -> None:
    """Also where the removal of our finalizer got no answer."""

    async def scenario(cluster: BucketCluster) -> None:
        async def remove(ref: Ref, _meta: Any) -> None:
            body = cluster.kube.crs[ref]
            body["metadata"]["finalizers"].remove(FINALIZER)
            shown = cluster.kube.touch(body)
            cluster.loop.call_later(1, cluster.dispatcher.on_object_event, ref.kind, None, shown)
            if not answered:
                raise KubeUnavailable("no answer")

        setattr(cluster.kube, "remove_finalizer", remove)  # noqa: B010
        refs = [cluster.apply("team", f"media-{number}") for number in range(25)]
        refs += [cluster.apply_key("team", f"k{number}", "media-0") for number in range(25)]
        await cluster.passes(60)
        for ref in refs:
            cluster.kube.crs[ref]["metadata"]["finalizers"].append(OTHERS)
        for ref in reversed(refs):
            cluster.delete(ref)
        await cluster.passes(3 * 86_400)
        assert len(cluster.kube.crs) == 50
        assert len(cluster.d.memories.buckets) == len(cluster.d.memories.keys) == 25
        for ref in refs:
            cluster.dispatcher.on_object_event(ref.kind, "DELETED", cluster.kube.crs.pop(ref))
        await cluster.passes(86_400)
        assert left_of(cluster) == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- the queue


def test_a_standby_queues_nobody_who_came_and_went() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await cluster.stop()
        cluster.d.leadership.end()
        for number in range(20):
            cluster.strip(cluster.apply("team", f"b{number}"))
        cluster.apply("team", "stays")
        assert cluster.d.queue.depth == 1

    on_cluster(scenario)


# ---------------------------------------------------------------- one copy of one object


@pytest.mark.parametrize("there", [True, False])
def test_an_object_that_an_event_shows_again_before_the_get_is_kept_once(there: bool) -> None:
    """The late event does not answer what only a GET can: whether the object is there."""

    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team", "media")
        ref = cluster.apply_key("team", "app", "media")
        await cluster.passes(60)
        store, body = cluster.d.store, copy.deepcopy(cluster.kube.crs[ref])
        item = ObjectId(ref, body["metadata"]["uid"])
        cluster.dispatcher.on_not_listed(ObjectId(ref, ""), set(), cluster.kube.version())
        assert item in store.vanished
        body["metadata"]["resourceVersion"] = cluster.kube.version()
        if not there:
            del cluster.kube.crs[ref]
        cluster.dispatcher.on_object_event(Kind.KEY, "MODIFIED", body)
        assert (store.vanished, set(store.unconfirmed)) == ({}, {item})
        assert [key.metadata.uid for key in store.keys.values()] == [item.uid]
        await cluster.passes(60)
        assert not store.unconfirmed
        marker = marker_of("cluster", item.uid)
        owner = store.owner_of(marker)
        assert (owner is not None, len(cluster.service.keys)) == (there, int(there))
        if not there:
            assert ref not in store.keys
            assert item.uid not in cluster.d.memories.keys

    on_cluster(scenario)


def test_one_whose_finalizer_a_late_event_shows_taken_off_is_served_to_its_end_all_the_same() -> (
    None
):
    """Its protocol was not served: that another finalizer kept it a while changes nothing."""

    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team", "media")
        ref = cluster.apply_key("team", "app", "media")
        await cluster.passes(60)
        body = cluster.kube.crs.pop(ref)
        cluster.dispatcher.on_not_listed(ObjectId(ref, ""), set(), cluster.kube.version())
        meta = body["metadata"]
        meta |= {"finalizers": [OTHERS], "deletionTimestamp": "2026-01-02T00:00:00Z"}
        meta["resourceVersion"] = cluster.kube.version()
        cluster.dispatcher.on_object_event(Kind.KEY, "MODIFIED", copy.deepcopy(body))
        cluster.dispatcher.on_object_event(Kind.KEY, "DELETED", body)
        await cluster.passes(60)
        assert cluster.service.keys == {}
        assert cluster.d.store.vanished == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- a list that nobody renews


def test_the_last_key_list_is_renewed_also_when_no_key_object_is_left() -> None:
    """By the old list, a key that was revoked since would block the bucket's deletion for ever."""

    async def scenario(cluster: BucketCluster) -> None:
        sweep = asyncio.create_task(Resync(cluster.dispatcher).run())
        bucket = cluster.apply("trusted", "media", deletionPolicy="Delete")
        key = cluster.apply_key("trusted", "app", "media", deletionPolicy="Retain")
        await cluster.passes(60)
        cluster.delete(key)
        await cluster.passes(60)
        assert key not in cluster.kube.crs
        assert len(cluster.service.keys) == 1
        cluster.delete(bucket)
        await cluster.passes(60)
        assert cluster.says(bucket)["Stalled"] == ("True", "DeletionBlocked")
        cluster.service.keys.clear()
        cluster.kube.secrets.clear()
        await cluster.passes(7200)
        assert bucket not in cluster.kube.crs
        sweep.cancel()

    on_cluster(scenario, watched="trusted")
