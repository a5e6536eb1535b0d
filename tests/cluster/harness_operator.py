"""The operator as a process of its own, with its ServiceAccount's token and nothing more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.harness import eventually
from tests.patience import PATIENCE, PAUSE

ROOT = Path(__file__).parents[2]
TAIL = 30000
METRIC = "amove_operator_"
PRODUCT = ("-m", "amove_operator")
FORK_SERVER = Path(__file__).with_name("fork_server.py")
# One for all: each would load the authorities of the web anew, for 60 ms of the CPU.
_HTTP = httpx.Client(
    trust_env=False,
    verify=False,  # noqa: S501 - plain HTTP on loopback
    timeout=PATIENCE,
    limits=httpx.Limits(max_keepalive_connections=0),
)


def environment(**variables: str) -> dict[str, str]:
    """The tests' own environment without a person's settings, and ``variables``."""
    clean = {name: value for name, value in os.environ.items() if not _is_of_a_person(name)}
    return {**clean, "PYTHONPATH": str(ROOT / "operator"), **variables}


def _is_of_a_person(name: str) -> bool:
    return name.startswith("AMOVE_") or name == "KUBECONFIG" or name.lower().endswith("_proxy")


def as_text(value: object) -> str:
    """A setting as its variable has it: ``true``, ``a,b``, ``1s``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)


class Fork:
    """A process that the fork server started, with what subprocess.Popen offers of it."""

    def __init__(self, pid: int, ask: Callable[[dict[str, Any]], int | None]) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self._ask = ask

    def poll(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs."""
        if self.exit_code is None:
            self.exit_code = self._ask({"ended": self.pid})
        return self.exit_code

    def wait(self, deadline: float) -> int:
        """Its exit code. Raises TimeoutError."""
        end = time.monotonic() + deadline
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(PAUSE)
        return code

    def send(self, number: signal.Signals) -> None:
        if self.poll() is None:  # until it is asked for its exit code, its pid is no other's
            os.kill(self.pid, number)


class Starter:
    """Starts operators: each is forked from a process that has the modules loaded.

    Loading them takes seconds of the CPU, and the tests start hundreds of operators.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, str(FORK_SERVER)],
            env=environment(TMPDIR=str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, variables: Mapping[str, str], program: Sequence[str] = PRODUCT) -> Operator:
        """``program``: what Python runs, with the argument ``run``."""
        handle, name = tempfile.mkstemp(prefix="operator-", suffix=".log", dir=self._folder)
        os.close(handle)
        return Operator(self.fork(variables, program, Path(name)), Path(name), variables)

    def fork(self, variables: Mapping[str, str], program: Sequence[str], log: Path) -> Fork:
        """Run the program with the argument ``run``; what it says is added to ``log``."""
        asked = {
            "program": [*program, "run"],
            # The Kubernetes client leaves certificates in files where its process is killed.
            "environ": environment(TMPDIR=str(self._folder), **variables),
            "folder": str(self._folder),
            "log": str(log),
        }
        pid = self._ask(asked)
        assert pid is not None
        return Fork(pid, self._ask)

    def close(self) -> None:
        """End the server; it kills what still runs."""
        self._server.communicate(timeout=PATIENCE)

    def _ask(self, asked: dict[str, Any]) -> int | None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        answer: int | None = json.loads(self._server.stdout.readline())
        return answer


class Operator:
    """``amove-operator run``. ``stop`` ends it as a Pod ends, ``kill`` as a crash does."""

    def __init__(self, process: Fork, log: Path, variables: Mapping[str, str]) -> None:
        self._process = process
        self._told = False
        self._log = log
        self._health = variables["AMOVE_HEALTH_PORT"]
        self._metrics = variables["AMOVE_METRICS_PORT"]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """All it has logged so far: one JSON object a line."""
        return self._log.read_text()

    @property
    def tail(self) -> str:
        """The end of its log, for a person."""
        return self.log[-TAIL:]

    def wait_log(self, text: str, deadline: float = PATIENCE) -> str:
        """Wait for a line with ``text`` in it, and return the first such line."""

        def ask() -> str | None:
            return next((line for line in self.log.splitlines() if text in line), None)

        found = eventually(ask, deadline, what=f"{text!r} in the operator's log")
        assert found is not None
        return found

    def ready(self) -> bool:
        """Whether /readyz says so."""
        return _get(self._health, "/readyz") is not None

    def unready(self) -> str:
        """Why /readyz says that it is not; empty when it is, or when nobody answers."""
        code, text = self.readyz()
        return text if code == 503 else ""

    def readyz(self) -> tuple[int, str]:
        """Code and body of /readyz; 0 where nobody answers."""
        return self._probe("/readyz")

    def healthz(self) -> tuple[int, str]:
        """Code and body of /healthz; 0 where nobody answers."""
        return self._probe("/healthz")

    def _probe(self, path: str) -> tuple[int, str]:
        try:
            answer = _HTTP.get(f"http://127.0.0.1:{self._health}{path}", timeout=2)
        except httpx.HTTPError:
            return 0, ""
        return answer.status_code, answer.text

    @property
    def metrics_port(self) -> str:
        """Where Prometheus is to scrape it."""
        return self._metrics

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name, without ``amove_operator_``; 0 where none is."""
        text = _get(self._metrics, "/metrics") or ""
        return sum(
            float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == METRIC + name and labels.items() <= sample.labels.items()
        )

    def wait_ready(self, deadline: float = PATIENCE) -> None:
        """Wait until its caches are filled."""
        eventually(lambda: self._alive() and self.ready(), deadline, what="/readyz")

    def wait_leading(self, deadline: float = PATIENCE) -> None:
        """Wait until it leads."""
        eventually(lambda: self._alive() and self.metric("leader") == 1, deadline, what="the lead")

    def wait_idle(self, deadline: float = PATIENCE) -> None:
        """Wait until its queue is empty: a cheap sign, not a proof, that it rests."""
        eventually(lambda: self.metric("queue_depth") == 0, deadline, what="an empty queue")

    def _alive(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the operator ended with {self._process.exit_code}:\n{self.tail}")
        return True

    def terminate(self) -> None:
        """SIGTERM, without waiting; once, since a second one kills a process at its very end."""
        if not self._told:
            self._told = True
            self._process.send(signal.SIGTERM)

    def stop(self, deadline: float = PATIENCE) -> None:
        """SIGTERM; it must end with 0."""
        if self.running:
            self.terminate()
        code = self.wait(deadline)
        assert code == 0, f"the operator ended with {code}:\n{self.tail}"

    def wait(self, deadline: float = PATIENCE) -> int:
        """Wait for its end, and return its exit code. Kills one that goes on."""
        try:
            return self._process.wait(deadline)
        except TimeoutError:
            self.kill()
            raise AssertionError(f"it still ran after {deadline:.0f} s:\n{self.tail}") from None

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.send(signal.SIGKILL)
        self._process.wait(PATIENCE)


def _get(port: str, path: str) -> str | None:
    try:
        answer = _HTTP.get(f"http://127.0.0.1:{port}{path}")
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None
