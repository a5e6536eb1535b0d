"""The pause program, from Go's own compiler."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from node.cache import kept, key_of
from node.commands import run
from node.errors import NodeError

SOURCE = Path(__file__).parent / "pause" / "main.go"


def ensure_pause() -> Path:
    """A static program that does nothing, for the image that holds a pod's namespaces."""
    go = shutil.which("go")
    if go is None:
        raise NodeError("the pause image is built with Go: install it")
    environ = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
        "GOWORK": "off",
        "GO111MODULE": "off",
    }
    return kept(
        "pause",
        key_of([SOURCE]),
        lambda target: _compile(go, target, environ),
    )


def _compile(go: str, target: Path, environ: dict[str, str]) -> None:
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), str(SOURCE)]
    run(command, "building pause", environ=environ)
