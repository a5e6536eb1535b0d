"""`make demo NODE=1 KEEP=1`: pods, and a way in for whoever watches."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from demo.page import REFUSED
from node.machine import OWN_PREFIX, hierarchies
from tests.demo.test_demo import HELD, REPOSITORY
from tests.patience import PATIENCE

pytestmark = pytest.mark.node

DEMO = [sys.executable, "-m", "node", "run", "--", sys.executable, "-m", "demo", "--node", "--keep"]
STEPS = (
    "a Deployment with replicas: 1",
    "the operator's pod is Ready",
    "examples/app in a pod",
    "the page lists the object, deletes it and uploads it again",
    "the keys no longer work",
    "its Lease is free at once",
)


@contextmanager
def running(log: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, until it is ended as it says itself."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            DEMO,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def lines_until_kept(output: IO[str]) -> str:
    """What it shows until everything stays up, or its end."""
    shown = []
    for line in output:
        shown.append(line)
        if line.startswith("To end it"):
            break
    return "".join(shown)


def left_by(keeper: int) -> list[Path]:
    """Control groups and folders of the box that this process held."""
    places = [*hierarchies(), Path(tempfile.gettempdir())]
    return [each for place in places for each in place.glob(f"{OWN_PREFIX}{keeper}-*")]


def page_from_outside(line: str) -> int:
    """The HTTP status of the application's page, by the line that leads a browser to it."""
    with subprocess.Popen(shlex.split(line), stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        try:
            return httpx.get(forward.stdout.readline().strip(), timeout=PATIENCE).status_code
        finally:
            forward.terminate()


def test_operator_and_application_are_pods_and_a_person_gets_in(tmp_path: Path) -> None:
    log = tmp_path / "errors"
    with running(log) as process:
        assert process.stdout is not None
        shown = lines_until_kept(process.stdout)
        assert "In another terminal:" in shown, shown + log.read_text()
        enter, *typed = shown.partition("In another terminal:\n")[2].splitlines()
        exports = [line.strip() for line in typed if line.strip().startswith("export ")]
        inside = subprocess.run(
            [*shlex.split(enter), "--", "bash", "-c", "\n".join([*exports, "kubectl get nodes"])],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        page = page_from_outside(typed[-2])
        assert f"kill {process.pid}" in typed[-1]
        process.terminate()
        shown += process.communicate(timeout=PATIENCE)[0]
        status = process.returncode

    assert re.search(r"node-1 +Ready", inside.stdout), inside.stderr
    assert page == REFUSED, "the application still runs, and its key was revoked"
    assert status == 0, shown + log.read_text()
    for step in STEPS:
        assert re.search(rf"^ *\d+ ok .*{re.escape(step)}", shown, re.M), step
    assert f"All {len(HELD.findall(shown))} steps held" in shown
    assert not re.search("AKIA|amv_|eyJ", shown + log.read_text())
    assert left_by(process.pid) == []
