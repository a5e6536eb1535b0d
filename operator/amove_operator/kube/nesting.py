"""How deeply what the API server answers may nest: a tenant can write that deeply."""

from __future__ import annotations

import sys

DEEPEST = 11_000
"""Go reads JSON down to 10,000 levels, a list puts two around each object, and we stand below."""


def read_as_deep_as_the_server() -> None:
    """Have this process read JSON of any depth that an API server takes; Kopf's reads as well.

    ``managedFields`` of any object may be as deep, whoever wrote them, and Python ends at a tenth
    of it: one such object would keep the lists and watches of everybody from being read. Of the
    8 MiB of a thread's stack so many levels take less than a third.
    """
    sys.setrecursionlimit(max(DEEPEST, sys.getrecursionlimit()))
