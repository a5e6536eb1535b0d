"""``python -m controlplane up|down|env|build``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from controlplane.background import State, run_in_background, run_in_foreground, stop_background
from controlplane.binaries import ensure_binaries
from controlplane.errors import ControlPlaneError


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the exit status: 0, or 1 after saying what is wrong."""
    options = _parser().parse_args(argv)
    try:
        _obey(options)
    except ControlPlaneError as failure:
        print(f"controlplane: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _obey(options: argparse.Namespace) -> None:
    match options.command:
        case "build":
            print(ensure_binaries())
        case "env":
            print(State(options.dir).exports)
        case "down":
            stop_background(State(options.dir))
        case "up" if options.foreground:
            run_in_foreground(State(options.dir))
        case "up":
            run_in_background(State(options.dir))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controlplane",
        description="etcd, kube-apiserver and kube-controller-manager on 127.0.0.1",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|env|build")
    up = commands.add_parser("up", help="start it in the background; return when it is ready")
    up.add_argument("--foreground", action="store_true", help="stay; a signal ends it")
    down = commands.add_parser("down", help="stop it")
    env = commands.add_parser("env", help='print shell exports: eval "$(python -m … env)"')
    commands.add_parser("build", help="only build the programs; print their folder")
    for command in (up, down, env):
        command.add_argument(
            "--dir", type=Path, default=Path(".controlplane"), help="state folder (%(default)s)"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
