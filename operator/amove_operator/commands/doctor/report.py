"""What ``doctor`` says: a line for each check, or all of them as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from amove_operator import __version__
from amove_operator.commands.console import plain


class Level(StrEnum):
    """How a check ended. Only ``FAIL`` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do about it (empty where nothing is)."""

    check: str
    level: Level
    found: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """For a person: one line, whatever a server wrote into it."""
        remedy = f" To do: {self.remedy}." if self.remedy else ""
        said = f"{self.level:<8}{self.check:<13}{self.found.rstrip('.')}.{remedy}"
        return plain(" ".join(said.split("\n")))


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def warn(check: str, found: str, remedy: str) -> Finding:
    """Not as it should be, and no reason to fail."""
    return Finding(check, Level.WARN, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """The operator cannot do its work so."""
    return Finding(check, Level.FAIL, found, remedy)


def skipped(check: str, why: str) -> Finding:
    """Not looked at, since something before it failed."""
    return Finding(check, Level.SKIPPED, why)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Whether any check failed."""
    return any(one.level is Level.FAIL for one in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """All checks as one JSON object, for programs."""
    checks = [
        {"check": one.check, "status": one.level, "found": one.found, "remedy": one.remedy}
        for one in findings
    ]
    body = {"ok": not has_failed(findings), "version": __version__, "checks": checks}
    return json.dumps(body, indent=2)
