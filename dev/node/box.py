"""Namespaces of their own for a node and everything that talks to it, and their removal."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from controlplane.processes import Warden
from node.errors import NodeError
from node.machine import OWN_PREFIX, Machine, children, hierarchies

VARIABLE = "AMOVE_NODE_BOX"
UNSHARE = ("--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child=KILL")
GRACE = 60.0
CGROUP_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """What the inside of a box must know: its ``name``, its ``folder``, the unpacked packages."""

    name: str
    folder: str
    packages: str

    @classmethod
    def of_this_process(cls) -> Self:
        """Raises NodeError outside of a box."""
        given = os.environ.get(VARIABLE)
        if given is None:
            raise NodeError("a node runs in a box of its own: start this by make test-node")
        return cls(**json.loads(given))

    @property
    def keeper(self) -> int:
        """The process, outside, that holds the box."""
        return owner_of(self.name)

    def text(self) -> str:
        return json.dumps(asdict(self))


class Box:
    """Mount, network, IPC, UTS and PID namespaces, control groups and a folder, while entered.

    The machine is compared before and after. Raises NodeError where it cannot be had.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        _require_machine()
        remove_stale_groups()
        self._before = Machine.read()
        # The process id tells whether a box that was left behind is anybody's; see owner_of().
        name = f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.plan = Plan(name, str(self.folder), str(self._packages))
        self._warden = Warden(remove=[self.folder])
        _make_groups(name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._warden.dismiss()
        remove_groups(self.plan.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        changes = Machine.read().changes_since(self._before)
        if changes and error is None:
            raise NodeError("the node changed this machine:\n" + "\n".join(changes))

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start ``command`` inside; the process that is answered ends with it, with its status."""
        inside = [sys.executable, "-m", "node.inside", *command]
        environ = {**os.environ, VARIABLE: self.plan.text(), "PYTHONPATH": _import_path()}
        self._process = subprocess.Popen(
            ["unshare", *UNSHARE, "--mount-proc", "--propagation", "private", *inside], env=environ
        )
        self._warden.watch(self._process.pid)
        return self._process

    def run(self, command: Sequence[str]) -> int:
        """Run ``command`` inside to its end; its exit status.

        Ctrl-C reaches it by itself, and SIGTERM is passed on to it.
        """
        process = self.start(command)
        signal.signal(signal.SIGTERM, lambda *_: self._terminate(process.pid))
        try:
            return process.wait()
        except KeyboardInterrupt:
            try:
                return process.wait(GRACE)
            except subprocess.TimeoutExpired:
                return 128 + signal.SIGINT

    @staticmethod
    def _terminate(unshare: int) -> None:
        # unshare itself would ignore it.
        for inside in children(unshare):
            os.kill(inside, signal.SIGTERM)

    def end(self) -> None:
        """Kill what is left inside: all of it dies with its first process."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def remove_groups(name: str) -> None:
    """Remove the control groups of a box whose processes are dead, the deepest first."""
    for hierarchy in hierarchies():
        top = hierarchy / name
        if not top.exists():
            continue
        groups = [path for path in top.rglob("*") if path.is_dir()]
        for group in [*sorted(groups, key=lambda path: -len(path.parts)), top]:
            _remove_group(group)


def remove_stale_groups() -> None:
    """What boxes left whose owner was killed."""
    for hierarchy in hierarchies():
        for group in hierarchy.glob(f"{OWN_PREFIX}*"):
            if not Path(f"/proc/{owner_of(group.name)}").exists():
                remove_groups(group.name)


def owner_of(name: str) -> int:
    """The id of the process that made the box of this name."""
    return int(name.removeprefix(OWN_PREFIX).partition("-")[0])


def _remove_group(group: Path) -> None:
    # The kernel lets go of a killed process's group a moment after its parent has its status.
    deadline = time.monotonic() + CGROUP_SECONDS
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _make_groups(name: str) -> None:
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (group / setting).exists():
                # Without them no process may enter.
                (group / setting).write_text((hierarchy / setting).read_text())


def _require_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NodeError("a node needs Linux and root: it mounts, and makes network interfaces")
    missing = [name for name in ("memory", "cpu", "pids", "cpuset") if not _has_hierarchy(name)]
    if missing:
        raise NodeError(
            f"a node needs the control groups {', '.join(missing)} in version 1, as Debian 12 "
            "machines of this project's CI have them: it was never tried with version 2 alone"
        )


def _has_hierarchy(name: str) -> bool:
    return any(name in path.name.split(",") for path in hierarchies())


def _import_path() -> str:
    here = str(Path(__file__).parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
