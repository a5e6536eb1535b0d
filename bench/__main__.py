"""``python -m bench``: measure, and print the tables; --record writes them into the document."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import goals_table, recorded
from bench.processes import BenchError
from bench.run import Outcome, Run
from bench.scenarios import SCENARIOS
from controlplane import ControlPlaneError

_ROOT = Path(__file__).parents[1]
_DOCUMENT = _ROOT / "docs" / "benchmarks.md"


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(
        f"  {name:10} {one.count:6} {one.of}: {one.title}" for name, one in SCENARIOS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure the operator on a real control plane.\n\nscenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all of them")
    parser.add_argument(
        "--objects", type=int, metavar="N", help="N pairs of a bucket and a key, in each scenario"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="measure cold starts N times; the median counts"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"write the tables into {_DOCUMENT.name} as well"
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


def _commit() -> str:
    """The commit that was measured, and whether the tree was another."""
    described = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(described, capture_output=True, text=True, check=False).stdout.strip()


def _teller() -> Callable[[str], None]:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    return tell


def _measured(
    given: argparse.Namespace, wanted: Iterable[str], record: Callable[[str], None]
) -> tuple[str, bool]:
    """The table of goals, and below it one of each scenario; whether none failed.

    What is known so far is handed to ``record`` after each scenario: a run may be cut off.
    """
    small = f"Only {given.objects} of each, so this says that it works, and no more.\n\n"
    head = small if given.objects else ""
    tell, details = _teller(), ""
    figures: dict[str, float] = {}
    failed: list[str] = []
    for name in wanted:
        scenario = SCENARIOS[name]
        count, rounds = given.objects or scenario.count, given.rounds or scenario.rounds
        tell(f"{name}: {scenario.title}")
        began = time.monotonic()
        try:
            outcome = scenario.measure(Run(count, rounds, tell, given.profile))
        except (BenchError, ControlPlaneError) as error:  # the others may say something yet
            tell(f"{name} failed: {error}")
            outcome = Outcome({}, f"Failed: {error}\n")
            failed.append(name)
        figures |= outcome.figures
        heading = f"`{name}`: {scenario.title}; {count:,} {scenario.of}"
        heading += f", median of {rounds}" if rounds > 1 else ""
        details += f"\n{heading}; {time.monotonic() - began:.0f} s in all.\n\n{outcome.details}"
        record(head + goals_table(figures) + details)
    tell("done")
    return head + goals_table(figures) + details, not failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 a run failed, 2 wrong arguments."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := set(given.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; --help lists them")
    if any(number is not None and number < 1 for number in (given.objects, given.rounds)):
        parser.error("--objects, --rounds: write a number from 1")
    if given.profile is not None:
        given.profile.mkdir(parents=True, exist_ok=True)
    if given.record:
        recorded(_DOCUMENT.read_text(), "")  # fails now rather than after the run
    command = " ".join(["python -m bench", *(sys.argv[1:] if arguments is None else arguments)])
    caption = f"`{command}`, commit {_commit()}; {_machine()}.\n\n"

    def record(tables: str) -> None:
        if given.record:
            _DOCUMENT.write_text(recorded(_DOCUMENT.read_text(), caption + tables))

    tables, complete = _measured(given, given.scenarios or SCENARIOS, record)
    print(caption + tables, end="")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
