"""The operator forked from a process that has its modules loaded, and killed where a test says.

Loading the modules takes a second; a crash matrix starts the operator a hundred times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import httpx

from amove_operator.cli import main
from amove_operator.kube.transport import Request, Transport
from tests.cluster.harness import eventually
from tests.cluster.harness_operator import ROOT, environment

_QUIET = ("events", "leases")


class Effects:
    """Counts the moments right before and after each effect, once ``armed`` exists.

    Effects are all calls of the Amove API and all writes to Kubernetes but Events and Leases,
    dry runs included. At moment ``stop`` the process kills itself. ``trace`` gets a line for each.
    """

    def __init__(self, stop: int, armed: Path, trace: Path) -> None:
        self._stop = stop
        self._armed = armed
        self._trace = trace
        self._moment = 0

    def reached(self, what: str) -> None:
        """One moment before or after an effect."""
        if not self._armed.exists():
            return
        self._moment += 1
        with self._trace.open("a") as trace:
            trace.write(f"{self._moment} {what}\n")
        if self._moment == self._stop:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Put itself around the two places through which every effect goes."""
        send, call = httpx.AsyncClient.send, Transport.call

        async def counted_send(
            client: httpx.AsyncClient, request: httpx.Request, **options: Any
        ) -> httpx.Response:
            what = f"{request.method} {request.url.path.rsplit('/', 1)[-1]}"
            self.reached(f"before {what}")
            answer = await send(client, request, **options)
            self.reached(f"after {what}")
            return answer

        async def counted_call(
            transport: Transport, request: Request, **options: Any
        ) -> dict[str, Any]:
            if request.method == "GET" or any(f"/{one}" in request.path for one in _QUIET):
                return await call(transport, request, **options)
            what = f"{request.method} {request.path} {request.query.get('dryRun', '')}"
            self.reached(f"before {what}")
            answer = await call(transport, request, **options)
            self.reached(f"after {what}")
            return answer

        httpx.AsyncClient.send = counted_send  # type: ignore[method-assign, assignment]
        Transport.call = counted_call  # type: ignore[method-assign]


def operate(variables: dict[str, str], log: Path, effects: Effects | None) -> None:
    """``amove-operator run`` in this process, which is a fresh child."""
    os.environ.clear()
    os.environ.update(environment(**variables))
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if effects is not None:
        effects.install()
    sys.exit(main(["run"]))


def fork_context() -> ForkServerContext:
    """Where forked operators come from; loads its modules with the first of them."""
    context = multiprocessing.get_context("forkserver")
    os.environ.setdefault("PYTHONPATH", f"{ROOT / 'operator'}:{ROOT}")
    context.set_forkserver_preload(["amove_operator.runtime", "tests.faults.forked_operator"])
    return context


class ForkedOperator:
    """One run of the operator; with ``stop`` it kills itself at that moment of its effects."""

    def __init__(
        self, context: ForkServerContext, variables: Mapping[str, str], folder: Path, stop: int = 0
    ) -> None:
        self._armed, self._trace = folder / "armed", folder / "trace"
        self.log = folder / "operator.log"
        self._armed.unlink(missing_ok=True)
        self._trace.write_text("")
        self._health = variables["AMOVE_HEALTH_PORT"]
        self._metrics = variables["AMOVE_METRICS_PORT"]
        effects = Effects(stop, self._armed, self._trace) if stop else None
        self._process: ForkServerProcess = context.Process(
            target=operate, args=(dict(variables), self.log, effects), daemon=True
        )
        self._process.start()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def reached(self) -> str:
        """The last moment of its effects, for a person."""
        return (self._trace.read_text().splitlines() or ["nothing"])[-1]

    def arm(self) -> None:
        """From now on its effects count."""
        self._armed.touch()

    def wait_leading(self) -> None:
        """Wait until it serves objects."""
        eventually(self._leads, 30, what="the lead")

    def _leads(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the operator ended:\n{self.log.read_text()[-6000:]}")
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self._metrics}/metrics", trust_env=False, timeout=2
            )
        except httpx.HTTPError:
            return False
        return "amove_operator_leader 1.0" in answer.text

    def stop(self) -> None:
        """SIGTERM, and wait; it may be dead already."""
        if self.running:
            self._process.terminate()
        self._process.join(20)
        if self.running:
            self._process.kill()
            raise AssertionError(f"it still ran after 20 s:\n{self.log.read_text()[-6000:]}")

    def killed(self) -> bool:
        """Whether its moment came."""
        return self._process.exitcode == -signal.SIGKILL
