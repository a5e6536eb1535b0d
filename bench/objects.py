"""The buckets and keys of a run: created quickly, and looked at until all are Ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config

_client: Any = kubernetes.aio.client
_config: Any = kubernetes.aio.config

GROUP, VERSION = "storage.amove.io", "v1alpha1"
BUCKETS, KEYS = "amovebuckets", "amovestoragekeys"
NAMESPACE = "bench"
_AT_A_TIME = 32


def bucket(number: int) -> dict[str, Any]:
    """A manifest."""
    return _manifest("AmoveBucket", f"bench-{number:05}", {})


def key(number: int) -> dict[str, Any]:
    """A manifest; the key refers to the bucket of its number."""
    refs = [{"name": f"bench-{number:05}"}]
    return _manifest(
        "AmoveStorageKey", f"key-{number:05}", {"bucketRefs": refs, "permission": "ReadWrite"}
    )


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


@asynccontextmanager
async def _objects_api(kubeconfig: Path) -> AsyncIterator[Any]:
    configuration = _client.Configuration()
    configuration.client_session_kwargs = {"trust_env": False}
    await _config.load_kube_config(
        config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
    )
    async with _client.ApiClient(configuration) as connection:
        yield _client.CustomObjectsApi(connection)


async def create(kubeconfig: Path, count: int) -> None:
    """``count`` buckets and ``count`` keys."""
    slots = asyncio.Semaphore(_AT_A_TIME)
    async with _objects_api(kubeconfig) as api:

        async def one(plural: str, body: dict[str, Any]) -> None:
            async with slots:
                await api.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, plural, body)

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(BUCKETS, bucket(number)))
                group.create_task(one(KEYS, key(number)))


async def create_all(kubeconfig: Path, manifests: Iterable[tuple[str, dict[str, Any]]]) -> int:
    """Create objects of the two kinds, and Secrets; how many the API server took."""
    slots, taken = asyncio.Semaphore(_AT_A_TIME), 0
    async with _objects_api(kubeconfig) as api:
        core = _client.CoreV1Api(api.api_client)

        async def one(plural: str, body: dict[str, Any]) -> None:
            nonlocal taken
            with suppress(_client.ApiException):
                if plural == "secrets":
                    await core.create_namespaced_secret(NAMESPACE, body)
                else:
                    await api.create_namespaced_custom_object(
                        GROUP, VERSION, NAMESPACE, plural, body
                    )
                taken += 1
            slots.release()

        async with asyncio.TaskGroup() as group:
            for plural, body in manifests:
                await slots.acquire()
                group.create_task(one(plural, body))
    return taken


async def ready(kubeconfig: Path) -> int:
    """How many buckets and keys are Ready now."""
    async with _objects_api(kubeconfig) as api:
        lists = [
            await api.list_namespaced_custom_object(GROUP, VERSION, NAMESPACE, plural)
            for plural in (BUCKETS, KEYS)
        ]
    return sum(count_ready(found["items"]) for found in lists)


def count_ready(items: Iterable[dict[str, Any]]) -> int:
    """How many have condition Ready with status True."""
    return sum(
        any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in item.get("status", {}).get("conditions", ())
        )
        for item in items
    )
