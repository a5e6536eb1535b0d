"""syft and cosign: built by Go once, or taken from the folder that AMOVE_RELEASE_BIN names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from controlplane.binaries import cache_root, missing_from
from controlplane.build import Compiler, Pins, build_into, tools_hash
from controlplane.progress import Finish
from release.errors import ReleaseError

PROGRAMS: Mapping[str, str] = {
    "cosign": "github.com/sigstore/cosign/v3/cmd/cosign",
    "syft": "github.com/anchore/syft/cmd/syft",
}
VARIABLE = "AMOVE_RELEASE_BIN"
TOOLS = Path(__file__).parent / "tools"


def ensure_programs(report: Finish, environ: Mapping[str, str] = os.environ) -> Path:
    """A folder with both. Raises ReleaseError, or as the build of the control plane does."""
    if named := environ.get(VARIABLE):
        if lacking := missing_from(Path(named), PROGRAMS):
            raise ReleaseError(
                f"{VARIABLE}={named} has no {', '.join(lacking)}: put them there, or unset it"
            )
        return Path(named).resolve()
    cached = cache_root(environ) / "release-bin" / tools_hash(TOOLS)
    if missing_from(cached, PROGRAMS):
        pins = Pins(TOOLS, VARIABLE, _flags)
        build_into(cached, environ, report=report, programs=PROGRAMS, pins=pins)
    return cached


def _flags(compiler: Compiler) -> str:
    """syft says in each bill which version made it; cosign finds its own."""
    syft = compiler.release("github.com/anchore/syft").version
    return f"-s -w -X main.version={syft.removeprefix('v')}"
