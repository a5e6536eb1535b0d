"""``python -m release``: check that all agrees, and make all that a release has."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from amove_operator import __version__
from controlplane import ControlPlaneError
from node.images import ensure_operator
from release.bills import write_bills
from release.errors import ReleaseError
from release.making import Order, make_release
from release.programs import ensure_programs

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 after saying what is wrong."""
    options = _parser().parse_args(argv)
    if options.bill is not None:
        return _write_bill(options.bill)
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


def _write_bill(path: Path) -> int:
    """Of the image as the sources make it now; no release."""
    try:
        syft = ensure_programs(_say) / "syft"
        archive = ensure_operator(_say).archive
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bills(syft, f"docker-archive:{archive}", __version__, {"cyclonedx-json": path})
    except (ReleaseError, ControlPlaneError) as failure:
        print(f"release: {failure}", file=sys.stderr)
        return 1
    print(path)
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
    parser.add_argument(
        "--bill", type=Path, metavar="FILE", help="only write what the image holds (CycloneDX)"
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
