"""Commands of a page, typed at the node as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from node import Node
from node.images import ROOT


def blocks(page: str, heading: str) -> list[str]:
    """What the section of a page says to type, block by block."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```console\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def typed(node: Node, lines: str, folder: Path) -> str:
    """What they print. Raises AssertionError with what they complain about."""
    environ = {**os.environ, **node.environ}
    command = ["bash", "-euxo", "pipefail", "-c", lines]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
