"""Start, watch and stop the programs, so that none outlives the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from controlplane.errors import StartError

TAIL_LINES = 15


class Warden:
    """A small process of its own that ends the others if this one is killed (warden.py)."""

    def __init__(self, remove: Sequence[Path]) -> None:
        script = Path(__file__).with_name("warden.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), *map(str, remove)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for above
        self._process.stdin.write(f"{pid}\n".encode())
        self._process.stdin.flush()

    def dismiss(self) -> None:
        """Let it end what is left, and wait for it."""
        self._process.communicate()


class Program:
    """One running program with its log."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        folder: Path,
        warden: Warden,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Start ``argv``; its output is added to ``folder/logs/<program>.log``.

        It gets a session of its own, so that Ctrl-C in a terminal does not reach it before we
        stop it in order, and a bare environment (and ``environ``), so that no setting of a person
        changes it.
        """
        name = Path(argv[0]).name
        log = folder / "logs" / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env={
                    "HOME": str(folder),
                    "PATH": f"{os.defpath}:/usr/sbin:/sbin",
                    **(environ or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        warden.watch(process.pid)
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def require_running(self) -> None:
        """Raise StartError, with the end of its log, when the program has died."""
        status = self._process.poll()
        if status is not None:
            raise StartError(
                f"{self.name} died with status {status}; the end of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; return when it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                # The whole session: whatever it may have started goes with it.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
