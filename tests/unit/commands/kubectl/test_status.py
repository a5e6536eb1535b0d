"""What ``kubectl amove status`` shows of an object: its row, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.commands.kubectl.status import Shown, show
from amove_operator.core.reading import read_object
from amove_operator.models.refs import Kind


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }


WELL = [condition("Ready", "True", "Available"), condition("Synced", "True", "Settled")]


def shown(*conditions: dict[str, Any], seen: int = 1, **metadata: Any) -> Shown:
    meta = {"name": "photos", "namespace": "blue", "uid": "u", "generation": 1, **metadata}
    status = {"conditions": list(conditions), "observedGeneration": seen}
    body = {"metadata": meta, "spec": {}, "status": status}
    return show(read_object(Kind.BUCKET, body)[0])


def test_a_bucket_that_is_well_is_a_row() -> None:
    row = ("blue", "AmoveBucket", "photos", "True", "True", "Available", "photos")
    assert shown(*WELL) == (row, "")


def test_what_is_wrong_is_the_operators_own_words_each_once() -> None:
    said = "photos exists: run kubectl patch …"
    found = shown(
        condition("Ready", "False", "BucketExists", said),
        condition("Synced", "False", "BucketExists", said),
        condition("Stalled", "True", "BucketExists", said),
    )
    assert found.row[3:6] == ("False", "False", "BucketExists")
    assert found.wrong.count("photos exists") == 1
    assert found.wrong.startswith("BucketExists: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seen": -1}, "kubectl amove doctor"),
        ({"annotations": {"storage.amove.io/paused": "true"}}, "kubectl amove resume"),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "being deleted"),
    ],
)
def test_what_no_condition_says_is_said_as_well(change: dict[str, Any], says: str) -> None:
    assert says in shown(*WELL, **change).wrong


def test_an_unknown_sync_is_not_well() -> None:
    found = shown(WELL[0], condition("Synced", "Unknown", "ApiUnavailable", "down"))
    assert found.wrong == "ApiUnavailable: down"


def test_an_object_that_no_operator_has_seen_has_no_words_yet() -> None:
    body = {"metadata": {"name": "app", "namespace": "blue", "uid": "u"}, "spec": {}}
    found = show(read_object(Kind.KEY, {**body, "spec": {"permission": "Read"}})[0])
    assert found.row == ("blue", "AmoveStorageKey", "app", "-", "-", "-", "-")


def test_what_a_tenant_wrote_drives_no_terminal() -> None:
    found = shown(condition("Ready", "False", "InvalidSpec", "\x1b[31mred\nline"))
    assert found.wrong.isprintable()
