"""Complete lists, read in pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amove_operator.errors import KubeUnavailable
from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import JSON, Request, Transport

OnItem = Callable[[dict[str, Any]], None]

PAGE = 20
"""Few to a page, since each may be of 1.5 MB, and a page is read whole: see docs/reliability.md."""
_ATTEMPTS = 3


async def each_item(
    transport: Transport,
    path: str,
    take: OnItem,
    *,
    selector: str | None = None,
    accept: str = JSON,
    page: int = PAGE,
    begin_anew: Callable[[], None] = lambda: None,
) -> str:
    """Hand every item to ``take``, a page at a time; the resourceVersion of the whole list.

    All pages show one moment. When the server has forgotten it, the list begins anew: some items
    are handed out twice, and what was handed out before ``begin_anew`` was called may be gone by
    the moment that the list shows in the end. Raises KubeRefused or KubeUnavailable rather than
    end early.
    """
    query = {"limit": str(page)} | ({"labelSelector": selector} if selector else {})
    for _ in range(_ATTEMPTS):
        try:
            return await _pages(transport, Request("GET", path, query, accept=accept), take)
        except Gone as error:
            if error.status != 410:
                raise
            begin_anew()
    raise KubeUnavailable(f"the list {path} expired between its pages {_ATTEMPTS} times")


def list_version(answer: dict[str, Any], request: Request) -> str:
    """The resourceVersion of a list. Raises KubeUnavailable where the answer is none."""
    version = (answer.get("metadata") or {}).get("resourceVersion")
    if not str(answer.get("kind", "")).endswith("List") or not version:
        raise KubeUnavailable(f"the answer to {request.path} is not a list of the API server")
    return str(version)


async def _pages(transport: Transport, first: Request, take: OnItem) -> str:
    request = first
    while True:
        answer = await transport.call(request)
        version, meta = list_version(answer, first), answer["metadata"]
        for item in answer.get("items") or ():
            take(item)
        if not meta.get("continue"):
            return version
        request = replace(first, query={**first.query, "continue": meta["continue"]})
        del answer  # or two pages were in memory while the next is read
