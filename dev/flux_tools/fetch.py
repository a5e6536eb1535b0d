"""kustomize-controller, built once from tools/go.mod, and the CRDs that Flux's modules carry.

Both lie in the cache, under the hash of what they are made from. The CRDs are copied out of the
module cache: the other controllers of Flux are not built, but kustomize-controller watches the
kinds of source-controller.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane import BinariesMissingError, BuildError, cache_root
from controlplane.build import Pins, build_into, tools_hash
from controlplane.progress import Finish, to_stderr

TOOLS = Path(__file__).parent / "tools"
CONTROLLER = "kustomize-controller"
PROGRAMS: Mapping[str, str] = {CONTROLLER: "github.com/fluxcd/kustomize-controller"}
# Module → its hash, as go.sum has it: to require them all in go.mod would change what is built.
MODULES: Mapping[str, str] = {
    "github.com/fluxcd/kustomize-controller@v1.9.5": (
        "h1:/XY2zy3K7fntyppEXIHG7oRMzmfgIt50eJzUfaPX1Kc="
    ),
    "github.com/fluxcd/source-controller@v1.9.0": (
        "h1:5msg2yyjVYDULZos+2ve8MZzcSqTpusiXmrOeBhc9yY="
    ),
}
VARIABLE = "AMOVE_FLUX_BIN"
"""A folder with the program and crds/, for who has no Go."""
_SECONDS = 300


@dataclass(frozen=True)
class Flux:
    """``controller``: the program. ``crds``: a folder of YAML files."""

    controller: Path
    crds: Path


def ensure_flux(environ: Mapping[str, str] = os.environ, *, report: Finish = to_stderr) -> Flux:
    """Answer what the named folder or the cache holds, once it is there: minutes the first time.

    Raises BinariesMissingError (the named folder lacks something, or there is no Go) and BuildError
    (``go`` refuses, or a module is another).
    """
    if folder := environ.get(VARIABLE):
        return _named(Path(folder))
    root = cache_root(environ) / "flux"
    flux = Flux(root / tools_hash(TOOLS) / CONTROLLER, root / f"crds-{_modules_hash()}")
    if not os.access(flux.controller, os.X_OK):
        pins = Pins(TOOLS, VARIABLE, lambda _: "-s -w")
        build_into(flux.controller.parent, environ, report=report, programs=PROGRAMS, pins=pins)
    if not flux.crds.is_dir():
        report("copying Flux's CRDs from its Go modules")
        _copy_crds(flux.crds, environ)
    return flux


def _named(folder: Path) -> Flux:
    flux = Flux(folder / CONTROLLER, folder / "crds")
    if os.access(flux.controller, os.X_OK) and flux.crds.is_dir():
        return flux
    raise BinariesMissingError(
        f"{VARIABLE}={folder} has not both of {CONTROLLER} and crds/: put them there, or unset it"
    )


def _modules_hash() -> str:
    return hashlib.sha256("\n".join(MODULES.values()).encode()).hexdigest()[:16]


def _copy_crds(folder: Path, environ: Mapping[str, str]) -> None:
    """Make ``folder`` hold every CRD of ``MODULES``, or leave it as it was."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="copying-", dir=folder.parent) as scratch:
        copied = Path(scratch) / "crds"
        copied.mkdir()
        for module, checksum in MODULES.items():
            for crd in (_module(module, checksum, environ) / "config/crd/bases").glob("*.yaml"):
                shutil.copyfile(crd, copied / crd.name)
        if not folder.is_dir():  # another process may have been as quick
            copied.rename(folder)


def _module(module: str, checksum: str, environ: Mapping[str, str]) -> Path:
    """Where the module cache has it; downloaded if it is not there yet."""
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise BinariesMissingError(f"no Go to download {module}, whose CRDs are wanted: install it")
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=tempfile.gettempdir(),
        env={**environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"go mod download {module} failed: {done.stdout}{done.stderr}")
    found = json.loads(done.stdout)
    if found["Sum"] != checksum:
        raise BuildError(f"{module} is {found['Sum']}, not the pinned {checksum}")
    return Path(found["Dir"])
