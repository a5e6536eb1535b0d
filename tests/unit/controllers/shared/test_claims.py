"""Which AmoveBuckets hold a claim to their bucket's name, by what their last turn ended in."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.controllers.shared.name_registry import holds_claim
from amove_operator.core.reading import read_bucket
from amove_operator.models import AmoveBucket


def a_bucket(
    ends: tuple[str, str, str] | None = None, *, paused: bool = False, **status: Any
) -> AmoveBucket:
    """One whose spec was edited since it was last served; ``ends``: a condition of then."""
    metadata: dict[str, Any] = {"name": "archive", "namespace": "team", "uid": "u", "generation": 2}
    if paused:
        metadata["annotations"] = {"storage.amove.io/paused": "true"}
    if ends is not None:
        kind, says, reason = ends
        told = {"type": kind, "status": says, "reason": reason, "observedGeneration": 1}
        status |= {"conditions": [told], "observedGeneration": 1}
    return read_bucket({"metadata": metadata, "spec": {}, "status": status})


STALLED = ("Stalled", "True", "BucketExists")
PAUSED = ("Synced", "False", "Paused")
WAITING = ("Synced", "False", "NameInUse")


@pytest.mark.parametrize("ends", [STALLED, PAUSED])
def test_neither_an_edit_nor_the_end_of_a_pause_gives_a_claim_back(
    ends: tuple[str, str, str],
) -> None:
    assert not holds_claim(a_bucket(ends))


@pytest.mark.parametrize("ends", [None, WAITING])
def test_who_was_not_refused_holds_a_claim(ends: tuple[str, str, str] | None) -> None:
    assert holds_claim(a_bucket(ends))
    assert not holds_claim(a_bucket(ends, paused=True))


@pytest.mark.parametrize("ends", [STALLED, PAUSED])
def test_what_is_proven_holds_a_claim_whatever_it_says(ends: tuple[str, str, str]) -> None:
    proof = {"ownerUID": "u", "bucketName": "archive", "provenance": "Created"}
    assert holds_claim(a_bucket(ends, paused=True, **proof))
