"""``python -m figures [TITLE=]TREE …``: figures of each product tree, one column each, in Markdown.

To compare with an older commit, and to write the table into docs/architecture.md::

    git worktree add /tmp/old COMMIT
    python -m figures --record before=/tmp/old/operator/amove_operator today=operator/amove_operator
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from figures.counts import count
from figures.table import recorded, table
from figures.tree import Tree
from figures.walk import ENTRIES, Trip, walk

PRODUCT = "operator/amove_operator"
RECORD = Path("docs/architecture.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and record it if asked to."""
    options = _parser().parse_args(arguments)
    trees = [(title, Tree.read(path.resolve())) for title, path in options.trees]
    if options.route:
        for kind in ENTRIES:
            print(f"{kind}:", *walk(trees[-1][1], kind).route, sep="\n  ")
        return 0
    found = table([(title, count(tree), _walks(tree)) for title, tree in trees])
    print(found, end="")
    if options.record:
        RECORD.write_text(recorded(RECORD.read_text(), found))
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
        default=[(PRODUCT, Path(PRODUCT))],
        metavar="[TITLE=]TREE",
        help=f"the folder of a package (default: {PRODUCT})",
    )
    parser.add_argument("--record", action="store_true", help=f"write the table into {RECORD}")
    parser.add_argument(
        "--route", action="store_true", help="print the files of the last tree's walks, in order"
    )
    return parser


def _package(text: str) -> tuple[str, Path]:
    title, _, place = text.rpartition("=")
    path = Path(place)
    if not path.joinpath("__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{place} is no package: name the folder of its files")
    return title or place, path


if __name__ == "__main__":
    sys.exit(main())
