"""The operator with lists of its own kinds that wait: ``python lagging_operator.py run``.

``LIST_GATES`` names a folder. While a file ``before`` (``after``) is there that holds a kind's
plural, a list of that kind waits before it is asked for (after it was answered); the file
``before-reached`` (``after-reached``) tells that one waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from amove_operator.cli import main
from amove_operator.kube import Kube
from amove_operator.models.refs import Kind

Take = Callable[[dict[str, Any]], None]
GATES = Path(os.environ["LIST_GATES"])


async def waited(gate: str, kind: Kind) -> None:
    """Return when the gate is open for that kind."""
    path = GATES / gate
    while path.exists() and path.read_text() == kind.plural:
        (GATES / f"{gate}-reached").touch()
        await asyncio.sleep(0.02)


def wrap_the_lists() -> None:
    send = Kube.each_object

    @wraps(send)
    async def each_object(self: Kube, kind: Kind, take: Take, *rest: Any) -> str:
        await waited("before", kind)
        bodies: list[dict[str, Any]] = []
        version = await send(self, kind, bodies.append, *rest)
        await waited("after", kind)
        for body in bodies:
            take(body)
        return version

    setattr(Kube, "each_object", each_object)  # noqa: B010 - mypy knows no other signature


if __name__ == "__main__":
    wrap_the_lists()
    sys.exit(main())
