"""The buckets and keys of a run: made quickly, and looked at until all are Ready."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bench.bare import AnsweredError, Bare, Body, each

GROUP, VERSION = "storage.amove.io", "v1alpha1"
BUCKETS, KEYS, SECRETS = "amovebuckets", "amovestoragekeys", "secrets"
NAMESPACE = "bench"
_PAGE = 500


def bucket(number: int, namespace: str = NAMESPACE, **spec: Any) -> Body:
    """A manifest."""
    return _manifest("AmoveBucket", f"bench-{number:05}", namespace, spec)


def key(number: int, namespace: str = NAMESPACE, **spec: Any) -> Body:
    """A manifest; the key refers to the bucket of its number."""
    refs = {"bucketRefs": [{"name": f"bench-{number:05}"}], "permission": "ReadWrite"}
    return _manifest("AmoveStorageKey", f"key-{number:05}", namespace, refs | spec)


def pairs(numbers: Iterable[int]) -> Iterator[tuple[str, Body]]:
    """Buckets and their keys, each with the plural of its kind."""
    for number in numbers:
        yield BUCKETS, bucket(number)
        yield KEYS, key(number)


def _manifest(kind: str, name: str, namespace: str, spec: Body) -> Body:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def path(plural: str, name: str = "", namespace: str = NAMESPACE, part: str = "") -> str:
    """Of a collection, an object, or a part of one such as ``status``."""
    root = "/api/v1" if plural == SECRETS else f"/apis/{GROUP}/{VERSION}"
    return "/".join(filter(None, (f"{root}/namespaces/{namespace}/{plural}", name, part)))


async def create(kube: Bare, manifests: Iterable[tuple[str, Body]]) -> int:
    """Create them all; how many the API server took."""
    taken = 0

    async def one(item: tuple[str, Body]) -> None:
        nonlocal taken
        plural, body = item
        try:
            await kube.send("POST", path(plural, namespace=body["metadata"]["namespace"]), body)
        except AnsweredError:
            return
        taken += 1

    await each(manifests, one)
    return taken


async def listed(kube: Bare, plural: str, namespace: str = NAMESPACE) -> list[Body]:
    """All objects of a kind, by name."""
    found: list[Body] = []
    going_on = ""
    while True:
        query = f"?limit={_PAGE}" + (f"&continue={going_on}" if going_on else "")
        page = await kube.send("GET", path(plural, namespace=namespace) + query)
        found += page["items"]
        going_on = page["metadata"].get("continue", "")
        if not going_on:
            return found


async def ready(kube: Bare) -> int:
    """How many buckets and keys are Ready now."""
    lists = [await listed(kube, plural) for plural in (BUCKETS, KEYS)]
    return sum(is_ready(item) for items in lists for item in items)


def is_ready(item: Body) -> bool:
    """Whether condition Ready is True."""
    return condition(item, "Ready").get("status") == "True"


def condition(item: Body, kind: str) -> dict[str, str]:
    """The condition of that type; empty where there is none."""
    conditions: list[dict[str, str]] = item.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})
