"""Run a program to its end; where it fails, its last lines are the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from node.errors import NodeError

TAIL_LINES = 12


def run(
    command: Sequence[str],
    doing: str,
    *,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    seconds: float = 900.0,
) -> str:
    """What it prints. Raises NodeError that begins with ``doing``."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise NodeError(f"{doing} needs the program {command[0]}: install it") from None
    except subprocess.TimeoutExpired:
        raise NodeError(f"{doing} did not end within {seconds:.0f} s") from None
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-TAIL_LINES:])
        raise NodeError(f"{doing} failed with status {done.returncode}:\n{last}")
    return done.stdout
