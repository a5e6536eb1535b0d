"""``python -m flux_tools``: build Flux's controller if it is not there; print its folder."""

from __future__ import annotations

import sys

from controlplane import ControlPlaneError
from flux_tools.fetch import ensure_flux


def main() -> int:
    """Answer the exit status: 0, or 1 after saying what is wrong."""
    try:
        print(ensure_flux().controller.parent)
    except ControlPlaneError as failure:
        print(f"flux_tools: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
