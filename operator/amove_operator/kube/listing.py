"""Complete lists, read in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from amove_operator.errors import KubeUnavailable
from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import JSON, Request, Transport

PAGE = 500
_ATTEMPTS = 3

Kept = TypeVar("Kept")


async def list_all(
    transport: Transport,
    path: str,
    keep: Callable[[dict[str, Any]], Kept],
    *,
    selector: str | None = None,
    accept: str = JSON,
    page: int = PAGE,
) -> tuple[list[Kept], str]:
    """What ``keep`` makes of every item, and the resourceVersion of the whole list.

    All pages show one moment; when the server has forgotten that moment, it begins anew.
    Raises KubeRefused or KubeUnavailable rather than answer a part.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await _pages(transport, path, keep, selector=selector, accept=accept, page=page)
        except Gone as error:
            if error.status != 410:
                raise
    raise KubeUnavailable(f"the list {path} expired between its pages {_ATTEMPTS} times")


async def _pages(
    transport: Transport,
    path: str,
    keep: Callable[[dict[str, Any]], Kept],
    *,
    selector: str | None,
    accept: str,
    page: int,
) -> tuple[list[Kept], str]:
    query = {"limit": str(page)}
    if selector is not None:
        query["labelSelector"] = selector
    kept: list[Kept] = []
    while True:
        answer = await transport.call(Request("GET", path, dict(query), accept=accept))
        meta = answer.get("metadata") or {}
        version = meta.get("resourceVersion")
        if not str(answer.get("kind", "")).endswith("List") or not version:
            raise KubeUnavailable(f"the answer to {path} is not a list of the API server")
        kept.extend(keep(item) for item in answer.get("items") or ())
        if not meta.get("continue"):
            return kept, str(version)
        query["continue"] = meta["continue"]
