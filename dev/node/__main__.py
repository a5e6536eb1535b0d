"""``python -m node up|down|shell|forward|run|build|sizes``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from controlplane import ControlPlaneError, ensure_binaries, ensure_node_binaries
from controlplane.progress import to_stderr
from node.box import Box
from node.forward import forward
from node.images import ensure_images, ensure_operator
from node.packages import ensure_packages
from node.sizes import table
from node.standing import Standing, enter, first_process_below, hold, stand, stop


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: the command's, or 1 after saying what is wrong."""
    options = _parser().parse_args(argv)
    try:
        return _obey(options)
    except ControlPlaneError as failure:
        print(f"node: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def build() -> None:
    """Make all that is kept in the cache: programs by Go beside images by buildah."""
    with ThreadPoolExecutor(2) as pool:
        images = pool.submit(ensure_images, to_stderr)
        ensure_binaries()
        ensure_node_binaries()
        images.result()


def print_at_once(line: str) -> None:
    """Also to somebody who reads by a pipe."""
    print(line, flush=True)


def _obey(options: argparse.Namespace) -> int:
    match options.command:
        case "build":
            build()
        case "sizes":
            print(table(ensure_operator(to_stderr).archive), end="")
        case "run":
            build()
            with Box(ensure_packages(to_stderr)) as box:
                return box.run(options.program)
        case "up":
            build()
            stand(Standing(options.dir))
        case "hold":
            return hold(Standing(options.dir))
        case "shell":
            if options.keeper is not None:
                return enter(options.keeper, {}, options.program)
            state = Standing(options.dir).read()
            return enter(int(state["keeper"]), state["environ"], options.program)
        case "forward":
            forward(first_process_below(options.keeper), options.address, print_at_once)
        case "down":
            stop(Standing(options.dir))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m node",
        description="A Kubernetes node in namespaces of its own, with the operator's image",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("build", help="only make what is cached: programs and images")
    commands.add_parser("sizes", help="how large the parts of the operator's image are")
    run = commands.add_parser("run", help="run a program in an empty box, as make test-node does")
    run.add_argument("program", nargs="+")
    up = commands.add_parser("up", help="start a cluster with one node; return when it is Ready")
    down = commands.add_parser("down", help="end it")
    shell = commands.add_parser("shell", help="a shell, or a program, in its box")
    shell.add_argument("program", nargs="*")
    shell.add_argument("--keeper", type=int, metavar="PID", help="of the box that run made")
    way = commands.add_parser("forward", help="reach an address in the box that run made")
    way.add_argument("--keeper", type=int, metavar="PID", required=True)
    way.add_argument("address", metavar="IP:PORT")
    hold_it = commands.add_parser("hold")
    for command in (up, down, shell, hold_it):
        command.add_argument(
            "--dir", type=Path, default=Path(".node"), help="state folder (%(default)s)"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
