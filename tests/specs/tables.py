"""The tables of this folder, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from amove_operator.models.shared import API_VERSION

SPECS = Path(__file__).parent
PLAIN_KEY = {"bucketRefs": [{"name": "photos"}], "permission": "Read"}

Manifest = dict[str, Any]


def manifest(kind: str, name: str, spec: dict[str, Any] | None) -> Manifest:
    """An object of that kind; ``None``: without a spec."""
    whole: Manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    return whole if spec is None else whole | {"spec": spec}


class Row(NamedTuple):
    """A line of a table of specs; ``refused`` is the field to blame."""

    it: str
    written: Manifest
    refused: str | None


def rows(file: str, kind: str) -> Iterator[Row]:
    """A table of specs."""
    table = yaml.safe_load((SPECS / file).read_text(encoding="utf-8"))
    for number, row in enumerate(table):
        spec = row["spec"] if "spec" in row else PLAIN_KEY | row["adds"]
        written = manifest(kind, row.get("name", f"row-{number}"), spec)
        yield Row(row["it"], written, row.get("refused"))


ROWS = [*rows("buckets.yaml", "AmoveBucket"), *rows("keys.yaml", "AmoveStorageKey")]
