"""A control plane with the chart in it, and an emulator: each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from amove_emulator.control import EmulatorControl
from bench import objects
from bench.processes import BenchError, Operator, cpu_seconds, wait_for
from controlplane import AuditEvent, ControlPlane, audit_events
from controlplane.components import free_ports

LATENCY = 0.020
CONCURRENCY = 16
_CHART = Path(__file__).parents[1] / "deploy" / "helm" / "amove-operator"
_RELEASE, _SYSTEM = "amove-operator", "amove-system"
_USER = f"system:serviceaccount:{_SYSTEM}:{_RELEASE}"
_NOT_COUNTED = ("events", "leases")  # they are no cost of an object (docs/promises.md)


def spent_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds by process."""
    return {name: used - before[name] for name, used in after.items()}


class Stage:
    """Everything around the operator; made by :func:`stage`."""

    def __init__(
        self, plane: ControlPlane, emulator: subprocess.Popen[str], facts: dict[str, Any],
        folder: Path, profiles: Path | None,
    ) -> None:  # fmt: skip
        self.plane = plane
        self.control = EmulatorControl(facts["url"])
        self._emulator = emulator
        self._facts = facts
        self._folder = folder
        self._profiles = profiles
        self._running: list[Operator] = []
        self._identity = plane.service_account_kubeconfig(_SYSTEM, _RELEASE)

    @property
    def folder(self) -> Path:
        """Where logs and notes go."""
        return self._folder

    @property
    def system(self) -> str:
        """The operator's own namespace."""
        return _SYSTEM

    def operator(
        self, name: str, module: Sequence[str] = ("amove_operator",), **settings: str
    ) -> Operator:
        """Start the operator with its ServiceAccount's token; settings: ``rate_limit="200"``."""
        metrics, health = free_ports(2)
        wanted = {
            "api_url": self._facts["url"],
            "auth_url": self._facts["url"],
            "token_file": str(self._folder / "token"),
            "concurrency": str(CONCURRENCY),
            "metrics_port": str(metrics),
            "health_port": str(health),
            **settings,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AMOVE_")}
        environment = {
            **inherited,
            **{f"AMOVE_{field.upper()}": text for field, text in wanted.items()},
            "KUBECONFIG": str(self._identity),
        }
        running = Operator.start(
            [sys.executable, *self._profiling(name), "-m", *module, "run"],
            environment,
            self._folder / f"operator-{name}.log",
            f"http://127.0.0.1:{health}",
        )
        self._running.append(running)
        return running

    def _profiling(self, name: str) -> Sequence[str]:
        if self._profiles is None:
            return ()
        return ("-m", "cProfile", "-o", str(self._profiles / f"{name}.prof"))

    def create_objects(self, count: int) -> None:
        """``count`` buckets and as many keys, before there is an operator."""
        asyncio.run(objects.create(self.plane.kubeconfig, count))

    def wait_all_ready(self, count: int, operator: Operator, seconds: float) -> None:
        """Wait until ``count`` buckets and keys are Ready, looking in a way that costs little."""

        def issued() -> bool:
            _ = operator.cpu_seconds  # raises when it has ended
            return self.calls()["create_storage_key"] >= count

        wait_for(f"{count} keys issued", issued, seconds, every=0.25)
        wait_for(
            f"{2 * count} objects Ready",
            lambda: asyncio.run(objects.ready(self.plane.kubeconfig)) == 2 * count,
            60.0,
            every=0.25,
        )

    def calls(self) -> Counter[str]:
        """Calls to the API that are over, by name, since the emulator was started."""
        return Counter({name: n["done"] for name, n in self.control.counts().items()})

    def calling_seconds(self) -> float:
        """From the first call's arrival to the last one's end."""
        entries = self.control.journal()
        return float(
            max(entry["wall"] + (entry["duration"] or 0.0) for entry in entries)
            - min(entry["wall"] for entry in entries)
        )

    def writes(self) -> list[AuditEvent]:
        """What the operator has written to Kubernetes so far; Events, Leases, dry runs aside."""
        return [
            event
            for event in audit_events(self.plane.audit_log)
            if event.user == _USER and event.writes and event.resource not in _NOT_COUNTED
        ]

    def others_spent(self) -> dict[str, float]:
        """CPU seconds so far of the processes that share the machine with the operator."""
        pids = {**self.plane.pids, "emulator": self._emulator.pid}
        return {name: cpu_seconds(pid) for name, pid in pids.items()}

    def close(self) -> None:
        """End what runs."""
        for operator in self._running:
            operator.kill()
        self.control.close()


@contextmanager
def stage(profiles: Path | None = None) -> Iterator[Stage]:
    """A fresh stage. When a run fails, the operator's logs stay in ``/tmp/amove-bench-…``."""
    folder = Path(tempfile.mkdtemp(prefix="amove-bench-"))
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane())
        emulator = stack.enter_context(_emulator(folder / "token"))
        assert emulator.stdout is not None  # noqa: S101 - a pipe, see below
        line = emulator.stdout.readline()
        if not line:
            raise BenchError("the emulator did not start: see its words above")
        _install_chart(plane)
        made = Stage(plane, emulator, json.loads(line), folder, profiles)
        stack.callback(made.close)
        yield made
    shutil.rmtree(folder)


@contextmanager
def _emulator(token_file: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "amove_emulator", "--token-file", str(token_file)]
    process = subprocess.Popen(
        [*command, "--latency-ms", str(LATENCY * 1000)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _install_chart(plane: ControlPlane) -> None:
    """CRDs, ServiceAccount, roles and policies; the operator itself runs as a process of ours."""
    plane.helm(
        "install", _RELEASE, str(_CHART), "--namespace", _SYSTEM, "--create-namespace",
        "--set", "replicas=0", "--set", "credentials.existingSecret=unused",
    )  # fmt: skip
    crds = [f"crd/{plural}.{objects.GROUP}" for plural in (objects.BUCKETS, objects.KEYS)]
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    plane.kubectl("create", "namespace", objects.NAMESPACE)
    # Else the garbage collector discovers the two kinds in the middle of a measurement.
    plane.restart_controller_manager()
