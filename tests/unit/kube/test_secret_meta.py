"""Who wrote to a Secret, as far as its managed fields tell."""

from __future__ import annotations

from typing import Any

import pytest

from amove_operator.kube.secret_watch import SecretMeta

OURS = "amove-operator"
WRITTEN = '[["AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY"],[],[]]'
DATA: dict[str, Any] = {".": {}, "f:AWS_ACCESS_KEY_ID": {}, "f:AWS_SECRET_ACCESS_KEY": {}}


def entry(manager: Any, data: Any = None, **fields: Any) -> dict[str, Any]:
    given = fields if data is None else {**fields, "f:data": data}
    return {"manager": manager, "operation": "Update", "fieldsV1": given}


def writer(*entries: dict[str, Any], written: Any = WRITTEN) -> str | None:
    meta = {
        "name": "app",
        "namespace": "team",
        "uid": "1",
        "resourceVersion": "1",
        "annotations": {"storage.amove.io/written": written},
        "managedFields": list(entries),
    }
    return SecretMeta.parse({"metadata": meta}).sole_writer


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry(OURS, DATA)], id="one request"),
        pytest.param([entry(OURS, DATA), entry(OURS, **{"f:metadata": {}})], id="two of ours"),
    ],
)
def test_a_secret_that_one_manager_wrote_is_that_ones(entries: list[dict[str, Any]]) -> None:
    assert writer(*entries) == OURS


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="no managed fields"),
        pytest.param([{"manager": OURS}], id="no fields"),
        pytest.param([entry(OURS, {"f:AWS_ACCESS_KEY_ID": {}})], id="a data key was taken out"),
        pytest.param([entry(OURS, {**DATA, "f:more": {}})], id="a data key was added in our name"),
        pytest.param([entry(OURS, DATA), entry("kubectl-edit", DATA)], id="a value was edited"),
        pytest.param([entry(OURS, DATA), entry("reloader", **{"f:metadata": {}})], id="a label"),
        pytest.param([entry(None, DATA)], id="no name"),
        pytest.param([entry(OURS, "odd")], id="odd fields"),
    ],
)
def test_a_secret_that_others_may_have_written_is_nobodys(entries: list[dict[str, Any]]) -> None:
    assert writer(*entries) is None


@pytest.mark.parametrize("written", ["", "{", "[]", "[[]]", "[{}]", "3", '[["a"]', "[" * 70_000])
def test_a_note_of_what_was_written_that_says_nothing_proves_nothing(written: str) -> None:
    assert writer(entry(OURS, DATA), written=written) is None
    assert writer(entry(OURS, {}), written=written) is None
