"""Work that nobody waits for."""

from __future__ import annotations

import asyncio
import contextvars
import gc

from amove_operator.engine.background import Background

_name = contextvars.ContextVar("name", default="nobody")


async def test_it_is_done_though_nobody_holds_it_and_is_forgotten_when_done() -> None:
    spawn, go_on, seen = Background("test"), asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        seen.append(_name.get())

    _name.set("who began it")
    spawn(work())
    await asyncio.sleep(0)
    gc.collect()
    assert len(spawn._tasks) == 1
    go_on.set()
    while spawn._tasks:
        await asyncio.sleep(0)
    assert seen == ["nobody"], "the log fields of who began it are not its own"
