"""What all commands print by."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def plain(text: str) -> str:
    """What the service says must not drive a person's terminal."""
    return text if text.isprintable() else ascii(text)


def print_error(line: str) -> None:
    """A line for a person, beside what a pipe takes."""
    print(line, file=sys.stderr)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """A line for each row, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
