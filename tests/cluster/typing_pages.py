"""What a page of docs/ says to type, typed in a shell as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from controlplane import ControlPlane
from tests.patience import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"


def blocks_of(page: str) -> list[str]:
    """The console blocks of ``docs/<page>``, in order."""
    return re.findall(r"^```console\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)


def type_lines(
    plane: ControlPlane, lines: str, folder: Path, replaced: Mapping[str, str] | None = None
) -> str:
    """Have bash run the lines in ``folder`` as the cluster's administrator; what they printed.

    ``replaced``: what of the lines is otherwise here than at a user's. Each must be there.
    """
    for text, other in (replaced or {}).items():
        assert text in lines, text
        lines = lines.replace(text, other)
    path = f"{plane.bin}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", lines],
        cwd=folder,
        env={**os.environ, **plane.client_environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stderr}"
    return done.stdout
