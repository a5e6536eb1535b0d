"""Build the programs that a go.mod pins, tools/go.mod here, once, into a folder to share."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controlplane.errors import BinariesMissingError, BuildError
from controlplane.progress import Finish

# Program → Go package. Quick ones first, so that a broken set-up shows early.
BINARIES: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
# What a node runs besides; built only where one is wanted.
NODE_BINARIES: Mapping[str, str] = {
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
}
TOOLS = Path(__file__).parent / "tools"
PATIENCE = "the first build takes some minutes and is kept"
HEARTBEAT = 10.0
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class Release:
    """A released Go module: ``version`` as ``v1.36.3``, ``time`` as RFC 3339 in UTC."""

    version: str
    time: str


@dataclass(frozen=True)
class Pins:
    """What pins programs: ``tools``, a folder with go.mod and go.sum; how they are linked.

    ``variable`` names a folder of finished ones, for who has no Go.
    """

    tools: Path
    variable: str
    flags: Callable[[Compiler], str]


def tools_hash(tools: Path = TOOLS) -> str:
    """16 hex digits that change whenever a pinned version or a checksum does."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((tools / name).read_bytes())
    return digest.hexdigest()[:16]


def build_into(
    folder: Path,
    environ: Mapping[str, str],
    *,
    report: Finish,
    programs: Mapping[str, str] = BINARIES,
    pins: Pins | None = None,
) -> None:
    """Make ``folder`` hold every one of ``programs``, or leave it as it was.

    One process builds at a time; the others wait and then find the work done. ``pins`` are those
    of the control plane where none are given. Raises BinariesMissingError without Go, BuildError
    when ``go`` refuses.
    """
    pins = pins or Pins(TOOLS, "AMOVE_DEV_BIN", kubernetes_flags)
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise BinariesMissingError(
            f"no {', '.join(programs)} in {folder} and no Go to build them: install Go "
            f"{_go_version(pins.tools)} or newer, or set {pins.variable} to a folder with "
            f"{', '.join(programs)}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _sole_builder(folder.parent, report=report):
        if not _complete(folder, programs):
            _remove_leftovers(folder.parent)
            with tempfile.TemporaryDirectory(prefix="building-", dir=folder.parent) as scratch:
                compiler = Compiler(go, pins.tools, Path(scratch), environ, report)
                _build_all(compiler, folder, programs, pins.flags, report=report)


def linker_flags(kubernetes: Release, helm: Release) -> str:
    """The versions as a release build stamps them (kubernetes hack/lib/version.sh; helm Makefile).

    A module proxy tells no commit, so that stays empty, as the state of a tree without git does.
    The date is the release's, so that the same pins give the same bytes.
    """
    major, minor, _ = kubernetes.version.removeprefix("v").split(".", 2)
    stamps = {
        "gitVersion": kubernetes.version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "",
        "gitTreeState": "archive",
        "buildDate": kubernetes.time,
    }
    settings = [
        f"{pkg}.{key}={value}" for pkg in _VERSION_PACKAGES for key, value in stamps.items()
    ]
    settings.append(f"helm.sh/helm/v4/internal/version.version={helm.version}")
    return " ".join(["-s", "-w", *(f"-X {setting}" for setting in settings)])


def kubernetes_flags(compiler: Compiler) -> str:
    """The linker's flags for the control plane's programs, of the versions that are pinned."""
    return linker_flags(compiler.release("k8s.io/kubernetes"), compiler.release("helm.sh/helm/v4"))


def _build_all(
    compiler: Compiler,
    folder: Path,
    programs: Mapping[str, str],
    flags_of: Callable[[Compiler], str],
    *,
    report: Finish,
) -> None:
    report(f"building {len(programs)} programs with {compiler.go}, once: {PATIENCE}")
    began = time.monotonic()
    flags = flags_of(compiler)
    for position, (name, package) in enumerate(programs.items(), start=1):
        compiler.build(name, package, flags, f"{position} of {len(programs)}")
    _publish(compiler.built, folder)
    report(f"built all in {time.monotonic() - began:.0f} s: {folder}")


class Compiler:
    """Runs ``go`` for the pinned modules; its chatter goes to a file, shown when it fails."""

    def __init__(
        self, go: str, tools: Path, scratch: Path, environ: Mapping[str, str], report: Finish
    ) -> None:
        self.go = go
        self.built = scratch / "bin"
        self.built.mkdir()
        self._tools = tools
        self._scratch = scratch
        self._report = report
        # A person's own GOFLAGS or workspace must not change what the pins say.
        self._environ = {**environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}

    def release(self, module: str) -> Release:
        answer = self._run(["list", "-m", "-json", module], f"looking up {module}")
        try:
            described = json.loads(answer)
            return Release(described["Version"], described.get("Time", ""))
        except (ValueError, KeyError) as unreadable:
            raise BuildError(
                f"{self.go} list -m -json {module} answered no version"
            ) from unreadable

    def build(self, name: str, package: str, flags: str, position: str) -> None:
        target = self.built / name
        began = time.monotonic()
        arguments = ["build", "-trimpath", "-ldflags", flags, "-o", str(target), package]
        self._run(arguments, f"building {name} ({position})")
        self._report(f"built {name} ({position}) in {time.monotonic() - began:.0f} s")

    def _run(self, arguments: list[str], doing: str) -> str:
        log, out = self._scratch / "go.log", self._scratch / "go.out"
        with log.open("w") as stderr, out.open("w") as stdout:
            process = subprocess.Popen(
                [self.go, *arguments],
                cwd=self._tools,
                env=self._environ,
                stdout=stdout,
                stderr=stderr,
            )
            status = _wait_aloud(process, doing, self._report)
        if status != 0:
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise BuildError(f"{doing} failed: go ended with status {status}\n{tail}")
        return out.read_text()


def _wait_aloud(process: subprocess.Popen[bytes], doing: str, report: Finish) -> int:
    began = time.monotonic()
    try:
        while True:
            try:
                return process.wait(HEARTBEAT)
            except subprocess.TimeoutExpired:
                report(f"{doing} … {time.monotonic() - began:.0f} s")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def _sole_builder(folder: Path, *, report: Finish) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        _lock_aloud(lock, report)
        yield


def _lock_aloud(lock: IO[str], report: Finish) -> None:
    began = told = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if told == began or time.monotonic() - told >= HEARTBEAT:
                told = time.monotonic()
                report(f"another process is building … {told - began:.0f} s")
            time.sleep(0.2)


def _complete(folder: Path, programs: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() for name in programs)


def _publish(built: Path, folder: Path) -> None:
    """Rename, so that a reader sees the folder whole or not at all."""
    if folder.exists():
        # Damaged (somebody deleted a program): a rename does not replace a folder that has files.
        shutil.rmtree(folder)
    built.rename(folder)


def _remove_leftovers(parent: Path) -> None:
    """A killed build leaves its scratch folder; under the lock no other build is using one."""
    for leftover in parent.glob("building-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _go_version(tools: Path) -> str:
    lines = (tools / "go.mod").read_text().splitlines()
    return next(line.removeprefix("go ") for line in lines if line.startswith("go "))
