"""docs/security.md: each asset and each threat names the tests that show what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs/security.md").read_text()


@pytest.mark.parametrize(
    ("first", "columns"), [("asset", 4), ("a tenant, or an accident, tries", 3)]
)
def test_each_row_of_the_model_names_a_test(first: str, columns: int) -> None:
    """That tests of these names are there, test_docs_reference.py sees to."""
    table = PAGE.split(f"| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 4
    for row in table:
        cells = row.strip("|").split("|")
        assert len(cells) == columns, row
        assert re.search(r"`test_\w+`", cells[-1]), row
