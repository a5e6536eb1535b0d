"""A control plane that outlives the command that started it, known by its state folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane.binaries import ensure_binaries
from controlplane.errors import ControlPlaneError, StartError
from controlplane.launcher import ControlPlane
from controlplane.progress import Finish, to_stderr

START_DEADLINE = 120.0
STOP_DEADLINE = 60.0


class NotUpError(ControlPlaneError):
    """Nothing runs in the state folder."""


class State:
    """The state folder: a lock held by the process that runs the control plane, and its facts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.plane = self.folder / "plane"
        self.log = self.folder / "up.log"
        self._file = self.folder / "state.json"
        self._lock = self.folder / "lock"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Own the folder. The kernel lets go of the lock however this process ends."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StartError(f"a control plane runs in {self.folder} already") from None
            # What a killed one left behind.
            shutil.rmtree(self.plane, ignore_errors=True)
            self._file.unlink(missing_ok=True)
            yield
            self._file.unlink(missing_ok=True)

    @property
    def is_up(self) -> bool:
        try:
            with self._lock.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return self._file.exists()
        return False

    def write(self, plane: ControlPlane) -> None:
        environ = plane.client_environment()
        facts = {
            "pid": os.getpid(),
            "programs": plane.pids,
            "server": plane.server,
            "bin": str(plane.bin),
            "environ": environ,
        }
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(json.dumps(facts))
        unfinished.rename(self._file)

    def is_written_by(self, pid: int) -> bool:
        """Whether the process ``pid`` is up. Takes no lock, which might hinder its start."""
        try:
            return bool(json.loads(self._file.read_text())["pid"] == pid)
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Take away our files, and the folder unless somebody else's are in it."""
        for file in (self.log, self._lock):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    @property
    def pid(self) -> int:
        return int(self._read()["pid"])

    @property
    def exports(self) -> str:
        """Lines for ``eval`` in a shell."""
        facts = self._read()
        lines = [f"export {key}={shlex.quote(value)}" for key, value in facts["environ"].items()]
        return "\n".join([*lines, f"export PATH={shlex.quote(facts['bin'])}:$PATH"])

    def _read(self) -> dict[str, Any]:
        if not self.is_up:
            raise NotUpError(f"no control plane runs in {self.folder}: start it with up")
        facts: dict[str, Any] = json.loads(self._file.read_text())
        return facts


def run_in_foreground(state: State, *, report: Finish = to_stderr) -> None:
    """Run until SIGTERM or SIGINT. Raises StartError when a program dies meanwhile."""
    # Before the signals are ours: a build must end when told to.
    binaries = ensure_binaries(report=report)
    finished = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: finished.set())
    with state.held(), ControlPlane(state.plane, binaries=binaries, report=report) as plane:
        state.write(plane)
        report(f"up at {plane.server}, state in {state.folder}; end it with down, or a signal")
        while not finished.wait(1.0):
            plane.require_running()


def run_in_background(state: State, *, report: Finish = to_stderr) -> None:
    """Start it detached and return when it is ready; if it is up already, that is fine."""
    if state.is_up:
        report(f"up already, state in {state.folder}")
        return
    # Here and not there: whoever waits sees the build's progress.
    ensure_binaries(report=report)
    process = _detached(state)
    deadline = time.monotonic() + START_DEADLINE
    while not state.is_written_by(process.pid):
        if process.poll() is not None:
            raise StartError(state.log.read_text().strip())
        if time.monotonic() > deadline:
            process.terminate()
            raise StartError(f"not up within {START_DEADLINE:.0f} s, see {state.log}")
        time.sleep(0.1)
    report(f"up, state in {state.folder}; for a shell: python -m controlplane env")


def _detached(state: State) -> subprocess.Popen[bytes]:
    state.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "controlplane", "up", "--foreground", "--dir"]
    with state.log.open("w") as log:
        return subprocess.Popen(
            [*command, str(state.folder)],
            env={**os.environ, "PYTHONPATH": _import_path()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_background(state: State, *, report: Finish = to_stderr) -> None:
    """Stop what runs in the state folder, and only that; fine if nothing does."""
    if not state.is_up:
        report(f"nothing runs in {state.folder}")
        return
    # A handle, so that the signal reaches this process and never a later one of the same number.
    handle = os.pidfd_open(state.pid)
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], STOP_DEADLINE)[0]:
                break
    finally:
        os.close(handle)
    if state.plane.exists():
        report(f"down; what is left is in {state.plane}")
    else:
        state.remove()
        report("down")


def _import_path() -> str:
    here = str(Path(__file__).parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
