"""Whose live keys keep a bucket's name, and what a 200 proves; told by status and key list."""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from amove_operator.controllers.census import Census
from amove_operator.controllers.resync import Resync
from amove_operator.core import names
from amove_operator.core.naming import key_name, marker_of, mask_bit, names_digest
from amove_operator.core.secrets.record import KEY_ID, MANAGED, OWNER_UID
from amove_operator.errors import TransportFault
from amove_operator.models import FINALIZER
from amove_operator.models.refs import Kind, Ref
from tests.unit.bucket_cluster import ACCOUNT, BucketCluster, on_cluster

SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
WAITING = ("True", "NameInUse")


def unaccounted(cluster: BucketCluster, name: str) -> list[names.Keeper]:
    """What the listed keys keep that no record accounts for."""
    return [keeper for _, keeper in names.unaccounted_keys(cluster.d.names, name)]


@asynccontextmanager
async def sweeping(cluster: BucketCluster) -> Any:
    """With the resync at work, which makes the first settled list."""
    sweep = asyncio.create_task(Resync(cluster.dispatcher).run())
    try:
        yield
    finally:
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)


async def a_key_of(cluster: BucketCluster, bucket: str) -> Ref:
    cluster.apply("tenant", bucket)
    key = cluster.apply_key("tenant", "app", bucket)
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    return key


def say_who(cluster: BucketCluster, ref: Ref) -> str:
    """What an object waits for, in words."""
    told = cluster.kube.crs[ref]["status"]["conditions"]
    return next(str(one["message"]) for one in told if one["type"] == "Synced")


def lost(
    cluster: BucketCluster, *names: str, cluster_uid: str = "cluster", uid: str = "gone"
) -> str:
    """A live key of those names whose object nobody knows; its id."""
    name = key_name("lost", marker_of(cluster_uid, "gone"), names_digest(names or None), 1)
    return cluster.service.issue(f"lost-{len(cluster.service.keys)}", name).id


def secret_saying(
    cluster: BucketCluster, namespace: str, key_id: str, *, data: bytes, owner: str = "gone"
) -> None:
    """Somebody writes a Secret that says to hold a key."""
    body = {
        "metadata": {
            "name": "kept",
            "namespace": namespace,
            "uid": f"uid-of-{namespace}-kept",
            "labels": {MANAGED: "true"},
            "annotations": {KEY_ID: key_id, OWNER_UID: owner},
        },
        "data": {"a": base64.b64encode(data).decode()},
    }
    cluster.kube.touch(body)
    cluster.kube.secrets[namespace, "kept"] = body
    cluster.show_secrets()


def same_bit(name: str) -> str:
    """Another bucket name that a mask cannot tell from this one."""
    others = (f"other-{number}" for number in count())
    return next(other for other in others if mask_bit(other) == mask_bit(name))


def forget_status(cluster: BucketCluster, key: Ref) -> None:
    """As it is when a process is killed between its first write of the Secret and of status."""
    cluster.kube.crs[key]["status"] = {"observedGeneration": -1}
    cluster.kube.touch(cluster.kube.crs[key])


def kept_by_another(cluster: BucketCluster) -> None:
    """From now on a finalizer of somebody else keeps what the operator lets go of."""

    async def remove(ref: Ref, _meta: object) -> None:
        body = cluster.kube.crs[ref]
        body["metadata"]["finalizers"] = ["example.com/other"]
        shown = cluster.kube.touch(body)
        cluster.loop.call_later(1, cluster.dispatcher.on_object_event, ref.kind, None, shown)

    setattr(cluster.kube, "remove_finalizer", remove)  # noqa: B010


# ---------------------------------------------------------------- one list before a name is given


def test_a_name_is_given_after_one_list_begun_since_the_lead_and_not_before() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.service.failing["list", ""] = TransportFault("time-out")
        ref = cluster.apply("team", "media")
        await cluster.passes()
        assert cluster.says(ref)["Synced"] == ("False", "ApiUnavailable")
        assert cluster.service.count("create") == 0
        del cluster.service.failing["list", ""]
        await cluster.passes(600)
        assert cluster.says(ref) == SETTLED
        assert cluster.service.count("list") == 1
        await cluster.passes(60)
        other = cluster.apply("team", "logs")
        await cluster.passes()
        assert cluster.says(other) == SETTLED
        assert cluster.service.count("list") == 1, "the same list tells of the next name"

    on_cluster(scenario)


def test_a_bucket_of_ours_needs_no_list_after_a_restart() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        cluster.service.failing["list", ""] = TransportFault("time-out")
        await cluster.restart()
        cluster.annotate(ref, reconcile_requested_at="now")
        await cluster.passes()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


def test_a_bucket_is_not_deleted_before_a_list_tells_who_reaches_it() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        await cluster.passes()
        await cluster.stop()
        lost(cluster, "media")
        cluster.service.failing["list", ""] = TransportFault("time-out")
        cluster.start()
        cluster.delete(ref)
        await cluster.passes(60)
        assert cluster.service.count("delete") == 0
        del cluster.service.failing["list", ""]
        await cluster.passes(600)
        assert cluster.says(ref)["Stalled"] == ("True", "DeletionBlocked")
        cluster.service.keys.clear()  # by a person
        await cluster.d.key_lists.fresh()
        await cluster.passes(3600)
        assert cluster.service.buckets == {}
        assert ref not in cluster.kube.crs

    on_cluster(scenario)


@pytest.mark.parametrize("where", ["another namespace", "the same namespace"])
def test_the_list_is_a_settled_one_where_another_namespace_may_have_an_unlisted_key(
    where: str,
) -> None:
    """What the process before us issued in its last moments may show late."""

    async def scenario(cluster: BucketCluster) -> None:
        namespace = "tenant" if where == "the same namespace" else "victim"
        key = await a_key_of(cluster, "pearls")
        await cluster.stop()
        forget_status(cluster, key)
        del cluster.kube.crs[Ref(Kind.BUCKET, "tenant", "pearls")]
        cluster.service.buckets.clear()
        cluster.service.unlisted |= cluster.service.keys.keys()
        cluster.start()
        ref = cluster.apply(namespace, "pearls")
        await cluster.passes(20)
        if namespace == "tenant":
            assert cluster.says(ref) == SETTLED
            return
        assert cluster.says(ref)["Reconciling"] == ("True", "WaitingForListing")
        cluster.service.unlisted.clear()
        await cluster.passes(20)
        assert cluster.says(ref)["Reconciling"] == WAITING

    on_cluster(scenario)


# ---------------------------------------------------------------- a live key that no status names


@pytest.mark.parametrize("how", ["its object stays", "its object was taken away"])
def test_a_live_key_that_no_status_names_keeps_its_names_until_it_is_revoked(how: str) -> None:
    """The same whether its Secret is there: what a Secret says plays no part."""

    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "gallery")
        await cluster.stop()
        forget_status(cluster, key)
        del cluster.kube.crs[Ref(Kind.BUCKET, "tenant", "gallery")]
        if how == "its object was taken away":
            del cluster.kube.crs[key]
        cluster.kube.secrets.clear()
        cluster.service.buckets.clear()
        cluster.start()
        async with sweeping(cluster):
            victim = cluster.apply("victim", "gallery")
            await cluster.passes(45)
            # Where the object is there, its key is held by nothing now, and so revoked at once.
            if how == "its object stays":
                assert cluster.service.keys == {}
            else:
                assert cluster.says(victim)["Reconciling"] == WAITING
                assert "orphans" in say_who(cluster, victim)
                cluster.service.keys.clear()  # by a person, who ran the command
                await cluster.passes(3700)
            assert cluster.says(victim) == SETTLED

    on_cluster(scenario)


def test_a_key_of_a_crash_is_replaced_and_keeps_the_name_until_its_grace_ends() -> None:
    """Its scope is on no record, so it is never taken over; who uses it has the grace to move."""

    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "gallery")
        (old,) = cluster.service.keys
        await cluster.stop()
        forget_status(cluster, key)
        cluster.start()
        async with sweeping(cluster):
            await cluster.passes(60)
            assert len(cluster.service.keys) == 2
            assert cluster.says(key)["Ready"] == ("True", "Issued")
            (retiring,) = cluster.kube.crs[key]["status"]["retiring"]
            assert (retiring["id"], retiring.get("buckets", [])) == (old, [])
            # The key of today reaches "gallery" by status; the old one by its marker alone.
            assert [one.namespace for one in unaccounted(cluster, "gallery")] == ["tenant"]
            await cluster.passes(3700)
            assert old not in cluster.service.keys
            assert list(unaccounted(cluster, "gallery")) == []

    on_cluster(scenario)


def test_a_key_that_status_names_keeps_only_the_names_that_status_tells() -> None:
    """There a digest adds nothing: a name that collides is free."""

    async def scenario(cluster: BucketCluster) -> None:
        for name in ("one", "two"):
            cluster.apply("tenant", name)
        key = cluster.apply_key("tenant", "app", "one", "two")
        await cluster.passes(60)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        await cluster.restart()
        twin = cluster.apply("victim", same_bit("two"))
        await cluster.passes(60)
        assert cluster.says(twin) == SETTLED

    on_cluster(scenario)


def test_an_orphan_keeps_every_name_that_its_marker_may_mean_from_everybody() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        lost(cluster, "one", "two")
        lost(cluster)  # of all buckets
        lost(cluster, "free", cluster_uid="another")
        named = [cluster.apply("victim", name) for name in ("one", same_bit("two"))]
        free = cluster.apply("victim", "free")
        await cluster.passes(60)
        for ref in named:
            assert cluster.says(ref)["Reconciling"] == WAITING
            assert "amove-operator orphans" in say_who(cluster, ref)
        assert cluster.says(free) == SETTLED

    on_cluster(scenario)


def test_who_waits_for_a_name_goes_on_when_the_key_is_revoked() -> None:
    """At once where we revoke it; where a person does, with the next list."""

    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "gallery")
        cluster.delete(Ref(Kind.BUCKET, "tenant", "gallery"))
        await cluster.passes()
        cluster.service.buckets.clear()
        lost(cluster, "pearls")
        await cluster.d.key_lists.fresh()
        ours, theirs = cluster.apply("victim", "gallery"), cluster.apply("victim", "pearls")
        cluster.annotate(key, paused="true")
        await cluster.passes()
        assert cluster.says(theirs)["Reconciling"] == WAITING
        await cluster.passes(30)
        assert cluster.says(ours) == SETTLED, "its bucket's object is gone: it was given up"
        cluster.service.keys.clear()
        await cluster.passes(60)
        assert cluster.says(theirs)["Reconciling"] == WAITING
        await cluster.d.key_lists.fresh()
        await cluster.passes(1)
        assert cluster.says(theirs) == SETTLED

    on_cluster(scenario)


# ---------------------------------------------------------------- retained keys, and what is said


def test_a_retained_key_keeps_the_name_from_other_namespaces_and_not_from_its_own() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("trusted", "media")
        key = cluster.apply_key("trusted", "app", "media", deletionPolicy="Retain")
        async with sweeping(cluster):
            await cluster.passes(60)
            assert cluster.says(key)["Ready"] == ("True", "Issued")
            cluster.show_secrets()
            cluster.delete(key)
            cluster.delete(Ref(Kind.BUCKET, "trusted", "media"))
            await cluster.passes()
            assert not cluster.kube.crs
            assert len(cluster.service.keys) == 1
            cluster.service.buckets.clear()
            await cluster.d.key_lists.fresh()
            await cluster.passes()
            victim = cluster.apply("victim", "media")
            await cluster.passes()
            assert cluster.says(victim)["Reconciling"] == WAITING
            assert "a retained Secret of namespace trusted" in say_who(cluster, victim)
            cluster.delete(victim)
            await cluster.passes()
            heir = cluster.apply("trusted", "media")
            await cluster.passes()
            assert cluster.says(heir) == SETTLED

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("data", "owner"), [(b"AK-of-none", "gone"), (b"AK-lost-0", "another"), (b"", "gone")]
)
def test_a_secret_that_only_says_so_neither_frees_nor_keeps_a_name(data: bytes, owner: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key_id = lost(cluster, "media")
        secret_saying(cluster, "tenant", key_id, data=data, owner=owner)
        secret_saying(cluster, "victim", "unheard-of", data=b"AK-unheard-of")
        async with sweeping(cluster):
            await cluster.passes(60)
            own = cluster.apply("tenant", "media")
            other = cluster.apply("victim", "pearls")
            await cluster.passes()
            assert cluster.says(own)["Reconciling"] == WAITING
            assert "orphans" in say_who(cluster, own)
            assert cluster.says(other) == SETTLED

    on_cluster(scenario)


@pytest.mark.parametrize("watched", ["", "tenant,victim"])
def test_another_releases_key_keeps_a_name_only_where_a_watched_secret_has_it(watched: str) -> None:
    """With watchNamespaces nobody can tell another release's key from an orphan of ours."""

    async def scenario(cluster: BucketCluster) -> None:
        lost(cluster, "pearls")
        kept = lost(cluster, "media")
        secret_saying(cluster, "tenant", kept, data=f"AK-{kept}".encode())
        async with sweeping(cluster):
            await cluster.passes(60)
            refs = cluster.apply("victim", "pearls"), cluster.apply("victim", "media")
            await cluster.passes()
            assert cluster.says(refs[1])["Reconciling"] == WAITING
            assert "namespace tenant" in say_who(cluster, refs[1])
            if watched:
                assert cluster.says(refs[0]) == SETTLED
            else:
                assert cluster.says(refs[0])["Reconciling"] == WAITING

    on_cluster(scenario, watched=watched)


def test_while_a_watched_namespace_cannot_be_listed_any_key_may_be_held_there() -> None:
    """Its Secrets are not known: none of them says that it holds the key."""

    async def scenario(cluster: BucketCluster) -> None:
        lost(cluster, "pearls")
        lost(cluster, "media")
        ours = cluster.apply("victim", "media")
        await cluster.passes(60)
        assert cluster.says(ours) == SETTLED
        cluster.kube.closed = {"tenant"}
        await Census(cluster.dispatcher).take()
        ref = cluster.apply("victim", "pearls")
        async with sweeping(cluster):
            await cluster.passes(60)
        assert cluster.says(ref)["Reconciling"] == WAITING
        told = say_who(cluster, ref)
        assert "a Secret of namespace tenant may hold" in told
        assert "AMOVE_WATCH_NAMESPACES" in told
        assert cluster.says(ours) == SETTLED  # and no word of an orphan that may be none
        cluster.kube.closed = set()
        await Census(cluster.dispatcher).take()
        await cluster.passes()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario, watched="tenant,victim")


def test_a_watched_namespace_that_is_gone_keeps_no_name() -> None:
    """It cannot be listed either, and has no Secrets: another release's keys are none of its."""

    async def scenario(cluster: BucketCluster) -> None:
        lost(cluster, "pearls")
        lost(cluster, "media")
        going = cluster.apply("victim", "media", deletionPolicy="Delete")
        await cluster.passes(60)
        cluster.kube.gone = {"tenant"}
        await Census(cluster.dispatcher).take()
        ref = cluster.apply("victim", "pearls")
        cluster.delete(going)
        async with sweeping(cluster):
            await cluster.passes(60)
        assert cluster.says(ref) == SETTLED
        assert going not in cluster.kube.crs

    on_cluster(scenario, watched="tenant,victim")


def test_a_bucket_of_ours_that_an_orphan_may_reach_says_so_until_the_key_is_revoked() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes(60)
        assert cluster.says(ref) == SETTLED
        lost(cluster, "media")
        await cluster.d.key_lists.fresh()
        await cluster.resync()
        assert cluster.says(ref) == {
            "Ready": ("True", "Available"),
            "Synced": ("False", "ReachedByOrphan"),
        }
        cluster.service.keys.clear()
        await cluster.d.key_lists.fresh()
        await cluster.resync()
        assert cluster.says(ref) == SETTLED

    on_cluster(scenario)


def test_an_own_key_in_the_making_is_no_orphan_to_its_bucket() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await a_key_of(cluster, "media")
        await cluster.resync()
        assert cluster.says(Ref(Kind.BUCKET, "tenant", "media")) == SETTLED

    on_cluster(scenario)


# ---------------------------------------------------------------- what a 200 proves, and till when


def stalled_by_another(cluster: BucketCluster, ref: Ref) -> None:
    """Another process took our intent for nobody's, and says that the bucket is a stranger's."""
    exists = {"reason": "BucketExists", "message": "-", "observedGeneration": 1}
    conditions = [
        {"type": "Ready", "status": "False", **exists},
        {"type": "Synced", "status": "False", **exists},
        {"type": "Stalled", "status": "True", **exists},
    ]
    status = cluster.kube.crs[ref]["status"]
    status.pop("createIntent", None)
    status["conditions"] = conditions


def after_the_create(cluster: BucketCluster, then: Callable[[], None]) -> None:
    create = cluster.service.create_bucket

    async def creating(*args: Any) -> None:
        await create(*args)
        then()

    setattr(cluster.service, "create_bucket", creating)  # noqa: B010


def test_our_bucket_is_ours_though_another_process_took_the_intent_back() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")

        def interfere() -> None:
            stalled_by_another(cluster, ref)
            cluster.kube.touch(cluster.kube.crs[ref])
            cluster.dispatcher.on_object_event(ref.kind, None, copy.deepcopy(cluster.kube.crs[ref]))

        after_the_create(cluster, interfere)
        await cluster.passes()
        assert (cluster.says(ref), cluster.provenance(ref)) == (SETTLED, "Created")

    on_cluster(scenario)


def test_what_is_anothers_by_now_is_not_ours_for_a_200_of_long_ago() -> None:
    """A rival adopted it in between, with its data, and let it go a day later."""

    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media", deletionPolicy="Delete")
        proof = {"bucketName": "media", "cloudAccountId": ACCOUNT, "provenance": "Adopted"}

        def interfere() -> None:
            stalled_by_another(cluster, ref)
            rival = cluster.apply("trusted", "media", adoptionPolicy="IfExists")
            body = cluster.kube.crs[rival]
            body["status"] = {"ownerUID": body["metadata"]["uid"], **proof}
            body["metadata"]["finalizers"] = [FINALIZER]
            for one in (rival, ref):
                cluster.kube.touch(cluster.kube.crs[one])
                cluster.dispatcher.on_object_event(
                    one.kind, None, copy.deepcopy(cluster.kube.crs[one])
                )

        after_the_create(cluster, interfere)
        await cluster.passes(86400)
        assert cluster.says(ref)["Stalled"] == ("True", "BucketClaimed")
        cluster.delete(Ref(Kind.BUCKET, "trusted", "media"))
        await cluster.passes(10)
        assert cluster.says(ref)["Stalled"] == ("True", "BucketExists")
        cluster.delete(ref)
        await cluster.passes(120)
        assert ref not in cluster.kube.crs
        assert list(cluster.service.buckets) == ["media"]
        assert cluster.service.count("delete") == 0

    on_cluster(scenario)


@pytest.mark.parametrize("first", ["the answer", "the watch"])
def test_our_own_word_that_a_bucket_is_not_ours_has_nothing_tried_again(first: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        ref = cluster.apply("team", "media")
        await cluster.passes()
        write: Callable[..., Awaitable[Any]] = cluster.kube.write_status

        async def shown_at_once(*args: Any) -> Any:
            body = await write(*args)
            if first == "the watch" and body is not None:
                cluster.dispatcher.on_object_event(
                    ref.kind, None, copy.deepcopy(cluster.kube.crs[ref])
                )
                await asyncio.sleep(0.01)
            return body

        setattr(cluster.kube, "write_status", shown_at_once)  # noqa: B010
        cluster.service.hidden.add("media")  # lost, and taken at the service by somebody else
        before = cluster.service.count("create")
        await cluster.resync()
        await cluster.passes(60)
        assert cluster.says(ref)["Stalled"] == ("True", "BucketExists")
        assert cluster.service.count("create") == before + 1

    on_cluster(scenario)


# ---------------------------------------------------------------- objects that stay all the same


@pytest.mark.parametrize("restarted", [False, True])
def test_a_revoked_key_whose_object_another_finalizer_keeps_keeps_no_name(restarted: bool) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "media")
        cluster.delete(Ref(Kind.BUCKET, "tenant", "media"))
        await cluster.passes(60)
        cluster.service.buckets.clear()
        kept_by_another(cluster)
        cluster.delete(key)
        await cluster.passes(60)
        assert cluster.service.keys == {}
        assert key in cluster.kube.crs
        if restarted:
            await cluster.restart()
        async with sweeping(cluster):
            other = cluster.apply("other", "media")
            await cluster.passes(60)
            assert cluster.says(other) == SETTLED

    on_cluster(scenario)


def test_a_retained_key_whose_object_another_finalizer_keeps_keeps_its_names() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("trusted", "media")
        key = cluster.apply_key("trusted", "app", "media", deletionPolicy="Retain")
        await cluster.passes(60)
        cluster.delete(Ref(Kind.BUCKET, "trusted", "media"))
        await cluster.passes(60)
        cluster.service.buckets.clear()
        kept_by_another(cluster)
        cluster.delete(key)
        await cluster.passes(60)
        assert len(cluster.service.keys) == 1
        other = cluster.apply("other", "media")
        await cluster.passes(60)
        assert cluster.says(other)["Reconciling"] == WAITING

    on_cluster(scenario)


@pytest.mark.parametrize("handed", [False, True], ids=["waited for", "handed over by an admin"])
def test_a_key_that_is_paused_in_its_deletion_is_revoked_before_another_team_has_its_bucket(
    handed: bool,
) -> None:
    """Its own bucket's object is gone: a pause keeps no key on what is another team's."""

    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "media")
        cluster.annotate(key, paused="true")
        cluster.delete(key)
        cluster.delete(Ref(Kind.BUCKET, "tenant", "media"))
        await cluster.passes(60)
        assert len(cluster.service.keys) == 1
        if not handed:
            cluster.service.buckets.clear()
        other = cluster.apply("other", "media")
        await cluster.passes(60)
        if handed:
            assert cluster.says(other)["Stalled"] == ("True", "BucketExists")
            status = cluster.kube.crs[other]["status"]
            status["provenance"], status["ownerUID"] = (
                "Adopted",
                cluster.kube.crs[other]["metadata"]["uid"],
            )
            cluster.dispatcher.on_object_event(
                other.kind, None, cluster.kube.touch(cluster.kube.crs[other])
            )
        await cluster.passes(600)
        assert cluster.service.keys == {}
        assert cluster.says(other) == SETTLED

    on_cluster(scenario)


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_a_key_whose_finalizer_another_hand_took_off_is_revoked_or_told(policy: str) -> None:
    """As a GitOps controller with an admin's rights does; a finalizer of hers keeps the object."""

    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("trusted", "media")
        key = cluster.apply_key("trusted", "app", "media", deletionPolicy=policy)
        await cluster.passes(60)
        cluster.annotate(key, paused="true")
        meta = cluster.kube.crs[key]["metadata"]
        meta["deletionTimestamp"], meta["finalizers"] = "2026-01-02T00:00:00Z", ["x.example/kept"]
        await cluster.restart()
        await cluster.passes(60)
        await cluster.d.key_lists.fresh()
        cluster.annotate(key, paused=None)
        await cluster.passes(60)
        assert len(cluster.service.keys) == (policy == "Retain")
        assert key in cluster.kube.crs
        if policy == "Delete":
            return
        cluster.delete(Ref(Kind.BUCKET, "trusted", "media"))
        await cluster.passes(60)
        heir = cluster.apply("trusted-heir", "media", adoptionPolicy="IfExists")
        await cluster.passes(60)
        assert cluster.says(heir)["Reconciling"] == WAITING
        status = {"provenance": "Adopted", "ownerUID": cluster.kube.crs[heir]["metadata"]["uid"]}
        cluster.kube.crs[heir]["status"] |= status
        cluster.dispatcher.on_object_event(
            heir.kind, None, cluster.kube.touch(cluster.kube.crs[heir])
        )
        await cluster.passes(60)
        assert cluster.says(heir)["Synced"] == ("False", "ReachedByOrphan")

    on_cluster(scenario)
