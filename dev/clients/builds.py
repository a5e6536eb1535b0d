"""Build each example as its README would have a person build it, into the cache.

A build is a folder named for the hash of what went into it: it is whole or not there, and a change
of the example or of a lock makes another one. Answered is the command line that runs the example.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from controlplane import cache_root

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "apps"
TOOLS_LOCK = ROOT / "requirements" / "clients.lock"
_SECONDS = 1800


class ClientMissingError(Exception):
    """A client is not there and cannot be built. The text says why."""


def go_client() -> list[str]:
    """The example in Go."""

    def build(place: Path) -> None:
        environ = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
        _run([_program("go"), "build", "-p", "2", "-o", "hello", "."], place, environ)

    return [str(_built("go", build) / "hello")]


def javascript_client() -> list[str]:
    """The example in JavaScript."""

    def build(place: Path) -> None:
        _run([_program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], place)

    return [_program("node"), str(_built("javascript", build) / "main.js")]


def java_client() -> list[str]:
    """The example in Java."""

    def build(place: Path) -> None:
        _run([_program("mvn"), "--quiet", "--batch-mode", "package"], place)

    target = _built("java", build) / "target"
    path = os.pathsep.join((str(target / "classes"), str(target / "dependency" / "*")))
    # A short life: the machine's best code would come too late.
    return [_program("java"), "-XX:TieredStopAtLevel=1", "-cp", path, "app.Hello"]


def rust_client() -> list[str]:
    """The example in Rust. Its first build takes minutes."""

    def build(place: Path) -> None:
        _run([_program("cargo"), "build", "--quiet", "--jobs", "2"], place)
        (place / "target" / "debug" / "amove-example").rename(place / "hello")
        shutil.rmtree(place / "target")  # a gigabyte

    return [str(_built("rust", build) / "hello")]


def tools() -> Path:
    """The folder with python (duckdb is importable), aws, rclone and s3cmd."""
    folder = cache_folder() / f"tools-{_hash([TOOLS_LOCK])}"
    finished = folder / ".finished"
    with _sole_builder():
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install_tools(folder)
            finished.touch()
    return folder / "bin"


def _install_tools(folder: Path) -> None:
    # In its last place: its scripts name the folder that they are in.
    _run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    options = ["--no-deps", "--require-hashes", "--no-compile", "--disable-pip-version-check"]
    _run([*pip, *options, "--requirement", str(TOOLS_LOCK)], folder)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``${XDG_CACHE_HOME:-~/.cache}/amove-operator/clients``; need not exist yet."""
    return cache_root(environ) / "clients"


def _built(language: str, build: Callable[[Path], None]) -> Path:
    """The folder with the example of that language, built."""
    source = EXAMPLES / language
    files = [one for one in sorted(source.rglob("*")) if one.is_file()]
    folder = cache_folder() / f"{language}-{_hash(files)}"
    with _sole_builder():
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                place = Path(scratch) / language
                shutil.copytree(source, place)
                build(place)
                place.rename(folder)
    return folder


@contextlib.contextmanager
def _sole_builder() -> Iterator[None]:
    """One process builds at a time; the others wait, and find the work done."""
    place = cache_folder()
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ClientMissingError(f"no {name} on the PATH, which builds an example application")
    return found


def _run(command: list[str], place: Path, environ: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise ClientMissingError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
