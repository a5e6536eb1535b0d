"""What came of each request: for the metrics, and a line of the log at DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amove_operator.amove.answers import Answer, Call, problem_of
from amove_operator.telemetry import one_line

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one request.

    ``outcome``: ``ok``, else the error's class. ``status``: the HTTP status, None where no answer
    came; ``code``: the service's own word for a refusal, as it wrote it.
    """

    call: str
    outcome: str
    seconds: float
    status: int | None = None
    code: str | None = None


Observer = Callable[[Sent], None]
"""Called after each request."""


def note_sent(call: Call[Any], outcome: str, seconds: float, answer: Answer | None) -> Sent:
    """What came of the request, once it is in the log."""
    status = answer.status if answer is not None else None
    code = problem_of(answer).code if answer is not None and outcome != "ok" else None
    shown = one_line(code) if code else "no code"
    _log.debug(
        "%s: %s in %.3f s, HTTP %s, %s", call.name, outcome, seconds, status or "none", shown
    )
    return Sent(call.name, outcome, seconds, status, code)
