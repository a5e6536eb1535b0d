"""The packages of the image, for what is measured: those of the development tools weigh as well.

httpx, for one, imports rich and pygments where they are installed: 7 MiB that no pod has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from node.cache import kept, key_of

_ROOT = Path(__file__).resolve().parent.parent
_LOCK = _ROOT / "requirements" / "runtime.lock"


def runtime_packages() -> Path:
    """The folder of ``requirements/runtime.lock``, installed once into the cache."""
    return kept("bench-packages", key_of((_LOCK, sys.version)), _install)


def python_command() -> list[str]:
    """How to start Python without the packages of this very process."""
    return [getattr(sys, "_base_executable", sys.executable), "-S"]


def python_path() -> str:
    """PYTHONPATH for :func:`python_command`: the image's packages, and the project's own code."""
    return os.pathsep.join(map(str, (runtime_packages(), _ROOT / "operator", _ROOT)))


def _install(folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    locked = ("--no-deps", "--require-hashes", "--requirement", str(_LOCK))
    subprocess.run((*pip, *locked, "--target", str(folder)), check=True)
