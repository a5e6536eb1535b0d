"""Build the programs, once, into the cache; ask them.

Each is a Go module of a folder here. Its name in the cache has the hash of the module's files, so a
change of any builds it anew, and what a run has begun to use is never replaced under its feet.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controlplane import cache_root

HERE = Path(__file__).parent
_BUILD_SECONDS = 3000
_ANSWER_SECONDS = 120
_PACKAGES = {"external_secrets": "github.com/external-secrets/external-secrets"}
"""What a folder builds that has no program of its own; the folder pins it."""


class JudgeMissingError(Exception):
    """A program is not there and cannot be built. The text says what to do."""


def kstatus(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each object ``{"status": "Current", "message": …}``, as kstatus computes it."""
    return _asked([str(ensure("kstatus"))], objects)


def argocd_health(script: Path, objects: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each object ``{"status": "Healthy", "message": …}``, or ``{"error": …}``."""
    return _asked([str(ensure("argocd")), str(script)], objects)


def ensure(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The built program of the folder ``name``. Raises JudgeMissingError."""
    source = HERE / name
    program = cache_root(environ) / "go" / f"{name}-{_hash(source)}"
    if not program.exists():
        build(source, program, environ, _PACKAGES.get(name, "."))
    return program


def module_folder(name: str) -> Path:
    """Where Go keeps the sources of the module that the folder ``name`` pins."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", _PACKAGES[name]]
    done = subprocess.run(
        command,
        cwd=HERE / name,
        capture_output=True,
        text=True,
        timeout=_ANSWER_SECONDS,
        check=True,
    )
    return Path(done.stdout.strip())


def build(
    source: Path, program: Path, environ: Mapping[str, str] = os.environ, package: str = "."
) -> None:
    """Make ``package``, as the module in ``source`` pins it, the file ``program``; or nothing."""
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise JudgeMissingError(f"no {program} and no Go to build it: install Go")
    program.parent.mkdir(parents=True, exist_ok=True)
    # A person's own GOFLAGS or workspace must not change what the pins say.
    clean = {**environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        made = Path(scratch) / "program"
        options = ["-p", "2", "-trimpath", "-ldflags", "-s -w"]
        command = [go, "build", *options, "-o", str(made), package]
        done = subprocess.run(
            command,
            cwd=source,
            env=clean,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise JudgeMissingError(f"building {source} failed:\n{done.stderr}")
        made.rename(program)


def _hash(source: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _asked(command: list[str], objects: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    given = [json.dumps(each) for each in objects]
    done = subprocess.run(
        command,
        input="".join(f"{line}\n" for line in given),
        capture_output=True,
        text=True,
        timeout=_ANSWER_SECONDS,
        check=True,
    )
    answers: list[dict[str, str]] = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(given):
        raise JudgeMissingError(f"{command[0]} answered {len(answers)} of {len(given)}")
    return answers
