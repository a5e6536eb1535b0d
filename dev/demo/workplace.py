"""A folder for one run, and the programs that run beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from controlplane.processes import Warden
from demo.errors import DemoError, RefusedError

TAIL_LINES = 12
GRACE = 20.0


class Background:
    """A program with its log."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    def require_running(self) -> None:
        """Raise DemoError, with the end of its log, when it has ended."""
        status = self._process.poll()
        if status is not None:
            end = "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            raise DemoError(f"the {self.name} ended with status {status}; its last words:\n{end}")

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after ``GRACE`` seconds; its exit status once it is gone."""
        self._process.terminate()
        try:
            return self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Workplace:
    """``logs`` stay when the run failed; ``private`` holds credentials and always goes."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="amove-demo-run-"))
        self.logs = self.root / "logs"
        self.private = self.root / "private"
        self.home = self.root / "home"
        for folder in (self.logs, self.private, self.home):
            folder.mkdir(mode=0o700)
        # If this process is killed outright, its programs end with it and no credential stays.
        self._warden = Warden(remove=[self.private])
        self._programs: list[Background] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self._programs):
            program.stop()
        self._warden.dismiss()
        failed = error is not None and not isinstance(error, (RefusedError, KeyboardInterrupt))
        for folder in (self.private, self.home) if failed else (self.root,):
            shutil.rmtree(folder, ignore_errors=True)  # the warden may have been first

    def start(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        answers: Path | None = None,
    ) -> Background:
        """Start a program in a session of its own: Ctrl-C must not reach it before us.

        Its output goes to ``logs/<name>.log``; with ``answers``, its standard output goes there.
        """
        log = self.logs / f"{name}.log"
        with log.open("ab") as errors, (answers or log).open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.home,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self._warden.watch(process.pid)
        program = Background(name, process, log)
        self._programs.append(program)
        return program

    def private_file(self, name: str, content: bytes = b"") -> Path:
        """Write a file that only we may read, and answer its path."""
        path = self.private / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


def python_environment() -> dict[str, str]:
    """What a Python program of this project needs, and nothing of a person's own."""
    found = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **found}
