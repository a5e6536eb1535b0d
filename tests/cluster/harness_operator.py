"""The operator as a process of its own, with its ServiceAccount's token and nothing more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.harness import eventually
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
TAIL = 30000
METRIC = "amove_operator_"
PRODUCT = ("-m", "amove_operator")


def environment(**variables: str) -> dict[str, str]:
    """The tests' own environment without a person's settings, and ``variables``."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AMOVE_") and name != "KUBECONFIG" and not name.endswith("_proxy")
    }
    return {**clean, "PYTHONPATH": str(ROOT / "operator"), **variables}


def as_text(value: object) -> str:
    """A setting as its variable has it: ``true``, ``a,b``, ``1s``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)


# All that a start costs is the imports: a process that has them behind it waits for its settings.
WARM_UP = """
import json, os, sys
from amove_operator.cli import main
os.environ.update(json.loads(sys.stdin.readline()))
sys.exit(main(["run"]))
"""


class Started:
    """A process of Python, and where it logs."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        handle, name = tempfile.mkstemp(prefix="operator-", suffix=".log", dir=folder)
        self.log = Path(name)
        with os.fdopen(handle, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                # The Kubernetes client leaves certificates in files where its process is killed.
                env=environment(TMPDIR=str(folder), **variables),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def tell(self, line: str = "") -> None:
        """All that it will ever read."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode())
        self.process.stdin.close()

    def end(self) -> None:
        self.tell()
        self.process.kill()
        self.process.wait(PATIENCE)


class Starter:
    """Starts operators, with one always warming up for whoever comes next.

    KUBECONFIG is read when the Kubernetes client is imported: with another one the start is cold.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig = str(kubeconfig)
        self._folder = folder
        self._spare = self._warm()

    def start(self, variables: Mapping[str, str], program: Sequence[str] = PRODUCT) -> Operator:
        """``program``: what Python runs, with the argument ``run``."""
        if variables["KUBECONFIG"] != self._kubeconfig or program != PRODUCT:
            started = Started([*program, "run"], variables, self._folder)
            started.tell()
        else:
            started, self._spare = self._spare, self._warm()
            started.tell(json.dumps(dict(variables)) + "\n")
        return Operator(started, variables)

    def close(self) -> None:
        self._spare.end()

    def _warm(self) -> Started:
        return Started(["-c", WARM_UP], {"KUBECONFIG": self._kubeconfig}, self._folder)


class Operator:
    """``amove-operator run``. ``stop`` ends it as a Pod ends, ``kill`` as a crash does."""

    def __init__(self, started: Started, variables: Mapping[str, str]) -> None:
        self._process = started.process
        self._told = False
        self._log = started.log
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
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self._health}/readyz", trust_env=False, timeout=2
            )
        except httpx.HTTPError:
            return ""
        return answer.text if answer.status_code == 503 else ""

    def metric(self, name: str, **labels: str) -> float:
        """One sample, named without ``amove_operator_``; 0 where there is none."""
        text = _get(self._metrics, "/metrics") or ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == METRIC + name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return 0.0

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
            raise RuntimeError(f"the operator ended with {self._process.returncode}:\n{self.tail}")
        return True

    def terminate(self) -> None:
        """SIGTERM, without waiting; once, since a second one kills a process at its very end."""
        if not self._told:
            self._told = True
            self._process.terminate()

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
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it still ran after {deadline:.0f} s:\n{self.tail}") from None

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait(PATIENCE)


def _get(port: str, path: str) -> str | None:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=PATIENCE)
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None
