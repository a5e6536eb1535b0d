"""What nests as deeply as an API server takes it is read, and with stack to spare."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest

from amove_operator.kube.nesting import read_answer

STACK_KIB = 8 * 1024 // 3
DEEP = """
import json
from amove_operator.core.reading import read_object
from amove_operator.kube.nesting import read_as_deep_as_the_server
from amove_operator.models.refs import Kind

read_as_deep_as_the_server()
fields = '{"f:a":' * DEPTH + "{}" + "}" * DEPTH
metadata = '{"name": "app", "managedFields": [{"fieldsV1": ' + fields + "}]}"
listed = json.loads('{"items": [{"metadata": ' + metadata + "}]}")
found, fault = read_object(Kind.BUCKET, listed["items"][0])
assert (found.metadata.name, fault) == ("app", None)
"""


@pytest.mark.parametrize("depth", [900, 1_950, 2_050, 10_000])
def test_the_deepest_object_that_a_server_takes_is_read_with_a_third_of_the_stack(
    depth: int,
) -> None:
    """In a process of its own: the limit is one of the process, and beyond the stack it dies."""
    limited = f"ulimit -s {STACK_KIB} && exec {sys.executable} -c 'DEPTH = {depth}{DEEP}'"
    limited = limited.replace(DEEP, DEEP.replace("'", "'\\''"))
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _fields(size: int) -> str:
    """As much of ``fieldsV1`` as one object can have, one map in another."""
    one = '{"f:a":' * 100 + "{}" + "}" * 100
    return "{" + ",".join(f'"f:{number}":{one}' for number in range(size // len(one))) + "}"


def test_a_page_of_managed_fields_costs_a_few_times_its_size_and_keeps_who_wrote() -> None:
    metadata = {"name": "app", "labels": {"f:a": "kept"}, "managedFields": ["@"]}
    entry = (
        '{"manager": "kubectl", "subresource": "status", "fieldsV1": ' + _fields(1_400_000) + "}"
    )
    item = json.dumps({"metadata": metadata, "spec": {"a": {"b": {}}}}).replace('"@"', entry)
    page = '{"items": [' + ",".join([item] * 5) + "]}"
    tracemalloc.start()
    try:
        read = read_answer(page)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(page)
    kept = [{"manager": "kubectl", "subresource": "status", "fieldsV1": {}}]
    assert read["items"] == 5 * [
        {"metadata": {**metadata, "managedFields": kept}, "spec": {"a": {"b": {}}}}
    ]


def test_what_is_of_an_ordinary_size_is_read_as_it_is() -> None:
    fields: dict[str, Any] = {"f:spec": {".": {}, "f:public": {}}}
    body = {"metadata": {"managedFields": [{"fieldsV1": fields}]}}
    assert read_answer(json.dumps(body)) == body
    assert read_answer(json.dumps(body).encode()) == body
