"""What the API server answers, read at a cost near its size: a tenant may have written it.

Of ``managedFields`` it keeps whatever is sent. As Python's maps, one in another, they take over
twenty times their size: 20 objects of 1.4 MB took 870 MB.
"""

from __future__ import annotations

import json
import sys
from typing import Any

DEEPEST = 11_000
"""Go reads JSON down to 10,000 levels, a list puts two around each object, and we stand below."""
_LARGE = 1_000_000  # characters; a page of ordinary objects has a tenth


def read_as_deep_as_the_server() -> None:
    """Have this process read JSON of any depth that an API server takes; Kopf's reads as well.

    ``managedFields`` of any object may be as deep, whoever wrote them, and Python ends at a tenth
    of it: one such object would keep the lists and watches of everybody from being read. Of the
    8 MiB of a thread's stack so many levels take less than a third.
    """
    sys.setrecursionlimit(max(DEEPEST, sys.getrecursionlimit()))


def read_answer(text: str | bytes) -> Any:
    """As ``json.loads``. Of what is large, ``fieldsV1`` is left empty: nobody here reads it.

    Who wrote, in the entries around it, is kept.
    """
    if len(text) <= _LARGE:
        return json.loads(text)
    return json.loads(text, object_pairs_hook=_without_fields)


def _without_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map, and nothing of one whose keys are paths to fields, such as ``f:spec`` and ``.``.

    No other map of maps has such keys: labels, templates and data have texts.
    """
    if pairs and type(pairs[0][1]) is dict and (pairs[0][0] == "." or pairs[0][0][1:2] == ":"):
        return {}
    return dict(pairs)
