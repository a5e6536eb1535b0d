"""What the kernel says that a process used."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL = 0.05
_KILLED = 5.0


class BenchError(Exception):
    """A run that says nothing: what was waited for did not happen. One line, and where to look."""


def cpu_seconds_of(stat: str) -> float:
    """User and system seconds from the text of ``/proc/<pid>/stat`` (proc(5), fields 14 and 15)."""
    # The second field is the program's name in parentheses, which may itself hold spaces.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib_of(status: str, field: str = "VmRSS") -> float:
    """Resident memory in MiB from the text of ``/proc/<pid>/status``; ``VmHWM``: its peak."""
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {field}: the process has ended")


def cpu_seconds(pid: int) -> float:
    """User and system seconds that a running process has used so far."""
    return cpu_seconds_of(Path(f"/proc/{pid}/stat").read_text())


def wait_for(what: str, holds: Callable[[], bool], seconds: float, every: float = _POLL) -> None:
    """Ask until it holds. Raises BenchError after ``seconds``."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


@dataclass
class Process:
    """One run of a program that is measured."""

    process: subprocess.Popen[bytes]
    log: Path
    started_wall: float
    started: float

    @classmethod
    def start(
        cls, command: Sequence[str], environment: Mapping[str, str], log: Path, **rest: str
    ) -> Self:
        """``rest``: what else the class is made of."""
        with log.open("wb") as sink:
            wall, monotonic = time.time(), time.monotonic()
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )
        return cls(process, log, wall, monotonic, **rest)

    @property
    def cpu_seconds(self) -> float:
        """So far. Raises BenchError when it has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"the process ended with {self.process.returncode}: see {self.log}")
        return cpu_seconds(self.process.pid)

    @property
    def peak_mib(self) -> float:
        """Peak resident memory so far."""
        return resident_mib_of(self._status, "VmHWM")

    @property
    def resident_mib(self) -> float:
        """Resident memory now."""
        return resident_mib_of(self._status)

    @property
    def _status(self) -> str:
        return Path(f"/proc/{self.process.pid}/status").read_text()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def kill(self) -> None:
        """End it in any case."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(_KILLED)


@dataclass
class Operator(Process):
    """One process of the operator, as the Deployment would run it; URLs of its two ports."""

    health: str
    metrics: str

    def wait_ready(self, seconds: float = 120.0) -> float:
        """Seconds from its start until ``/readyz`` says that its caches are filled."""
        wait_for("the operator's caches filled", self._ready, seconds, every=0.02)
        return self.age

    def _ready(self) -> bool:
        _ = self.cpu_seconds  # raises when it has ended
        try:
            return httpx.get(f"{self.health}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def wait_quiet(self, seconds: float, *, window: float = 1.0, share: float = 0.08) -> None:
        """Wait until it used less than ``share`` of one CPU for ``window`` seconds."""

        def quiet() -> bool:
            before = self.cpu_seconds
            time.sleep(window)
            return self.cpu_seconds - before < share * window

        wait_for("the operator at rest", quiet, seconds)

    def scrape(self) -> int:
        """The bytes of one answer of ``/metrics``."""
        answer = httpx.get(f"{self.metrics}/metrics", trust_env=False, timeout=60.0)
        return len(answer.raise_for_status().content)

    def stop(self, seconds: float = 40.0) -> float:
        """SIGTERM; seconds until it has ended. Raises BenchError unless it ended with 0."""
        began = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BenchError(f"the operator did not end {seconds:g} s after SIGTERM") from None
        if code != 0:
            raise BenchError(f"the operator ended with {code}: see {self.log}")
        return time.monotonic() - began
