"""``python -m demo [--keep] [--node | --kubeconfig FILE]``: `make demo`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from controlplane import BinariesMissingError, BuildError, ControlPlaneError
from demo.errors import DemoError, RefusedError
from demo.stage import run

REFUSED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer the exit status: 0 when every step held, 1 when not, 2 when refused, 130 if ended."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run(keep=options.keep, kubeconfig=options.kubeconfig, on_a_node=options.node)
    except RefusedError as refusal:
        print(f"demo: {refusal}", file=sys.stderr)
        return REFUSED
    except (BinariesMissingError, BuildError) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except (DemoError, ControlPlaneError):
        return 1  # the screen has told of it
    except KeyboardInterrupt:
        print("demo: ended before its time", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="The operator's whole job, once, on a real Kubernetes API and an emulated "
        "Amove API.",
    )
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    cluster = parser.add_mutually_exclusive_group()
    cluster.add_argument(
        "--node",
        action="store_true",
        help="with pods, on a node of our own: inside a box (python -m node run)",
    )
    cluster.add_argument(
        "--kubeconfig",
        type=_readable,
        metavar="FILE",
        help="use this running cluster (as its administrator) rather than one of our own",
    )
    return parser


def _readable(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not os.access(path, os.R_OK) or not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no readable file: write a kubeconfig's path")
    return path


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the demo like Ctrl-C: in order."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
