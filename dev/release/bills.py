"""What is in an image, by syft."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from node.commands import run


def write_bills(syft: Path, image: str, version: str, outputs: Mapping[str, Path]) -> None:
    """Write a bill of materials in each of the formats that syft knows, to its path.

    ``image``: an archive as syft names it, ``oci-archive:/path``. Raises NodeError.
    """
    command = [str(syft), "scan", image, "--quiet"]
    command += ["--source-name", "amove-operator", "--source-version", version]
    command += [f"--output={form}={path}" for form, path in outputs.items()]
    environ = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    run(command, "writing the bill of materials", environ=environ)
