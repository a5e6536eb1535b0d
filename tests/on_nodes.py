"""``python -m tests.on_nodes …``: the tests that need a real node, each run with these arguments.

Two nodes at once, and the demo's.

They wait most of the time, for kubelets and probes: on one node, one after the other, they took
eleven minutes, of which the two cores were busy for three.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.side_by_side import Run, all_passed, started

_NODE = [sys.executable, "-m", "node", "run", "--"]
_PYTEST = [sys.executable, "-m", "pytest", "-m", "node and not long"]
FIRST = ("test_failover.py", "test_memory.py", "test_release.py")
"""Of tests/node, what one node is asked; the other has the rest."""


def start(name: str, arguments: list[str], output: Path | None) -> Run:
    """Start the tests of this name."""
    command = {
        "failover": [*_NODE, *_PYTEST, *(f"tests/node/{file}" for file in FIRST)],
        "use": [*_NODE, *_PYTEST, "tests/node", *(f"--ignore=tests/node/{file}" for file in FIRST)],
        "demo": [*_PYTEST, "tests/demo"],
    }[name]
    cache = ("-o", f"cache_dir=.pytest_cache/node-{name}")
    return started(name, [*command, *cache, *arguments], output)


if __name__ == "__main__":
    names = ("failover", "use", "demo")
    sys.exit(all_passed(names, lambda name, output: start(name, sys.argv[1:], output)))
