"""MkDocs in a virtual environment of its own, kept in the cache, and the site that it builds.

It and what it needs are not among the development tools: nothing else here imports them, and their
versions must not bind those of the operator.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from controlplane import cache_root
from docs_site.errors import DocsSiteError
from node.cache import key_of, locked

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/docs.lock"
_COMPLETE = ".complete"
_INSTALL_SECONDS = 600
_BUILD_SECONDS = 300


def ensure_mkdocs(
    report: Callable[[str], None], *, environ: Mapping[str, str] = os.environ, lock: Path = LOCK
) -> Path:
    """The Python that has MkDocs; installed first where it is missing. Raises DocsSiteError."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_root(environ) / "docs" / key_of([version, lock])
    python = folder / "bin/python"
    with locked(folder.parent / ".lock"):
        if not (folder / _COMPLETE).exists():
            count = lock.read_text().count("==")
            report(f"installing MkDocs, {count} pinned packages, into {folder}; once")
            shutil.rmtree(folder, ignore_errors=True)
            make = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
            _run(make, environ, _INSTALL_SECONDS)
            install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
            install += [
                "--disable-pip-version-check",
                "--no-compile",
                "--no-deps",
                "--require-hashes",
            ]
            _run([*install, "--requirement", str(lock)], environ, _INSTALL_SECONDS)
            (folder / _COMPLETE).touch()
    return python


def build_site(output: Path, report: Callable[[str], None], *, root: Path = ROOT) -> None:
    """Write the site of ``root/docs`` to ``output``. A link that leads nowhere is an error."""
    python = ensure_mkdocs(report)
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--clean"]
    command += ["--config-file", str(root / "mkdocs.yml"), "--site-dir", str(output.resolve())]
    quiet = {"PYTHONPATH": str(root / "dev"), "NO_MKDOCS_2_WARNING": "true"}
    _run(command, {**os.environ, **quiet}, _BUILD_SECONDS)


def _run(command: list[str], environ: Mapping[str, str], seconds: float) -> None:
    done = subprocess.run(
        command,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        shown = (done.stderr + done.stdout).strip()
        raise DocsSiteError(f"{' '.join(command)} ended with {done.returncode}:\n{shown}")
