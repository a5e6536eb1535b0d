"""What nests as deeply as an API server takes it is read, and with stack to spare."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
