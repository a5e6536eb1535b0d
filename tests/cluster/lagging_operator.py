"""The operator with lists of its own kinds that wait: ``python lagging_operator.py run``.

``LIST_GATES`` names a folder. While a file ``before`` (``after``) is there that holds a kind's
plural, a list of that kind waits before it is asked for (after it was answered); the file
``before-reached`` (``after-reached``) tells that one waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import wraps
from pathlib import Path
from typing import Any

from amove_operator.cli import main
from amove_operator.core.refs import Kind
from amove_operator.kube import Kube

GATES = Path(os.environ["LIST_GATES"])


async def waited(gate: str, kind: Kind) -> None:
    """Return when the gate is open for that kind."""
    path = GATES / gate
    while path.exists() and path.read_text() == kind.plural:
        (GATES / f"{gate}-reached").touch()
        await asyncio.sleep(0.02)


def wrap_the_lists() -> None:
    send = Kube.list_objects

    @wraps(send)
    async def list_objects(self: Kube, kind: Kind, *rest: Any) -> Any:
        await waited("before", kind)
        found = await send(self, kind, *rest)
        await waited("after", kind)
        return found

    setattr(Kube, "list_objects", list_objects)  # noqa: B010 - mypy knows no other signature


if __name__ == "__main__":
    wrap_the_lists()
    sys.exit(main())
