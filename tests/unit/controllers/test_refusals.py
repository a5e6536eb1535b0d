"""What Kubernetes refuses shows on the object that it concerns: a condition, else an Event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amove_operator.errors import KubeInternalError, KubeRefused
from amove_operator.models.refs import Ref
from tests.unit.bucket_cluster import BucketCluster, on_cluster

WORDS = 'admission webhook "team" denied the request: not today'
DOWN = 'failed calling webhook "team": connection refused'
HOURS = 6
Allowed = Callable[[], None]


def refusing(cluster: BucketCluster, *calls: str, down: bool = False) -> Allowed:
    """These requests are refused until the function that is returned is called."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise KubeInternalError(DOWN) if down else KubeRefused(WORDS, status=403)

    for call in calls:
        setattr(cluster.kube, call, refused)

    def allowed() -> None:
        for call in calls:
            delattr(cluster.kube, call)

    return allowed


def message(cluster: BucketCluster, ref: Ref, kind: str) -> str:
    found = cluster.kube.crs[ref]["status"]["conditions"]
    return str(next(one["message"] for one in found if one["type"] == kind))


def events(cluster: BucketCluster, reason: str) -> int:
    return cluster.kube.events.count(reason)


async def a_ready_key(cluster: BucketCluster) -> Ref:
    cluster.apply("team", "media")
    key = cluster.apply_key("team", "app", "media")
    await cluster.passes(60)
    assert cluster.says(key)["Ready"] == ("True", "Issued")
    return key


# ---------------------------------------------------------------- in status


@pytest.mark.parametrize("down", [False, True], ids=["denied", "webhook down"])
def test_a_refused_finalizer_is_told_in_the_servers_words_and_nothing_is_stalled(
    down: bool,
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        allowed = refusing(cluster, "add_finalizer", down=down)
        ref = cluster.apply("team", "media")
        await cluster.passes()
        said = {"Ready": ("False", "KubernetesRefused"), "Synced": ("False", "KubernetesRefused")}
        assert cluster.says(ref) == said
        assert (DOWN if down else WORDS) in message(cluster, ref, "Synced")
        assert cluster.service.buckets == {}
        writes = cluster.kube.writes
        await cluster.passes(HOURS * 3600)
        assert (cluster.kube.writes, events(cluster, "KubernetesRefused")) == (writes, 1)
        allowed()
        await cluster.passes(30 if down else 3600)
        assert cluster.says(ref)["Ready"] == ("True", "Available")

    on_cluster(scenario)


@pytest.mark.parametrize("call", ["read_secret", "delete_secret", "remove_finalizer"])
def test_what_is_refused_of_a_deletion_is_told_and_the_object_stays(call: str) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        allowed = refusing(cluster, call)
        cluster.d.memories.keys.clear()  # as after a restart: the Secret is read anew
        cluster.delete(key)
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Synced"] == ("False", "KubernetesRefused")
        assert WORDS in message(cluster, key, "Synced")
        assert events(cluster, "KubernetesRefused") <= 1
        allowed()
        await cluster.passes(3600)
        assert key not in cluster.kube.crs

    on_cluster(scenario)


def test_a_ready_key_whose_secret_may_not_be_read_stays_ready() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        refusing(cluster, "read_secret")
        cluster.annotate(key, reconcile_requested_at="now")
        await cluster.passes()
        assert cluster.says(key) == {
            "Ready": ("True", "Issued"),
            "Synced": ("False", "KubernetesRefused"),
        }

    on_cluster(scenario)


def test_a_status_that_is_refused_leaves_the_former_one_and_says_so() -> None:
    """Such as by the schema of an older CRD: what it knows already may pass."""

    async def scenario(cluster: BucketCluster) -> None:
        write = cluster.kube.write_status

        async def invalid(ref: Ref, version: str, old: Any, new: Any) -> Any:
            if "provenance" in new:
                raise KubeRefused("status.provenance: Unsupported value", status=422)
            return await write(ref, version, old, new)

        setattr(cluster.kube, "write_status", invalid)  # noqa: B010
        ref = cluster.apply("team", "media")
        await cluster.passes()
        assert cluster.says(ref)["Synced"] == ("False", "KubernetesRefused")
        assert "Unsupported value" in message(cluster, ref, "Synced")
        assert cluster.kube.crs[ref]["status"]["createIntent"] is True
        delattr(cluster.kube, "write_status")
        await cluster.passes(3600)
        assert cluster.provenance(ref) == "Created"

    on_cluster(scenario)


# ---------------------------------------------------------------- where status cannot be written


@pytest.mark.parametrize("down", [False, True], ids=["denied", "webhook down"])
def test_where_status_is_refused_too_one_event_says_so_however_often_it_is_tried(
    down: bool,
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        everything = ("add_finalizer", "write_status")
        allowed = refusing(cluster, *everything, down=down)
        ref = cluster.apply("team", "media")
        await cluster.passes(HOURS * 3600)
        assert cluster.kube.crs[ref]["status"] == {"observedGeneration": -1}
        assert events(cluster, "KubernetesRefused") == 1
        allowed()
        await cluster.passes(3600)
        assert cluster.says(ref)["Ready"] == ("True", "Available")
        refusing(cluster, *everything, down=down)
        cluster.annotate(ref, paused="true")
        await cluster.passes(HOURS * 3600)
        assert events(cluster, "KubernetesRefused") == 2

    on_cluster(scenario)


def test_what_is_refused_of_a_vanished_object_is_told_by_one_event() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        allowed = refusing(cluster, "delete_secret")
        cluster.strip(key)
        await cluster.passes(HOURS * 3600)
        assert events(cluster, "KubernetesRefused") == 1
        assert cluster.service.keys == {}
        allowed()
        await cluster.passes(3600)
        assert cluster.kube.secrets == {}

    on_cluster(scenario)


# ---------------------------------------------------------------- the Secret of a key


def test_a_webhook_that_is_down_holds_up_the_secret_and_costs_no_key_and_no_stall() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        allowed = refusing(cluster, "create_secret", down=True)
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        await cluster.passes(HOURS * 3600)
        refused = ("False", "SecretWriteRefused")
        assert cluster.says(key) == {"Ready": refused, "Synced": refused}
        assert DOWN in message(cluster, key, "Synced")
        assert cluster.service.created == []
        allowed()
        await cluster.passes(30)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == 1

    on_cluster(scenario)


def test_a_webhook_that_goes_down_after_the_dry_run_costs_no_second_key() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        create = cluster.kube.create_secret

        async def down(manifest: Any, *, dry_run: bool = False) -> Any:
            if not dry_run:
                raise KubeInternalError(DOWN)
            return await create(manifest, dry_run=dry_run)

        setattr(cluster.kube, "create_secret", down)  # noqa: B010
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        await cluster.passes(HOURS * 3600)
        assert cluster.says(key)["Synced"] == ("False", "SecretWriteRefused")
        assert "Stalled" not in cluster.says(key)
        delattr(cluster.kube, "create_secret")
        await cluster.passes(30)
        assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == len(cluster.service.keys) == 1

    on_cluster(scenario)


def test_a_repair_of_the_secret_that_is_refused_stalls_and_one_that_is_held_up_does_not() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key = await a_ready_key(cluster)
        for down in (True, False):
            allowed = refusing(cluster, "patch_secret", down=down)
            cluster.edit_secret(("team", "app"), key_id="edited")
            await cluster.passes()
            said = cluster.says(key)
            assert said["Synced"] == ("False", "SecretWriteRefused")
            assert said["Ready"][0] == ("True" if down else "False")
            assert ("Stalled" in said) is not down
            allowed()
            await cluster.passes(3600)
            assert cluster.says(key)["Ready"] == ("True", "Issued")
        assert len(cluster.service.created) == 1

    on_cluster(scenario)
