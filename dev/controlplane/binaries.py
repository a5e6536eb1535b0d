"""Where the programs come from: a folder one names, the cache, or a build into the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from controlplane.build import BINARIES, NODE_BINARIES, PATIENCE, build_into, tools_hash
from controlplane.errors import BinariesMissingError
from controlplane.progress import Finish, to_stderr

# Ours first: whoever sets both has KUBEBUILDER_ASSETS from other work.
FOLDER_VARIABLES = ("AMOVE_DEV_BIN", "KUBEBUILDER_ASSETS")


def ensure_binaries(environ: Mapping[str, str] = os.environ, *, report: Finish = to_stderr) -> Path:
    """Answer a folder that holds every program of ``BINARIES``; build them when there is none.

    Raises BinariesMissingError (a named folder lacks a program, or nothing is cached and Go is not
    installed) and BuildError.
    """
    for variable in FOLDER_VARIABLES:
        if folder := environ.get(variable):
            return _named_folder(variable, Path(folder))
    cached = cache_folder(environ)
    if missing_from(cached):
        build_into(cached, environ, report=report)
    return cached


def ensure_node_binaries(
    environ: Mapping[str, str] = os.environ, *, report: Finish = to_stderr
) -> Path:
    """Answer a folder of the cache that holds every program of ``NODE_BINARIES``, as above."""
    cached = cache_root(environ) / "node-bin" / tools_hash()
    if missing_from(cached, NODE_BINARIES):
        build_into(cached, environ, report=report, programs=NODE_BINARIES)
    return cached


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/amove-operator``; need not exist yet."""
    caches = environ.get("XDG_CACHE_HOME")
    root = Path(caches) if caches else Path.home() / ".cache"
    return root / "amove-operator"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/amove-operator/bin/<hash>``; need not exist yet."""
    return cache_root(environ) / "bin" / tools_hash()


def missing_from(folder: Path, programs: Iterable[str] = BINARIES) -> list[str]:
    """The names of ``programs`` that ``folder`` does not hold as executable files."""
    return [name for name in programs if not _is_program(folder / name)]


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _named_folder(variable: str, folder: Path) -> Path:
    if lacking := missing_from(folder):
        raise BinariesMissingError(
            f"{variable}={folder} has no {', '.join(lacking)}: "
            f"put them there, or unset {variable} to have all of them built ({PATIENCE})"
        )
    return folder.resolve()
