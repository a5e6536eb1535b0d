"""Names that a key may reach of which only a Secret tells, after a crash (design.md §3, §5)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from amove_operator.controller.resync import Resync
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.scope import Scope
from amove_operator.models import FINALIZER, ObjectMeta
from tests.unit.bucket_cluster import ACCOUNT, BucketCluster, on_cluster

SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
WAITING = ("True", "NameInUse")
WHERE = ("tenant", "app")


@asynccontextmanager
async def sweeping(cluster: BucketCluster) -> Any:
    """With the resync at work, which makes the first settled list."""
    sweep = asyncio.create_task(Resync(cluster.controller).run())
    try:
        yield
    finally:
        sweep.cancel()


async def a_key_of(cluster: BucketCluster, bucket: str) -> Ref:
    cluster.apply("tenant", bucket)
    key = cluster.apply_key("tenant", "app", bucket)
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    return key


def forge(cluster: BucketCluster, *names: str, **more: str) -> None:
    """The tenant's Secret says that it holds an unheard-of key of these names."""
    scope = Scope.of(ACCOUNT, "us-east-1", "s3.example", "Read", names)
    cluster.edit_secret(WHERE, key_id="unheard-of", scope=scope.text, **more)


def untouched(_cluster: BucketCluster) -> None: ...


def deleted(cluster: BucketCluster) -> None:
    cluster.kube.secrets.pop(WHERE)
    cluster.controller.secret_seen(cluster.context.secrets[WHERE], deleted=True)


def edited(cluster: BucketCluster) -> None:
    cluster.edit_secret(WHERE, scope="[]")


@pytest.mark.parametrize("checksum", ["kept", "broken"])
@pytest.mark.parametrize("then", [untouched, deleted, edited])
def test_a_forged_secret_keeps_a_name_until_the_first_list_and_no_longer(
    then: Callable[[BucketCluster], None], checksum: str
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await a_key_of(cluster, "own")
        await cluster.stop()
        forge(cluster, "pearls", **({"checksum": "-"} if checksum == "broken" else {}))
        victim = cluster.apply("victim", "pearls")
        cluster.start()
        async with sweeping(cluster):
            await cluster.passes(5)
            assert cluster.says(victim)["Reconciling"] == WAITING
            then(cluster)
            await cluster.passes(20)
            assert cluster.says(victim)["Reconciling"] == WAITING
            await cluster.passes(10)
            assert cluster.says(victim) == SETTLED

    on_cluster(scenario)


@pytest.mark.parametrize("how", ["stays", "vanishes", "vanishes with its Secret"])
def test_a_key_that_only_its_secret_names_keeps_the_name_until_it_is_revoked(how: str) -> None:
    """Its object or its Secret may be taken away before the first list: once seen is enough."""

    async def scenario(cluster: BucketCluster) -> None:
        key = await a_key_of(cluster, "gallery")
        await cluster.stop()
        # Killed before status named the key; and the bucket's object was stripped meanwhile.
        cluster.kube.crs[key]["status"] = {"observedGeneration": -1}
        cluster.kube.touch(cluster.kube.crs[key])
        del cluster.kube.crs[Ref(Kind.BUCKET, "tenant", "gallery")]
        cluster.start()
        victim = cluster.apply("trusted", "gallery", adoptionPolicy="IfExists")
        alive_then: list[set[str]] = []
        write: Callable[..., Awaitable[Any]] = cluster.kube.write_status

        async def noting(ref: Ref, version: str, before: Any, new: Any) -> Any:
            if ref == victim and new.get("provenance") and not before.get("provenance"):
                alive_then.append(set(cluster.service.keys))
            return await write(ref, version, before, new)

        setattr(cluster.kube, "write_status", noting)  # noqa: B010
        revoke = cluster.service.delete_storage_key

        async def slowly(key_id: str) -> None:
            await cluster.passes(2)
            await revoke(key_id)

        setattr(cluster.service, "delete_storage_key", slowly)  # noqa: B010
        async with sweeping(cluster):
            await cluster.passes(1)
            if "vanishes" in how:
                cluster.strip(key)
            if "Secret" in how:
                deleted(cluster)
            await cluster.passes(60)
        assert cluster.says(victim) == SETTLED
        assert alive_then == [set()], "adopted once, and no key was alive then"

    on_cluster(scenario)


def test_neither_a_restart_nor_a_key_of_our_own_casts_any_doubt() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        write: Callable[..., Awaitable[Any]] = cluster.kube.write_status

        async def shown_first(*args: Any) -> Any:
            cluster.show_secrets()  # the watch is quicker than our own next write
            return await write(*args)

        setattr(cluster.kube, "write_status", shown_first)  # noqa: B010
        cluster.apply("tenant", "own")
        key = cluster.apply_key("tenant", "app", "own")
        await cluster.passes()
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert cluster.context.doubts == {}
        await cluster.restart()
        await cluster.passes()
        assert cluster.context.secrets.keys() == {WHERE}
        assert (cluster.context.doubts, cluster.context.doubted) == ({}, {})

    on_cluster(scenario)


def test_a_deleted_key_that_a_foreign_finalizer_keeps_casts_no_doubt_on_the_lists() -> None:
    """Else its owner could have a key missing for ever, and keep names by forged Secrets."""

    async def scenario(cluster: BucketCluster) -> None:
        kept = await a_key_of(cluster, "own")
        cluster.kube.crs[kept]["metadata"]["finalizers"].append("tenant/mine")
        swap_remove_finalizer(cluster)
        async with sweeping(cluster):
            cluster.delete(kept)
            await cluster.passes(60)
            assert cluster.kube.crs[kept]["metadata"]["finalizers"] == ["tenant/mine"]
            assert cluster.service.keys == {}
            cluster.kube.secrets[WHERE] = {
                "metadata": {"name": "app", "namespace": "tenant", "uid": "s", "annotations": {}},
                "data": {},
            }
            cluster.edit_secret(WHERE, key_id="unheard-of", retained_buckets="treasure")
            await cluster.passes(3700)
            victim = cluster.apply("victim", "treasure")
            await cluster.passes(10)
            assert cluster.says(victim) == SETTLED

    on_cluster(scenario)


def swap_remove_finalizer(cluster: BucketCluster) -> None:
    """As the API server does it: only ours goes, and the object stays while another is left."""

    async def remove(ref: Ref, _meta: ObjectMeta) -> None:
        body = cluster.kube.crs[ref]
        body["metadata"]["finalizers"].remove(FINALIZER)
        cluster.kube.touch(body)
        shown = copy.deepcopy(body)
        cluster.loop.call_later(0.1, lambda: cluster.controller.seen(ref.kind, None, shown))

    setattr(cluster.kube, "remove_finalizer", remove)  # noqa: B010 - mypy: a method


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
            cluster.controller.seen(ref.kind, None, copy.deepcopy(cluster.kube.crs[ref]))

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
                cluster.controller.seen(one.kind, None, copy.deepcopy(cluster.kube.crs[one]))

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
                cluster.controller.seen(ref.kind, None, copy.deepcopy(cluster.kube.crs[ref]))
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
