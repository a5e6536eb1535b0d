"""An API server whose history went back: nothing is served as vanished, and the process ends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import inf

import pytest

from amove_operator.controllers.census import Census
from amove_operator.errors import HistoryWentBack
from amove_operator.models.refs import Kind, ObjectId, Ref
from tests.stand_ins.ports import Body
from tests.unit.bucket_cluster import BucketCluster, on_cluster


class Backup:
    """A backup of etcd."""

    def __init__(self, cluster: BucketCluster) -> None:
        self._cluster = cluster
        self._crs = copy.deepcopy(cluster.kube.crs)
        self._version = cluster.kube._version

    def restore(self, bump: int = 0) -> None:
        """``bump``: how much the versions go on above those that were seen, 0: where they were."""
        kube = self._cluster.kube
        kube.crs = self._crs
        kube._version = kube._version + bump if bump else self._version


async def deletable(cluster: BucketCluster, name: str) -> Ref:
    ref = cluster.apply("team", name, deletionPolicy="Delete")
    await cluster.passes()
    return ref


async def lost_by_a_restore(
    cluster: BucketCluster, change: Callable[[Ref], object], bump: int = 0
) -> None:
    """A bucket is in the backup, and ``change``d after it; another is made only then."""
    old = await deletable(cluster, "old")
    backup = Backup(cluster)
    change(old)
    await deletable(cluster, "new")
    backup.restore(bump)


def went_back(cluster: BucketCluster) -> bool:
    return cluster.d.store.history.went_back.is_set()


@pytest.mark.parametrize("bump", [0, 1_000_000])
def test_a_list_that_is_older_or_shows_an_older_object_ends_the_process(bump: int) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        change = lambda ref: cluster.annotate(ref, reconcile_requested_at="1")  # noqa: E731
        await lost_by_a_restore(cluster, change, bump)
        with pytest.raises(HistoryWentBack):
            await Census(cluster.dispatcher).take()
        assert went_back(cluster)
        await cluster.passes(600)
        assert sorted(cluster.service.buckets) == ["new", "old"]
        assert cluster.d.store.vanished == {}

    on_cluster(scenario)


def test_a_get_that_shows_an_older_object_ends_the_process() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        change = lambda ref: cluster.annotate(ref, reconcile_requested_at="1")  # noqa: E731
        await lost_by_a_restore(cluster, change, 1_000_000)
        with pytest.raises(HistoryWentBack):
            await cluster.dispatcher._read(Ref(Kind.BUCKET, "team", "old"))
        assert went_back(cluster)

    on_cluster(scenario)


def test_an_object_that_is_lost_alone_is_not_served_before_a_list_shows_a_newer_version() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await lost_by_a_restore(cluster, lambda _ref: None)
        new = cluster.d.store.get(Ref(Kind.BUCKET, "team", "new"))
        assert new is not None
        cluster.dispatcher.on_object_gone(new.object_id.ref)
        await cluster.passes(600)
        assert went_back(cluster)
        assert sorted(cluster.service.buckets) == ["new", "old"]

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("listable", "has_lease", "served"),
    [(True, False, True), (False, False, False), (False, True, True)],
    ids=["another namespace's list", "nothing", "the Lease"],
)
def test_in_a_namespace_that_cannot_be_listed_an_absence_is_proven_by(
    listable: bool, has_lease: bool, served: bool
) -> None:
    """As right after an API server began anew, which may refuse for a moment what it allows."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster, "media")
        cluster.d.namespaces.found(frozenset({"team"}), frozenset())
        cluster.kube.closed.add("team")
        cluster.configure(watch_namespaces=("team", "other") if listable else ("team",))
        if has_lease:
            cluster.d.leadership.renewed_at = cluster.d.clock
        del cluster.kube.crs[ref]
        cluster.d.queue.add(cluster.d.store.buckets[ref].object_id)
        await cluster.passes(60)
        assert (cluster.service.buckets == {}) is served

    on_cluster(scenario)


def test_an_object_that_is_gone_is_served_once_the_lease_was_renewed_since() -> None:
    """A restore whose versions go on above shows by the Lease alone, if nothing else changed."""

    async def scenario(cluster: BucketCluster) -> None:
        renewed = -inf
        cluster.d.leadership.renewed_at = lambda: renewed
        ref = await deletable(cluster, "media")
        body: Body = cluster.kube.crs.pop(ref)
        cluster.dispatcher.on_object_gone(ref)
        await cluster.passes(60)
        assert list(cluster.service.buckets) == ["media"]
        assert ObjectId(ref, body["metadata"]["uid"]) in cluster.d.store.vanished
        renewed = cluster.d.clock()
        await cluster.passes(60)
        assert cluster.service.buckets == {}
        assert not went_back(cluster)

    on_cluster(scenario)


def test_what_is_seen_while_a_list_or_a_get_is_on_its_way_does_not_make_it_older() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster, "media")

        async def answered(_kind: Kind) -> None:
            cluster.annotate(ref, reconcile_requested_at=cluster.kube.version())

        setattr(cluster.kube, "answered", answered)  # noqa: B010
        await Census(cluster.dispatcher).take()
        assert not went_back(cluster)

    on_cluster(scenario)
