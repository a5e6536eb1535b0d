"""A control plane with the chart in it, and an emulator: each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from amove_emulator.control import EmulatorControl
from bench import objects
from bench.bare import Bare, Body, kube
from bench.packages import python_command, python_path
from bench.processes import BenchError, Operator, Process, cpu_seconds, wait_for
from controlplane import AuditEvent, ControlPlane, audit_events
from controlplane.components import free_ports

LATENCY = 0.020
CONCURRENCY = 16
_CHART = Path(__file__).parents[1] / "deploy" / "helm" / "amove-operator"
_RELEASE, _SYSTEM = "amove-operator", "amove-system"
_FENCE_SECONDS = 11.0
"""A fence counts 10 s after it was made (docs/policies.md); no cold start is to wait for that."""
_MEASURED = (f"system:serviceaccount:{_SYSTEM}:{_RELEASE}", "system:serviceaccount:default:way")
Answer = TypeVar("Answer")


def sort_of(request: AuditEvent) -> str:
    """How a request is counted: ``Events``, ``dry runs``, ``writes`` or ``reads``."""
    if request.resource == "events":
        return "Events"
    return "dry runs" if request.dry_run else "writes" if request.writes else "reads"


def spent_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds by process."""
    return {name: used - before[name] for name, used in after.items()}


class Stage:
    """Everything around what is measured; made by :func:`stage`."""

    def __init__(
        self, plane: ControlPlane, emulator: subprocess.Popen[str], facts: dict[str, Any],
        folder: Path, profiles: Path | None,
    ) -> None:  # fmt: skip
        self.plane = plane
        self.control = EmulatorControl(facts["url"])
        self.facts = facts
        self.folder = folder
        """Where logs and notes go."""
        self.system = _SYSTEM
        """The operator's own namespace."""
        self._fence_counts = time.monotonic() + _FENCE_SECONDS
        self._emulator = emulator
        self._profiles = profiles
        self._running: list[Process] = []
        self._operator = plane.service_account_kubeconfig(_SYSTEM, _RELEASE)
        self._way, self.identity = (self._administrator(name) for name in ("way", "bench"))

    def _administrator(self, name: str) -> Path:
        """A kubeconfig of a ServiceAccount that may do all; so the audit log tells who did what."""
        self.plane.kubectl("create", "serviceaccount", name)
        account = f"--serviceaccount=default:{name}"
        self.plane.kubectl(
            "create", "clusterrolebinding", name, "--clusterrole=cluster-admin", account
        )
        return self.plane.service_account_kubeconfig("default", name)

    def operator(
        self, name: str, module: Sequence[str] = ("amove_operator",), **settings: str
    ) -> Operator:
        """Start the operator with its ServiceAccount's token; settings: ``rate_limit="200"``."""
        time.sleep(max(self._fence_counts - time.monotonic(), 0.0))
        metrics, health = free_ports(2)
        ports = {"metrics_port": str(metrics), "health_port": str(health)}
        running = Operator.start(
            [*python_command(), *self._profiling(name), "-m", *module, "run"],
            self._environment(self._operator, **ports, **settings),
            self.folder / f"operator-{name}.log",
            health=f"http://127.0.0.1:{health}",
            metrics=f"http://127.0.0.1:{metrics}",
        )
        self._running.append(running)
        return running

    def way(self, name: str) -> Process:
        """Start ``bench.floor`` or ``bench.plain``, with the operator's settings."""
        running = Process.start(
            [*python_command(), "-m", f"bench.{name}"],
            self._environment(self._way),
            self.folder / f"{name}.log",
        )
        self._running.append(running)
        return running

    def _environment(self, identity: Path, **settings: str) -> dict[str, str]:
        wanted = {
            "api_url": self.facts["url"],
            "auth_url": self.facts["url"],
            "token_file": str(self.folder / "token"),
            "cloud_account_id": self.facts["cloudAccountId"],
            "storage_dn": self.facts["storageDn"],
            "concurrency": str(CONCURRENCY),
            **settings,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AMOVE_")}
        ours = {f"AMOVE_{field.upper()}": text for field, text in wanted.items()}
        return inherited | ours | {"KUBECONFIG": str(identity), "PYTHONPATH": python_path()}

    def _profiling(self, name: str) -> Sequence[str]:
        if self._profiles is None:
            return ()
        return ("-m", "cProfile", "-o", str(self._profiles / f"{name}.prof"))

    def in_cluster(self, act: Callable[[Bare], Awaitable[Answer]]) -> Answer:
        """Do something in Kubernetes, as the bench itself."""

        async def run() -> Answer:
            async with kube(self.identity) as kubernetes:
                return await act(kubernetes)

        return asyncio.run(run())

    def create(self, manifests: Iterable[tuple[str, Body]]) -> int:
        """Create objects; how many the API server took."""
        return self.in_cluster(lambda kubernetes: objects.create(kubernetes, manifests))

    def object(self, plural: str, name: str, namespace: str = objects.NAMESPACE) -> Body:
        """An object as it is now."""
        found = objects.path(plural, name, namespace)
        return dict(self.in_cluster(lambda kubernetes: kubernetes.send("GET", found)))

    def change(
        self, plural: str, name: str, patch: Body, namespace: str = objects.NAMESPACE
    ) -> None:
        """A merge patch to an object."""
        changed = objects.path(plural, name, namespace)
        self.in_cluster(lambda kubernetes: kubernetes.patch(changed, patch))

    def wait_all_ready(self, count: int, process: Process, seconds: float) -> None:
        """Wait until ``count`` buckets and keys are Ready, looking in a way that costs little."""

        def issued() -> bool:
            _ = process.cpu_seconds  # raises when it has ended
            return self.calls()["create_storage_key"] >= count

        wait_for(f"{count} keys issued", issued, seconds, every=0.25)
        wait_for(
            f"{2 * count} objects Ready",
            lambda: self.in_cluster(objects.ready) == 2 * count,
            60.0 + count / 100,
            every=max(0.25, count / 4000),
        )

    def calls(self) -> Counter[str]:
        """Calls to the API that are over, by name, since the journal was cleared."""
        return Counter({name: n["done"] for name, n in self.control.counts().items()})

    def calling_seconds(self) -> float:
        """From the first call's arrival to the last one's end."""
        entries = self.control.journal()
        return float(
            max(entry["wall"] + (entry["duration"] or 0.0) for entry in entries)
            - min(entry["wall"] for entry in entries)
        )

    def requests(self) -> list[AuditEvent]:
        """What operator, floor or plain way has asked of Kubernetes so far, Leases aside."""
        return [
            event
            for event in audit_events(self.plane.audit_log)
            if event.user in _MEASURED and event.resource != "leases"
        ]

    def others_spent(self) -> dict[str, float]:
        """CPU seconds so far of the processes that share the machine with the operator."""
        pids = {**self.plane.pids, "emulator": self._emulator.pid}
        return {name: cpu_seconds(pid) for name, pid in pids.items()}

    def close(self) -> None:
        """End what runs."""
        for process in self._running:
            process.kill()
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
        "--set", "replicas=0,credentials.existingSecret=unused,image.repository=unused",
    )  # fmt: skip
    crds = [f"crd/{plural}.{objects.GROUP}" for plural in (objects.BUCKETS, objects.KEYS)]
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    plane.kubectl("create", "namespace", objects.NAMESPACE)
    # Else the garbage collector discovers the two kinds in the middle of a measurement.
    plane.restart_controller_manager()
