"""Walking in slices."""

from __future__ import annotations

import asyncio

from amove_operator.engine.slices import in_slices


async def test_others_have_their_turn_after_each_slice() -> None:
    seen: list[int] = []

    async def walk() -> None:
        async for number in in_slices(range(1000), each=300):
            seen.append(number)

    walking, sizes = asyncio.create_task(walk()), []
    while not walking.done():
        await asyncio.sleep(0)
        sizes.append(len(seen))
    assert sizes == [300, 600, 900, 1000]


async def test_what_is_walked_may_change_meanwhile() -> None:
    items = dict.fromkeys(range(10))
    seen = []
    async for number in in_slices(items, each=2):
        seen.append(number)
        items.pop(number, None)
        items[number + 100] = None
    assert seen == list(range(10))
