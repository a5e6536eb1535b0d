"""The operator, with the CPU seconds of its event loop's longest callback noted in a file.

``python -m bench.measured FILE run …`` is ``python -m amove_operator run …`` beside that.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from amove_operator.cli import main

_plain_run: Any = asyncio.Handle._run


class _Longest:
    seconds = 0.0


def _note_longest(file: Path) -> None:
    def run(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        _plain_run(handle)
        if (spent := time.thread_time() - began) > _Longest.seconds:
            _Longest.seconds = spent
            file.write_text(f"{spent}\n")

    asyncio.Handle._run = run  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    _note_longest(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
