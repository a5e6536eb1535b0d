"""What a new process reads of the Secrets that are as the former one left them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amove_operator.controllers.resync import Resync
from tests.unit.bucket_cluster import BucketCluster, on_cluster

HOUR = 3600.0
NAMES = [f"app-{number}" for number in range(6)]


@contextmanager
def sweeping(cluster: BucketCluster) -> Iterator[list[str]]:
    """A process that sweeps once an hour; which Secrets it has read so far."""
    read: list[str] = []
    original = cluster.kube.read_secret

    async def read_secret(namespace: str, name: str) -> Any:
        read.append(name)
        return await original(namespace, name)

    setattr(cluster.kube, "read_secret", read_secret)  # noqa: B010 - mypy knows it as a method
    task = asyncio.create_task(Resync(cluster.dispatcher).run())
    try:
        yield read
    finally:
        task.cancel()
        del cluster.kube.read_secret


async def settled(cluster: BucketCluster) -> None:
    cluster.apply("team", "media")
    keys = [cluster.apply_key("team", name, "media") for name in NAMES]
    await cluster.passes(60)
    assert {cluster.says(key)["Synced"] for key in keys} == {("True", "Settled")}
    await cluster.stop()


def test_secrets_that_nobody_wrote_to_are_read_by_the_sweep_and_not_at_the_start() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await settled(cluster)
        cluster.start()
        with sweeping(cluster) as read:
            await cluster.passes(HOUR / 20)
            assert len(read) <= 1, "the sweep begins with one object"
            await cluster.passes(HOUR)
            assert set(read) == set(NAMES)

    on_cluster(scenario)


def test_a_secret_that_was_edited_while_no_operator_ran_gets_another_key_at_once() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await settled(cluster)
        secret = cluster.kube.secrets["team", NAMES[3]]
        secret["data"]["AWS_SECRET_ACCESS_KEY"] = base64.b64encode(b"edited").decode()
        cluster.kube.touch(secret)
        cluster.start()
        with sweeping(cluster):
            await cluster.passes(60)
        assert [name[:10] for _, name in cluster.service.created[len(NAMES) :]] == ["team-app-3"]

    on_cluster(scenario)


def test_an_edit_that_hides_behind_our_name_is_found_by_the_sweep() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        await settled(cluster)
        secret = cluster.kube.secrets["team", NAMES[3]]
        secret["data"]["AWS_SECRET_ACCESS_KEY"] = base64.b64encode(b"edited").decode()
        secret["metadata"]["resourceVersion"] = cluster.kube.version()
        cluster.start()
        with sweeping(cluster):
            await cluster.passes(1.1 * HOUR)
        assert [name[:10] for _, name in cluster.service.created[len(NAMES) :]] == ["team-app-3"]

    on_cluster(scenario)
