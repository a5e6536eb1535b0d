"""A process that has the operator's modules loaded, and forks whoever is asked for.

Run as a program. Each line of its stdin is a request, each line of its stdout the answer:

``{"program": […], "environ": {…}, "folder": …, "log": …}``  → the pid of a fork that runs it
``{"ended": 4711}``                                          → its exit code; null while it runs

When its stdin ends, so do all forks that still run.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

LOADED = (
    "amove_operator.cli",
    # What the operator's HTTP client loads with its first request.
    "httpcore",
    "anyio._backends._asyncio",
)


class Forks:
    """The processes that were forked, which are this one's to wait for."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def fork(self) -> int:
        """As ``os.fork``. What a fork must not share with others is not there to be shared."""
        assert threading.active_count() == 1
        with os.scandir("/proc/self/fd") as files:
            opened = [str(Path(file).readlink()) for file in files]
        assert not any(file.startswith("socket:") for file in opened), opened
        if (pid := os.fork()) != 0:
            self._running.add(pid)
        return pid

    def ended(self, pid: int) -> int | None:
        """The exit code of a fork, negative where a signal ended it; None while it runs."""
        done, status = os.waitpid(pid, os.WNOHANG)
        if done == 0:
            return None
        self._running.discard(pid)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)


def become(asked: dict[str, Any]) -> None:
    """Run the program in this process, a fresh fork, as if Python had been started with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    os.closerange(3, max(nothing, log) + 1)
    program = asked["program"]
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


def main() -> None:
    """Answer until stdin ends; returns in each fork as well, when its program has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then end us
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()  # so that no fork has to copy what it only looks through
    forks = Forks()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = forks.ended(asked["ended"]) if "ended" in asked else forks.fork()
        if answer == 0 and "program" in asked:
            become(asked)
            return
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    forks.kill()


if __name__ == "__main__":
    main()
