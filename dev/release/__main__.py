"""``python -m release``: check that all agrees, and make all that a release has."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane import ControlPlaneError
from release.errors import ReleaseError
from release.making import Order, make_release

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 after saying what is wrong."""
    options = _parser().parse_args(argv)
    order = Order(
        root=ROOT,
        output=options.output.resolve(),
        image=options.image,
        key=os.environ.get("COSIGN_KEY", ""),
        base=options.base,
        rehearsal=options.rehearse,
    )
    try:
        folder = make_release(order, _say)
    except (ReleaseError, ControlPlaneError) as failure:
        print(f"release: {failure}", file=sys.stderr)
        return 1
    print(folder)
    return 0


def _say(line: str) -> None:
    print(f"release: {line}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument(
        "--image", default="", metavar="REPOSITORY", help="where the image will be, without a tag"
    )
    parser.add_argument(
        "--base", default="", metavar="IMAGE", help="pull the base image, and pin its digest"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="(%(default)s)")
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="go on where a release would be refused for what it lacks, with a made-up key",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
