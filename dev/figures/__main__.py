"""``python -m figures [TREE ...]``: figures of each product tree, one column each, in Markdown.

To compare with an older commit: ``git worktree add /tmp/before COMMIT``, then
``python -m figures /tmp/before/operator/amove_operator operator/amove_operator``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from figures.counts import count
from figures.table import table
from figures.tree import Tree
from figures.walk import ENTRIES, Trip, walk


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    options = _parser().parse_args(arguments)
    trees = [Tree.read(path.resolve()) for path in options.trees]
    if options.route:
        for kind in ENTRIES:
            print(f"{kind}:", *walk(trees[-1], kind).route, sep="\n  ")
        return 0
    columns = [
        (str(path), count(tree), _walks(tree))
        for path, tree in zip(options.trees, trees, strict=True)
    ]
    print(table(columns), end="")
    return 0


def _walks(tree: Tree) -> dict[str, Trip]:
    whole = {f"{kind}, its parts left out": walk(tree, kind, parts=False) for kind in ENTRIES}
    return {kind: walk(tree, kind) for kind in ENTRIES} | whole


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m figures", description="Figures of a product tree, one column for each tree."
    )
    parser.add_argument(
        "trees",
        nargs="*",
        type=_package,
        default=[Path("operator/amove_operator")],
        metavar="TREE",
        help="the folder of a package (default: operator/amove_operator)",
    )
    parser.add_argument(
        "--route", action="store_true", help="print the files of the last tree's walks, in order"
    )
    return parser


def _package(text: str) -> Path:
    if not (path := Path(text)).joinpath("__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} is no package: name the folder with __init__.py")
    return path


if __name__ == "__main__":
    sys.exit(main())
