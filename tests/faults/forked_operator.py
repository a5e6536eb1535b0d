"""The operator forked from a process that has its modules loaded, and killed where a test says.

Loading the modules takes seconds of the CPU; a crash matrix starts the operator a hundred times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from amove_operator.cli import main
from tests.cluster.harness import eventually
from tests.cluster.harness_operator import ROOT, environment
from tests.faults.crashing_operator import Crash, wrap_the_seams
from tests.patience import PATIENCE


class ArmedCrash(Crash):
    """Counts only from the moment that a file ``armed`` exists, and no Events."""

    def __init__(self, at: str, folder: Path) -> None:
        super().__init__("", at, folder / "effects")
        self._armed = folder / "armed"

    async def around(self, what: str, text: str, send: Callable[[], Awaitable[Any]]) -> Any:
        if "/events" in what or not self._armed.exists() or self._armed.read_text() not in text:
            return await send()
        return await super().around(what, text, send)


def operate(variables: dict[str, str], folder: Path, crash_at: str) -> None:
    """``amove-operator run`` in this process, which is a fresh child."""
    os.environ.clear()
    os.environ.update(environment(TMPDIR=str(folder), **variables))
    with (folder / "operator.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    wrap_the_seams(ArmedCrash(crash_at, folder))
    sys.exit(main(["run"]))


def fork_context(kubeconfig: Path) -> ForkServerContext:
    """Where forked operators come from; the first of them waits until the modules are loaded.

    The Kubernetes client reads KUBECONFIG when it is imported: so they all have the same.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["amove_operator.app.lifecycle", "tests.faults.forked_operator"])
    loading = {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "KUBECONFIG": str(kubeconfig)}
    with patch.dict(os.environ, loading):
        ensure_running()
    return context


class ForkedOperator:
    """One run of the operator. ``crash_at``: ``3:before`` or ``3:after`` its third effect."""

    def __init__(
        self,
        context: ForkServerContext,
        variables: Mapping[str, str],
        folder: Path,
        crash_at: str = "",
    ) -> None:
        self._folder = folder
        self._metrics = f"http://127.0.0.1:{variables['AMOVE_METRICS_PORT']}/metrics"
        (folder / "armed").unlink(missing_ok=True)
        (folder / "effects").write_text("")
        self._process: ForkServerProcess = context.Process(
            target=operate, args=(dict(variables), folder, crash_at), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def killed(self) -> bool:
        """Whether its moment came."""
        return not self.running and self._process.exitcode == -signal.SIGKILL

    @property
    def tail(self) -> str:
        """The end of the log of all operators of this folder."""
        return (self._folder / "operator.log").read_text()[-6000:]

    @property
    def effects(self) -> list[str]:
        """The effects since it was armed."""
        return (self._folder / "effects").read_text().splitlines()

    def arm(self, about: str = "") -> None:
        """From now on its effects count, or those with that text in them."""
        (self._folder / "armed").write_text(about)

    def wait_leading(self) -> None:
        """Wait until it serves objects."""
        eventually(self._leads, what="the lead")

    def _leads(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the operator ended:\n{self.tail}")
        try:
            answer = httpx.get(self._metrics, trust_env=False, timeout=PATIENCE)
        except httpx.HTTPError:
            return False
        return "amove_operator_leader 1.0" in answer.text

    def stop(self) -> None:
        """SIGTERM, and wait; it may be dead already."""
        if self.running:
            self._process.terminate()
        self._process.join(PATIENCE)
        if self.running:
            self._process.kill()
            raise AssertionError(f"it still ran after 20 s:\n{self.tail}")
