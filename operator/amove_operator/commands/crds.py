"""``amove-operator crds``: the CustomResourceDefinitions and the fence, for kubectl."""

from __future__ import annotations

import sys
from pathlib import Path

from amove_operator.models.crds import crds_yaml, write_crds


def run_crds(folder: Path | None) -> int:
    """Print all of them, or write a file each into ``folder`` and print the files' names."""
    if folder is None:
        sys.stdout.write(crds_yaml())
    else:
        for path in write_crds(folder):
            print(path)
    return 0
