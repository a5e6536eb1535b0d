"""Lines that tell a waiting person what is going on."""

from __future__ import annotations

import sys
from collections.abc import Callable

Finish = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Show ``line`` at once. stdout stays free for what a shell evaluates."""
    print(f"controlplane: {line}", file=sys.stderr, flush=True)
