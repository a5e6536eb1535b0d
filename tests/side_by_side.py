"""``python -m tests.side_by_side …``: all tests, in five runs of pytest at once, each with these
arguments.

Most tests that need a control plane wait most of the time: with three runs two cores were half
idle. Each run has a control plane of its own, since some tests take a cluster's fence away, or
confine its release. The first run is seen as it goes, the others when they have ended.

Coverage is counted in the run that needs next to no control plane. In the others it would cost each
of some 500 operators half as much again, to count what the tests of single parts run anyway;
``--cov`` counts it in all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = {
    "keys": ("tests/cluster/keys",),
    "buckets": ("tests/cluster/buckets",),
    "faults": ("tests/cluster/teams", "tests/faults"),
    "cluster": ("tests/cluster",),
    "rest": ("tests",),
}
"""By a name: folders. A later run leaves out what an earlier one has: so no folder is forgotten."""
COUNTED = ("rest",)
"""The runs with coverage where nobody asks for it."""
NO_TESTS = 5
"""pytest's exit status where none of its tests was chosen."""


@dataclass
class Run:
    """One pytest; ``output`` is where it writes, None for the terminal."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path | None


def start(name: str, arguments: list[str], output: Path | None) -> Run:
    """Start the tests of this name."""
    names = list(RUNS)
    earlier = [folder for other in names[: names.index(name)] for folder in RUNS[other]]
    command = [
        *(sys.executable, "-m", "pytest", *RUNS[name]),
        *(f"--ignore={folder}" for folder in earlier),
        *(("--cov", "--cov-report=") if name in COUNTED else ()),
        *("-o", f"cache_dir=.pytest_cache/{name}"),
        *arguments,
    ]
    # Each keeps a file of its own, which `coverage combine` finds.
    return started(name, command, output, COVERAGE_FILE=str(ROOT / f".coverage.{name}"))


def started(name: str, command: list[str], output: Path | None, **environ: str) -> Run:
    """A run of that command in the project's folder."""
    given = {**os.environ, **environ}
    if output is None:
        return Run(name, subprocess.Popen(command, cwd=ROOT, env=given), output)
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=given, stdout=file, stderr=subprocess.STDOUT
        )
    return Run(name, process, output)


def main() -> int:
    """0 when all runs passed. What each said is shown as a whole."""
    return all_passed(RUNS, lambda name, output: start(name, sys.argv[1:], output))


def all_passed(names: Iterable[str], begin: Callable[[str, Path | None], Run]) -> int:
    """Begin these runs and wait for all; 0 when they passed. The first writes to the terminal."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        first, *others = names
        runs = [begin(first, None)]
        runs += [begin(name, Path(folder) / name) for name in others]
        for run in runs:
            run.process.wait()
            if run.output is not None:
                sys.stdout.write(f"\n== {run.name}\n{run.output.read_text(errors='replace')}")
                sys.stdout.flush()
    failed = [run.name for run in runs if run.process.returncode not in (0, NO_TESTS)]
    told = f"FAILED: {', '.join(failed)}" if failed else "All passed"
    sys.stdout.write(f"\n== {told}, in {time.monotonic() - begun:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
