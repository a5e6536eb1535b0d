"""``python -m bench``: measure, and print the table; --record writes it into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import recorded, table
from bench.processes import BenchError
from bench.scenarios import TITLES, Run, measure
from controlplane import ControlPlaneError

_DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:12} {title}" for name, title in TITLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure the operator on a real control plane.\n\nscenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all of them")
    parser.add_argument(
        "--objects", type=int, default=1000, metavar="N", help="buckets, and as many keys"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"write the table into {_DOCUMENT.name} as well"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="run the operator under cProfile; its files go there (and the figures are worthless)",
    )
    return parser


def _machine() -> str:
    """One line: when, on what, and how busy it was with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} CPUs, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, load average before {os.getloadavg()[0]:.1f}"
    )


def _teller() -> Callable[[str], None]:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    return tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 a run failed, 2 wrong arguments."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := set(given.scenarios) - set(TITLES):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; --help lists them")
    if given.objects < 1:
        parser.error("--objects: write a number from 1")
    if given.profile is not None:
        given.profile.mkdir(parents=True, exist_ok=True)
    if given.record:
        recorded(_DOCUMENT.read_text(), "")  # fails now rather than after the run
    command = " ".join(["python -m bench", *(sys.argv[1:] if arguments is None else arguments)])
    caption = f"`{command}`: {given.objects} buckets, {given.objects} keys; {_machine()}.\n\n"
    tell = _teller()
    try:
        run = Run(given.objects, tell, given.profile)
        rows = list(measure(run, given.scenarios or list(TITLES)))
    except (BenchError, ControlPlaneError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    tell("done")
    content = caption + table(rows, TITLES)
    print(content, end="")
    if given.record:
        _DOCUMENT.write_text(recorded(_DOCUMENT.read_text(), content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
