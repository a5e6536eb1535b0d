"""Where prometheus and promtool come from: a named folder, the PATH, the cache, Debian's package.

The package is downloaded by apt, which verifies it, and unpacked into the cache; nothing is
installed, so that no service begins to run and no root is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from controlplane import cache_root

PROGRAMS = ("prometheus", "promtool")
VARIABLE = "AMOVE_PROMETHEUS_BIN"
_PACKAGE = "prometheus"
_SECONDS = 300


class PrometheusMissingError(Exception):
    """Prometheus is neither there nor can it be fetched. The text says what to do."""


def ensure_prometheus(environ: Mapping[str, str] = os.environ) -> Path:
    """Answer a folder that holds both programs. Raises PrometheusMissingError."""
    if named := environ.get(VARIABLE):
        return _named(Path(named))
    on_path = [shutil.which(name, path=environ.get("PATH")) for name in PROGRAMS]
    if all(on_path):
        return Path(on_path[0] or "").parent
    cached = cache_folder(environ)
    if not _complete(cached):
        _fetch_into(cached, environ)
    return cached


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/amove-operator/prometheus``; need not exist yet."""
    return cache_root(environ) / "prometheus"


def _named(folder: Path) -> Path:
    if _complete(folder):
        return folder.resolve()
    raise PrometheusMissingError(
        f"{VARIABLE}={folder} has not both of {' and '.join(PROGRAMS)}: put them there, or unset it"
    )


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def _fetch_into(folder: Path, environ: Mapping[str, str]) -> None:
    """Make ``folder`` hold both programs, or leave it as it was."""
    apt, dpkg = (shutil.which(name, path=environ.get("PATH")) for name in ("apt-get", "dpkg-deb"))
    if apt is None or dpkg is None:
        raise PrometheusMissingError(
            f"no {' and '.join(PROGRAMS)} on the PATH or in {folder}, and no apt-get to fetch "
            f"them: install Prometheus 2.42 or newer, or set {VARIABLE} to a folder that holds both"
        )
    print("prometheus_tools: downloading Debian's package of Prometheus (19 MB)", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        place = Path(made)
        _download(apt, place)
        (package,) = place.glob("*.deb")
        _run([dpkg, "-x", package.name, "unpacked"], place)
        ready = place / "ready"
        ready.mkdir()
        for name in PROGRAMS:
            (place / "unpacked/usr/bin" / name).rename(ready / name)
        if not _complete(folder):  # another process may have been as quick
            shutil.rmtree(folder, ignore_errors=True)
            ready.rename(folder)


def _download(apt: str, place: Path) -> None:
    """A machine that has just been made knows no packages until its lists were updated."""
    try:
        _run([apt, "download", _PACKAGE], place)
    except PrometheusMissingError:
        if os.geteuid() != 0:
            raise
        _run([apt, "update"], place)
        _run([apt, "download", _PACKAGE], place)


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode != 0:
        raise PrometheusMissingError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}; run "
            f"'apt-get update' as root, or set {VARIABLE} to a folder with {' and '.join(PROGRAMS)}"
        )
