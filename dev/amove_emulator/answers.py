"""What goes over the wire: problem details, .NET dates, bodiless answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

JSON_TYPE: Final = "application/json; charset=utf-8"
PROBLEM_TYPE: Final = "application/problem+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer. An empty ``body`` goes out without a content type."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """An application error: becomes a 499 (docs/amove-api.md, "Errors")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class AuthenticationError(Exception):
    """Becomes a 401, or a 499 where ``Behaviour.auth_failure_code`` says so."""


def as_json(content: Any) -> Answer:
    return Answer(200, json.dumps(content, separators=(",", ":")).encode(), JSON_TYPE)


def problem(code: str, message: str) -> Answer:
    """A 499 with ValidationProblemDetails, its code repeated in the ``error-code`` header."""
    details = {"type": code, "status": 499, "errors": {code: [message]}}
    return Answer(499, json.dumps(details).encode(), PROBLEM_TYPE, {"error-code": code})


def dotnet_date(nanoseconds: int, style: str) -> str:
    """Ticks of 100 ns since the epoch as .NET prints a DateTime; see ``Behaviour.dates``."""
    if style == "minimum":
        return "0001-01-01T00:00:00"
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{rest // 100:07d}" + ("Z" if style == "zulu" else "")
