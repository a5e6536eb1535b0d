"""`make demo NODE=1 KEEP=1`: pods, and a way in for whoever watches."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

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
    """The demo in a group of processes of its own, as a terminal has one."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            DEMO,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(PATIENCE)


def lines_until_kept(output: IO[str]) -> str:
    """What it shows until everything stays up, or its end."""
    shown = []
    for line in output:
        shown.append(line)
        if line.startswith("To end it"):
            break
    return "".join(shown)


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
        os.killpg(process.pid, signal.SIGINT)
        shown += process.stdout.read()
        status = process.wait(PATIENCE)

    assert re.search(r"node-1 +Ready", inside.stdout), inside.stderr
    assert status == 0, shown + log.read_text()
    for step in STEPS:
        assert re.search(rf"^ *\d+ ok .*{re.escape(step)}", shown, re.M), step
    assert f"All {len(HELD.findall(shown))} steps held" in shown
    assert not re.search("AKIA|amv_|eyJ", shown + log.read_text())
