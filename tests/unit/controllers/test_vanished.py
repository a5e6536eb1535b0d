"""What it takes to believe that an object vanished, and whose end is then served."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from amove_operator.controllers.census import Census
from amove_operator.controllers.resync import Resync
from amove_operator.controllers.shared.departed import Departed
from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, ObjectId, Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

OTHERS = "example.com/other"
Body = dict[str, Any]


async def deletable(cluster: BucketCluster, name: str = "media") -> Ref:
    """A ready bucket of our making whose policy is Delete."""
    ref = cluster.apply("team", name, deletionPolicy="Delete")
    await cluster.passes()
    return ref


def forgotten(cluster: BucketCluster) -> bool:
    """Whether no memory of any object that went is left."""
    store = cluster.d.store
    return not (store.vanished or store.unconfirmed or store.unserved)


def listing(cluster: BucketCluster, meanwhile: Callable[[], Any]) -> Census:
    """A census during whose list of buckets something happens, after the server made it."""

    async def answered(kind: Kind) -> None:
        if kind is Kind.BUCKET:
            meanwhile()
            await cluster.passes()

    setattr(cluster.kube, "answered", answered)  # noqa: B010
    return Census(cluster.dispatcher)


def replaced(cluster: BucketCluster, ref: Ref, *, told: bool = True, **spec: Any) -> None:
    """Deleted by our protocol, and made again: another object of that name."""
    old = cluster.kube.crs.pop(ref)
    with cluster.d.store.letting_go(ObjectId(ref, old["metadata"]["uid"])):
        pass
    if told:
        cluster.dispatcher.on_object_event(ref.kind, "DELETED", old)
    else:
        cluster.d.store.departed.forget(old["metadata"]["uid"])
    cluster.apply(ref.namespace, ref.name, **spec)


# ---------------------------------------------------------------- what proves nothing


@pytest.mark.parametrize("told", ["by an event", "by a list"])
def test_one_that_a_get_still_shows_comes_back_and_keeps_its_bucket(told: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        body = copy.deepcopy(cluster.kube.crs[ref])
        if told == "by an event":
            cluster.dispatcher.on_object_event(ref.kind, "DELETED", body)
        else:
            cluster.dispatcher.on_not_listed(ObjectId(ref, ""), set(), cluster.kube.version())
        assert cluster.d.store.get(ref) is None
        await cluster.passes()
        assert cluster.d.store.get(ref) is not None
        assert list(cluster.service.buckets) == ["media"]
        cluster.delete(ref)
        await cluster.passes(60)
        assert cluster.service.buckets == {}
        assert forgotten(cluster)

    on_cluster(scenario)


def test_one_that_shows_itself_before_a_get_does_is_no_ghost_any_more() -> None:
    """Else it were asked for every five seconds, for as long as it is there."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.dispatcher.on_not_listed(ObjectId(ref, ""), set(), cluster.kube.version())
        cluster.annotate(ref, reconcile_requested_at="1")
        await cluster.passes(60)
        assert cluster.d.store.get(ref) is not None
        assert cluster.d.store.vanished == {}

    on_cluster(scenario)


def test_one_that_was_made_anew_while_a_get_was_answered_is_read_again() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        ask, answers = cluster.kube.get_object, list[str]()

        async def late(asked: Ref) -> Any:
            body = await ask(asked)
            assert body is not None
            if not answers:
                old = cluster.kube.crs.pop(ref)
                cluster.d.store.departed.forget(old["metadata"]["uid"])
                cluster.apply(ref.namespace, ref.name, deletionPolicy="Delete")
            answers.append(body["metadata"]["uid"])
            return body

        setattr(cluster.kube, "get_object", late)  # noqa: B010
        backed_off, fail = list[ObjectId](), cluster.d.queue.fail

        def failed(item: ObjectId, **how: Any) -> float:
            backed_off.append(item)
            return fail(item, **how)

        setattr(cluster.d.queue, "fail", failed)  # noqa: B010
        cluster.dispatcher.on_not_listed(ObjectId(ref, ""), set(), cluster.kube.version())
        await cluster.passes(60)
        assert [item.uid for item in backed_off] == answers[:1]
        assert len(answers) >= 2
        assert answers[0] != answers[1]
        assert cluster.d.store.unconfirmed == {}
        assert list(cluster.service.buckets) == ["media"]

    on_cluster(scenario)


def test_nothing_is_served_while_no_get_is_answered_and_it_is_when_one_is() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        ask = cluster.kube.get_object

        async def down(_ref: Ref) -> Any:
            raise KubeUnavailable("no answer")

        setattr(cluster.kube, "get_object", down)  # noqa: B010
        cluster.strip(ref)
        await cluster.passes(600)
        assert list(cluster.service.buckets) == ["media"]
        setattr(cluster.kube, "get_object", ask)  # noqa: B010
        await cluster.passes(60)
        assert cluster.service.buckets == {}
        assert forgotten(cluster)

    on_cluster(scenario)


def test_a_list_that_is_older_than_the_object_proves_nothing() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        asked: list[Ref] = []
        ask = cluster.kube.get_object

        async def counting(ref: Ref) -> Any:
            asked.append(ref)
            return await ask(ref)

        cluster.service.buckets.clear()
        census = listing(cluster, lambda: replaced(cluster, ref, deletionPolicy="Delete"))
        setattr(cluster.kube, "each_object", _without(cluster))  # noqa: B010
        setattr(cluster.kube, "get_object", counting)  # noqa: B010
        await census.take()
        await cluster.passes()
        assert asked == []
        assert list(cluster.service.buckets) == ["media"]

    on_cluster(scenario)


def _without(cluster: BucketCluster) -> Any:
    """Lists that show nothing at all, as of the moment at which they are asked for."""

    async def each_object(kind: Kind, _take: object, _namespace: str | None) -> str:
        version = cluster.kube.version()
        await cluster.kube.answered(kind)
        return version

    return each_object


@pytest.mark.parametrize("told", [True, False])
def test_an_old_body_in_the_list_does_not_displace_the_object_that_was_made_again(
    told: bool,
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.service.buckets.clear()
        again = partial(replaced, cluster, ref, told=told, deletionPolicy="Delete")
        await listing(cluster, again).take()
        new = cluster.kube.crs[ref]["metadata"]["uid"]
        await cluster.passes()
        found = cluster.d.store.get(ref)
        assert found is not None
        assert found.metadata.uid == new
        assert list(cluster.service.buckets) == ["media"]
        assert cluster.service.count("delete") == 0

    on_cluster(scenario)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_stale_list_does_not_bring_back_what_was_let_go_of_meanwhile(policy: str) -> None:
    """Under Retain its old body may even say Delete."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)

        def goes() -> None:
            cluster.kube.crs[ref]["spec"]["deletionPolicy"] = policy
            cluster.delete(ref)

        remove = cluster.kube.remove_finalizer

        async def told(ref: Ref, meta: Any) -> None:
            body = copy.deepcopy(cluster.kube.crs[ref])
            await remove(ref, meta)
            cluster.dispatcher.on_object_event(ref.kind, "DELETED", body)

        setattr(cluster.kube, "remove_finalizer", told)  # noqa: B010
        await listing(cluster, goes).take()
        assert ref not in cluster.kube.crs
        assert cluster.d.store.get(ref) is None
        deletions = cluster.service.count("delete")
        await _quietly(cluster)
        assert cluster.service.count("delete") == deletions == (policy == "Delete")
        assert list(cluster.service.buckets) == (["media"] if policy == "Retain" else [])
        assert forgotten(cluster)

    on_cluster(scenario)


async def _quietly(cluster: BucketCluster) -> None:
    """Another complete list, during which nothing happens."""

    async def answered(_kind: Kind) -> None:
        return None

    setattr(cluster.kube, "answered", answered)  # noqa: B010
    await Census(cluster.dispatcher).take()
    await cluster.passes(60)


def test_what_was_let_go_of_and_is_kept_by_another_is_nothing_to_a_new_leader() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        meta = cluster.kube.crs[ref]["metadata"]
        await cluster.stop()
        meta["deletionTimestamp"], meta["finalizers"] = "2026-01-02T00:00:00Z", [OTHERS]
        cluster.kube.touch(cluster.kube.crs[ref])
        cluster.start()
        await cluster.passes()
        cluster.strip(ref)
        await cluster.passes(60)
        assert list(cluster.service.buckets) == ["media"]
        assert forgotten(cluster)

    on_cluster(scenario)


def test_what_another_leader_let_go_of_is_nothing_to_a_standby_that_saw_it_before() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.d.leadership.leading = False
        meta = cluster.kube.crs[ref]["metadata"]
        meta["deletionTimestamp"], meta["finalizers"] = "2026-01-02T00:00:00Z", [OTHERS]
        cluster.dispatcher.on_object_event(
            ref.kind, None, cluster.kube.touch(cluster.kube.crs[ref])
        )
        await cluster.dispatcher.on_leading()
        cluster.strip(ref)
        await cluster.passes(60)
        assert list(cluster.service.buckets) == ["media"]
        assert forgotten(cluster)

    on_cluster(scenario)


def test_what_went_while_another_led_is_forgotten_when_the_lead_is_taken() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.d.leadership.leading = False  # a standby that is cut off …
        body = cluster.kube.crs.pop(ref)  # … while another lets go
        late = copy.deepcopy(body)
        await Census(cluster.dispatcher).take()
        await cluster.dispatcher.on_leading()
        # The watch catches up: what it shows is older than the list.
        cluster.dispatcher.on_object_event(ref.kind, None, late)
        cluster.dispatcher.on_object_event(ref.kind, "DELETED", late)
        await cluster.passes(60)
        assert list(cluster.service.buckets) == ["media"]
        assert forgotten(cluster)

    on_cluster(scenario)


# ---------------------------------------------------------------- what is served


def test_one_that_lost_its_finalizer_before_our_eyes_is_served() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.service.full.add("media")
        cluster.delete(ref)
        await cluster.passes()
        cluster.kube.crs[ref]["metadata"]["finalizers"] = [OTHERS]
        cluster.dispatcher.on_object_event(
            ref.kind, None, cluster.kube.touch(cluster.kube.crs[ref])
        )
        cluster.service.full.clear()
        cluster.strip(ref)
        await cluster.passes(60)
        assert cluster.service.buckets == {}
        assert forgotten(cluster)

    on_cluster(scenario)


def test_one_that_another_displaces_is_served_when_a_get_shows_the_other() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = await deletable(cluster)
        cluster.apply("team", "media", bucketName="other")  # no event told of the first one's end
        await cluster.passes(60)
        assert list(cluster.service.buckets) == ["other"]
        assert cluster.provenance(ref) == "Created"
        assert not cluster.d.store.vanished

    on_cluster(scenario)


def test_the_answer_to_a_release_leaves_the_object_that_was_made_again_in_the_cache() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Retain")
        await cluster.passes()
        remove = cluster.kube.remove_finalizer

        async def slowly(ref: Ref, meta: Any) -> None:
            body = copy.deepcopy(cluster.kube.crs[ref])
            await remove(ref, meta)
            cluster.dispatcher.on_object_event(ref.kind, "DELETED", body)
            cluster.apply("team", "media", bucketName="other")
            await asyncio.sleep(1)

        setattr(cluster.kube, "remove_finalizer", slowly)  # noqa: B010
        cluster.delete(ref)
        await cluster.passes()
        assert cluster.d.store.get(ref) is not None
        assert cluster.says(ref)["Ready"][0] == "True"
        assert sorted(cluster.service.buckets) == ["media", "other"]

    on_cluster(scenario)


# ---------------------------------------------------------------- namespaces that go


def without_a_role_in(cluster: BucketCluster, namespace: str) -> None:
    """Only get and patch of our two kinds are left to us there, and it is being deleted."""
    kube, listed = cluster.kube, cluster.kube.each_object
    watched = {"watch_namespaces": ("team", namespace)}
    cluster.configure(**watched)

    async def each_object(kind: Kind, take: Any, scope: str | None) -> Any:
        if scope == namespace:
            raise KubeRefused("forbidden", status=403)
        return await listed(kind, take, scope)

    write, read = kube.write_status, kube.read_secret

    async def write_status(ref: Ref, *args: Any) -> Any:
        if ref.namespace == namespace:
            raise KubeRefused("forbidden", status=403)
        return await write(ref, *args)

    async def read_secret(where: str, name: str) -> Any:
        if where == namespace:
            raise KubeRefused("forbidden", status=403)
        return await read(where, name)

    async def terminating(where: str) -> bool:
        return where == namespace

    for name, new in (
        ("each_object", each_object),
        ("write_status", write_status),
        ("read_secret", read_secret),
        ("namespace_terminating", terminating),
    ):
        setattr(kube, name, new)


def test_what_a_namespace_without_our_role_holds_is_asked_for_and_let_go() -> None:
    """No list and no watch tells of their deletion, no status can be written, no Secret read."""

    async def scenario(cluster: BucketCluster) -> None:
        doomed = cluster.apply("gone", "doomed", deletionPolicy="Delete")
        kept = cluster.apply("gone", "kept")
        key = cluster.apply_key("gone", "app", "doomed")
        missed = await deletable(cluster)
        await cluster.passes(60)
        assert len(cluster.service.keys) == 1
        without_a_role_in(cluster, "gone")
        for ref in (doomed, kept, key):
            cluster.kube.crs[ref]["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z"
            cluster.kube.touch(cluster.kube.crs[ref])
        del cluster.kube.crs[missed]  # and of another namespace: its end was missed

        sweep = asyncio.create_task(Resync(cluster.dispatcher).run())
        await cluster.passes(300)
        assert cluster.d.namespaces.unlisted == {"gone"}
        assert cluster.kube.crs == {}
        assert cluster.service.keys == {}
        assert list(cluster.service.buckets) == ["kept"]
        assert forgotten(cluster)
        sweep.cancel()

    on_cluster(scenario, resync="1m")


# ---------------------------------------------------------------- what is remembered


def test_what_left_is_remembered_until_a_list_that_was_begun_later_is_there() -> None:
    departed, ref = Departed(), Ref(Kind.BUCKET, "team", "media")
    old = {"uid": "u", "resourceVersion": "5", "finalizers": [FINALIZER]}
    under_way = departed.begin_list()
    departed.note_let_go(ref, "u")
    departed.end_list(Kind.BUCKET, None, under_way, "4")
    assert departed.is_stale(ref, old)
    assert not departed.is_stale(ref, {**old, "finalizers": [OTHERS]})
    departed.note_gone(ref, "u")
    assert departed.is_stale(ref, {**old, "finalizers": [OTHERS]})

    departed.end_list(Kind.KEY, None, departed.begin_list(), "9")
    assert vars(departed)["_left"], "a list of the other kind tells nothing of it"
    departed.end_list(Kind.BUCKET, "elsewhere", departed.begin_list(), "9")
    assert vars(departed)["_left"], "nor one of another namespace"
    departed.end_list(Kind.BUCKET, None, departed.begin_list(), "9")
    assert not vars(departed)["_left"]
    assert departed.is_stale(ref, old)
    assert not departed.is_stale(ref, {"uid": "v", "resourceVersion": "10"})


def test_a_standby_remembers_nothing_of_what_goes_and_a_leader_no_more_than_since_its_list() -> (
    None
):
    async def scenario(cluster: BucketCluster) -> None:
        left = vars(cluster.d.store.departed)
        for number in range(3):
            ref = cluster.apply("team", f"b{number}", deletionPolicy="Retain")
            await cluster.passes()
            cluster.d.leadership.leading = number != 1
            cluster.strip(ref)
            await cluster.passes()
        assert len(left["_left"]) == 2
        await Census(cluster.dispatcher).take()
        assert not left["_left"]
        assert forgotten(cluster)

    on_cluster(scenario)


def test_of_an_object_that_goes_while_it_is_written_to_nothing_is_kept() -> None:
    """The write says Conflict after DELETED was heard: the back-off of a UID that never returns."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        item = ObjectId(ref, cluster.kube.crs[ref]["metadata"]["uid"])
        cluster.strip(ref)
        cluster.d.queue.fail(item)
        await cluster.passes(60)
        assert cluster.d.queue.run(item).failures == 0
        assert cluster.d.memories.buckets == {}

    on_cluster(scenario)


def test_a_bucket_that_goes_while_it_waits_for_a_name_wants_it_no_more() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        bucket = cluster.d.store.buckets[ref]
        assert cluster.d.names.want(bucket.bucket_name, bucket.metadata.uid, waits=True)
        cluster.delete(ref)
        await cluster.passes(60)
        assert ref not in cluster.kube.crs
        assert cluster.d.names.wanted == {}

    on_cluster(scenario)
