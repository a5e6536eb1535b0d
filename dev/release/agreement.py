"""Whether all that says a version says the same one, and whether the tree is what was tagged."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from release.errors import ReleaseError

CHART = "deploy/helm/amove-operator"
# They say how to build the image: the chart asks for the tag that is its own version.
PAGES = ("README.md", "docs/install.md")
_LABEL = re.compile(r'org\.opencontainers\.image\.version="([^"]*)"')
_TAG = re.compile(r"docker build --tag <repository>:(\S+)")
_INIT = re.compile(r'^__version__ = "([^"]*)"', re.MULTILINE)
_HEADING = re.compile(r"^## \[?([^\]\s]+)\]?(?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


@dataclass(frozen=True)
class Sources:
    """What the files and git say.

    ``versions``: place → version, the package's own first. ``dated``: version → whether its section
    in CHANGELOG.md has a date. ``entries``: lines that wait under "Unreleased" there. ``tags``:
    those of the commit. ``changed``: files that differ from it. ``chart``: Chart.yaml.
    """

    versions: dict[str, str]
    dated: dict[str, bool]
    entries: int
    tags: tuple[str, ...]
    changed: tuple[str, ...]
    chart: dict[str, Any]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Raises ReleaseError where this is no repository of git, and FileNotFoundError."""
        changelog = (root / "CHANGELOG.md").read_text()
        unreleased = changelog.partition("\n## Unreleased")[2].partition("\n## ")[0]
        return cls(
            versions=dict(versions_in(root)),
            dated={name: bool(date) for name, date in _HEADING.findall(changelog)},
            entries=len(re.findall(r"^- ", unreleased, re.MULTILINE)),
            tags=tuple(git(root, "tag", "--points-at", "HEAD").split()),
            changed=tuple(git(root, "status", "--porcelain").splitlines()),
            chart=_chart(root),
        )

    @property
    def version(self) -> str:
        return next(iter(self.versions.values()))

    def disagreements(self) -> Iterator[str]:
        """A sentence for each place that says another version than the package."""
        first = next(iter(self.versions))
        for place, version in self.versions.items():
            if version != self.version:
                yield (
                    f"{place} says {version or 'nothing'}, and {first} {self.version}: "
                    f"write {self.version} there"
                )

    def unfinished(self) -> Iterator[str]:
        """A sentence for each thing that a rehearsal may lack and a release may not."""
        version, tag = self.version, f"v{self.version}"
        heading = f'"## {version} - <date>"'
        if version not in self.dated:
            yield f"CHANGELOG.md has no section {heading}: write it above the changes of {version}"
        elif not self.dated[version]:
            yield f"CHANGELOG.md has no date for {version}: write {heading}"
        if self.entries:
            lines = f"{self.entries} lines under Unreleased"
            yield f"CHANGELOG.md has {lines}: move them into the section of {version}"
        yield from _unfinished_chart(self.chart)
        if tag not in self.tags:
            yield f"the commit has no tag {tag}: git tag --sign {tag}"
        if self.changed:
            names = ", ".join(line[3:] for line in self.changed[:5])
            yield f"the tree is not what was committed ({names}): commit it, or put it away"


def git(root: Path, *arguments: str) -> str:
    """What git prints about the repository. Raises ReleaseError in git's words."""
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ReleaseError(
            f"a release is made of a commit, in git's repository: {done.stderr.strip()}"
        )
    return done.stdout


def versions_in(root: Path) -> Iterator[tuple[str, str]]:
    """Each place that says the version, and what it says; the package's own first."""
    yield (
        "pyproject.toml",
        tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"],
    )
    yield "amove_operator.__version__", _found(_INIT, root / "operator/amove_operator/__init__.py")
    chart = _chart(root)
    yield "version in Chart.yaml", str(chart["version"])
    yield "appVersion in Chart.yaml", str(chart["appVersion"])
    yield "the image's label in the Dockerfile", _found(_LABEL, root / "Dockerfile")
    for page in PAGES:
        yield f"docker build in {page}", _found(_TAG, root / page)


def _unfinished_chart(chart: dict[str, Any]) -> Iterator[str]:
    if not any(each.get("email") for each in chart.get("maintainers") or []):
        yield (
            "Chart.yaml has no maintainer's address, and SECURITY.md has reports sent there: "
            "write one as email under maintainers"
        )
    if chart.get("home") in (chart.get("sources") or [chart.get("home")]):
        yield (
            "sources in Chart.yaml is not where the project's repository is, and the image's label "
            "says the same: write its address there"
        )


def _chart(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((root / CHART / "Chart.yaml").read_text())
    return found


def _found(pattern: re.Pattern[str], path: Path) -> str:
    found = pattern.search(path.read_text())
    return found[1] if found else ""
