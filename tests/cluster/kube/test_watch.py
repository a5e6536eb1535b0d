"""The watch of Secrets: what it sees, what it must not see, and what it survives."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from amove_operator.kube import Kube, SecretWatch
from amove_operator.kube.listing import each_item
from amove_operator.kube.secret_watch import MANAGED, METADATA, METADATA_LIST, SecretMeta
from amove_operator.kube.transport import Request
from controlplane.launcher import ControlPlane
from tests.patience import PATIENCE

VALUE = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY0123456789"
OURS = {MANAGED: "true"}


def secret(namespace: str, name: str, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": OURS if labels is None else labels,
            "annotations": {
                "storage.amove.io/owner-uid": "u-1",
                "storage.amove.io/key-id": "k-1",
                "example.com/note": "of somebody else",
            },
        },
        "data": {"KEY": base64.b64encode(VALUE.encode()).decode()},
    }


class Journal:
    """What the watch told, in order."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bool]] = []
        self._news = asyncio.Event()

    def __call__(self, secret: SecretMeta, *, deleted: bool) -> None:
        self.entries.append((secret.name, deleted))
        self._news.set()

    async def until(self, entry: tuple[str, bool], *, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.entries.count(entry) < times:
                self._news.clear()
                await self._news.wait()


Watching = Callable[..., Awaitable[tuple[SecretWatch, Journal]]]


@pytest.fixture
async def watching(kube: Kube) -> AsyncIterator[Watching]:
    """Start a watch of the given namespaces and wait for its first list."""
    tasks: list[asyncio.Task[None]] = []

    async def start(*namespaces: str) -> tuple[SecretWatch, Journal]:
        journal = Journal()
        watch = SecretWatch(kube, journal, namespaces=namespaces)
        assert not watch.synced.is_set()
        tasks.append(asyncio.create_task(watch.run()))
        async with asyncio.timeout(PATIENCE):
            await watch.synced.wait()
        return watch, journal

    yield start
    for task in tasks:
        await stopped(task)


async def stopped(task: asyncio.Task[None]) -> None:
    assert not task.done(), "a watch ends only when it is cancelled"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_first_list_is_told_and_only_our_annotations_are_kept(
    kube: Kube, namespace: str, watching: Watching
) -> None:
    made = await kube.create_secret(secret(namespace, "one"))
    await kube.create_secret(secret(namespace, "foreign", labels={}))
    watch, journal = await watching(namespace)
    assert journal.entries == [("one", False)]
    assert watch.known == {
        (namespace, "one"): SecretMeta(
            namespace=namespace,
            name="one",
            uid=made.uid,
            resource_version=made.resource_version,
            annotations={
                "storage.amove.io/owner-uid": "u-1",
                "storage.amove.io/key-id": "k-1",
            },
        )
    }


async def test_creation_change_and_deletion_are_seen(
    kube: Kube, namespace: str, watching: Watching
) -> None:
    watch, journal = await watching(namespace)
    made = await kube.create_secret(secret(namespace, "one"))
    await journal.until(("one", False))
    patch = {"metadata": {"annotations": {"storage.amove.io/key-id": "k-2"}}}
    await kube.patch_secret(
        namespace, "one", patch, uid=made.uid, resource_version=made.resource_version
    )
    await journal.until(("one", False), times=2)
    assert watch.known[namespace, "one"].annotations["storage.amove.io/key-id"] == "k-2"
    await kube.delete_secret(namespace, "one", uid=made.uid)
    await journal.until(("one", True))
    assert watch.known == {}


async def test_a_secret_that_loses_its_label_is_gone_for_us(
    kube: Kube, plane: ControlPlane, namespace: str, watching: Watching
) -> None:
    await kube.create_secret(secret(namespace, "one"))
    watch, journal = await watching(namespace)
    plane.kubectl("label", "secret", "one", "-n", namespace, f"{MANAGED}-")
    await journal.until(("one", True))
    assert watch.known == {}


async def test_only_the_named_namespaces_are_watched(
    kube: Kube, plane: ControlPlane, namespace: str, watching: Watching
) -> None:
    other = f"{namespace}-b"
    plane.kubectl("create", "namespace", other)
    try:
        _, both = await watching(namespace, other)
        _, one = await watching(namespace)
        _, everything = await watching()
        await kube.create_secret(secret(other, "over-there"))
        await kube.create_secret(secret(namespace, "over-here"))
        for journal in (both, everything):
            await journal.until(("over-there", False))
            await journal.until(("over-here", False))
        await one.until(("over-here", False))
        assert ("over-there", False) not in one.entries
    finally:
        plane.kubectl("delete", "namespace", other, "--wait=false")


async def test_no_secret_data_crosses_the_wire(kube: Kube, namespace: str) -> None:
    await kube.create_secret(secret(namespace, "one"))
    path = f"/api/v1/namespaces/{namespace}/secrets"
    listed: list[dict[str, Any]] = []
    version = await each_item(
        kube.transport, path, listed.append, selector=MANAGED, accept=METADATA_LIST
    )
    await kube.create_secret(secret(namespace, "two"))
    query = {"watch": "1", "resourceVersion": version, "labelSelector": MANAGED}
    request = Request("GET", path, query, accept=METADATA)
    async with asyncio.timeout(PATIENCE), aclosing(kube.transport.stream(request)) as events:
        event = await anext(events)
    for item in (listed[0], event["object"]):
        assert item["kind"] == "PartialObjectMetadata"
        assert item.keys() == {"apiVersion", "kind", "metadata"}
        assert base64.b64encode(VALUE.encode()).decode() not in json.dumps(item)


async def test_what_vanished_between_two_lists_is_told_as_deleted(
    kube: Kube, namespace: str
) -> None:
    made = await kube.create_secret(secret(namespace, "one"))
    await kube.create_secret(secret(namespace, "two"))
    journal = Journal()
    watch = SecretWatch(kube, journal, namespaces=[namespace])
    first = asyncio.create_task(watch.run())
    await journal.until(("two", False))
    await stopped(first)
    await kube.delete_secret(namespace, "one", uid=made.uid)
    second = asyncio.create_task(watch.run())
    await journal.until(("one", True))
    await stopped(second)
    assert journal.entries.count(("two", False)) == 1, "what did not change is not told again"


async def test_the_watch_survives_an_outage_of_the_api_server(
    kube: Kube, plane: ControlPlane, namespace: str, watching: Watching
) -> None:
    made = await kube.create_secret(secret(namespace, "before"))
    watch, journal = await watching(namespace)
    plane.stop_apiserver()
    plane.start_apiserver()
    # Made by kubectl: our own connections may still have to notice the outage.
    plane.kubectl("delete", "secret", "before", "-n", namespace)
    later = {"apiVersion": "v1", "kind": "Secret", **secret(namespace, "after")}
    plane.kubectl("create", "-f", "-", input=json.dumps(later))
    await journal.until(("before", True))
    await journal.until(("after", False))
    assert set(watch.known) == {(namespace, "after")}
    assert made.uid not in {known.uid for known in watch.known.values()}


async def test_a_listener_that_fails_does_not_end_the_watch(
    kube: Kube, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Journal()

    def listener(secret: SecretMeta, *, deleted: bool) -> None:
        seen(secret, deleted=deleted)
        raise RuntimeError("a fault of the listener")

    watch = SecretWatch(kube, listener, namespaces=[namespace])
    task = asyncio.create_task(watch.run())
    await kube.create_secret(secret(namespace, "one"))
    await seen.until(("one", False))
    await kube.create_secret(secret(namespace, "two"))
    await seen.until(("two", False))
    await stopped(task)
    assert "was not taken in" in caplog.text
