"""The pages that show example files show them as they are: those are the files that tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ("applications", "gitops-argocd")
PINS = {"go.mod", "go.sum", "package.json", "package-lock.json", "pom.xml", "Cargo.toml"}
"""What pins the libraries of an example: beside it, and not shown."""
SHOWN = re.compile(r"From \[(examples/[\w./-]+)\]\(\.\./\1\):\n\n```\w+\n(.*?)\n```\n", re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_files_that_it_names_as_they_are(page: str) -> None:
    shown = SHOWN.findall((ROOT / f"docs/{page}.md").read_text())
    assert shown
    for name, text in shown:
        assert text == (ROOT / name).read_text().rstrip("\n"), name


def test_every_example_application_is_on_the_page() -> None:
    named = {name for name, _ in SHOWN.findall((ROOT / "docs/applications.md").read_text())}
    files = (file for file in (ROOT / "examples/apps").rglob("*") if file.is_file())
    shown = {str(file.relative_to(ROOT)) for file in files if file.name not in PINS}
    assert shown == {name for name in named if name.startswith("examples/apps/")}


def test_five_languages_are_shown() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs/applications.md").read_text(), re.MULTILINE)
    assert headings[:5] == ["Python", "Go", "JavaScript", "Java", "Rust"]
