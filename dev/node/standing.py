"""A node that outlives the command that started it, known by its state folder."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from controlplane.progress import to_stderr
from node.box import Box, Plan
from node.errors import NodeError
from node.images import ensure_images
from node.machine import children
from node.packages import ensure_packages
from node.running import Node

START_SECONDS = 180.0
STOP_SECONDS = 30.0
INSIDE = "AMOVE_NODE_STATE"


class Standing:
    """The state folder: ``state.json`` while a node is up, and what ``up`` printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.file = self.folder / "state.json"
        self.log = self.folder / "up.log"

    def read(self) -> dict[str, Any]:
        """``{keeper, inside, environ}``. Raises NodeError when nothing runs."""
        with contextlib.suppress(FileNotFoundError):
            state: dict[str, Any] = json.loads(self.file.read_text())
            if Path(f"/proc/{state['keeper']}").exists():
                return state
        raise NodeError(f"no node runs in {self.folder}: start it with up")

    def write(self, state: dict[str, Any]) -> None:
        unfinished = self.file.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(state))
        unfinished.rename(self.file)


def stand(standing: Standing) -> None:
    """Start a node detached, and return when it is Ready; fine if it is up already."""
    with contextlib.suppress(NodeError):
        standing.read()
        to_stderr(f"up already, state in {standing.folder}")
        return
    standing.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    standing.file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "node", "hold", "--dir", str(standing.folder)]
    with standing.log.open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while not standing.file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            raise NodeError(f"the node did not start:\n{standing.log.read_text().strip()}")
        time.sleep(0.1)
    to_stderr(f"up, state in {standing.folder}; python -m node shell enters it")


def hold(standing: Standing) -> int:
    """Keep a node up until SIGTERM: outside of its box first, and then inside."""
    if INSIDE in os.environ:
        return _hold_inside(standing)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with Box(ensure_packages(to_stderr)) as box:
        os.environ[INSIDE] = str(os.getpid())
        command = [sys.executable, "-m", "node", "hold", "--dir", str(standing.folder)]
        process = box.start(command)
        while process.poll() is None and not ended.wait(0.5):
            pass
    standing.file.unlink(missing_ok=True)
    return 0 if ended.is_set() else 1


def _hold_inside(standing: Standing) -> int:
    with Node(ensure_images(to_stderr)) as node:
        plan = Plan.of_this_process()
        # Another PID namespace: outside, the box's own process is found by its box's name.
        standing.write(
            {"keeper": int(os.environ[INSIDE]), "box": plan.name, "environ": dict(node.environ)}
        )
        while True:
            node.require_running()
            time.sleep(1.0)


def enter(keeper: int, environ: Mapping[str, str], program: Sequence[str]) -> int:
    """Run a program, or a person's shell, in the box that the process ``keeper`` holds."""
    inside = first_process_below(keeper)
    environ = {**os.environ, **environ}
    chosen = list(program) or [os.environ.get("SHELL", "/bin/sh")]
    namespaces = ("--mount", "--net", "--ipc", "--uts", "--pid")
    command = ["nsenter", "--target", str(inside), *namespaces, f"--wd={Path.cwd()}", *chosen]
    return subprocess.call(command, env=environ)


def stop(standing: Standing) -> None:
    """End the node of this state folder; fine if nothing runs."""
    try:
        state = standing.read()
    except NodeError:
        to_stderr(f"nothing runs in {standing.folder}")
        return
    handle = os.pidfd_open(int(state["keeper"]))
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], STOP_SECONDS)[0]:
            raise NodeError(f"the node did not end within {STOP_SECONDS:.0f} s: {standing.log}")
    finally:
        os.close(handle)
    for file in (standing.log, standing.file):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        standing.folder.rmdir()
    to_stderr("down")


def first_process_below(keeper: int) -> int:
    """The process in the box that ``unshare``, a child of the keeper, started."""
    for child in children(keeper):
        if Path(f"/proc/{child}/comm").read_text().strip() == "unshare":
            (inside,) = children(child)
            return inside
    raise NodeError(f"process {keeper} holds no box, or the box is ending")
