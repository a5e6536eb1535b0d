"""Python's garbage collector, kept from walking much at once: nobody is served meanwhile.

A full collection walks all that lives and was not frozen, at some 10 million objects a second. The
operator's objects refer to each other in no circle: what is let go of is freed without it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

KEPT_AT = 20_000
"""So many that outlived a full collection are walked no more; some milliseconds."""
_OFTEN = 5
"""A full collection for so many of the middle generation: at 35,000 new objects, not at 70,000."""
_NEVER = 1_000_000


@contextmanager
def short_collections() -> Iterator[None]:
    """Freeze what outlived a full collection, once it is much.

    An example: 10,000 buckets are lost, and what is remembered of each grows. Without this, each
    full collection walks more, until one takes 125 ms. What is frozen and let go of is freed as
    ever, but for circles: of those that live at such a moment, a few tasks and their errors, some
    stay until the end. It comes only with growth, so they are few.
    """
    before = gc.get_threshold()
    gc.set_threshold(*before[:2], _OFTEN)
    gc.callbacks.append(_on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(_on_collection)
        gc.set_threshold(*before)
        gc.unfreeze()  # whoever comes next begins without what was known here


@contextmanager
def nothing_collected_in_full() -> Iterator[None]:
    """What is made meanwhile stays, most of it: it is frozen at the end, and walked by nobody.

    What was garbage by then is kept as well.
    """
    before = gc.get_threshold()
    gc.set_threshold(*before[:2], _NEVER)
    try:
        yield
        gc.freeze()
    finally:
        gc.set_threshold(*before)


def _on_collection(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2 and len(gc.get_objects(2)) > KEPT_AT:
        gc.freeze()
