"""Logs as JSON (one object a line) or for the console, to stderr, with credentials blotted out.

Every text is made harmless before it is written: what tenants name their objects can neither
forge a line nor drive a terminal, and a log call with a mistake in it still gives one line.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, Literal

from amove_operator.telemetry.redaction import MASK, is_secret_name, redact

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039

# kubernetes' REST client logs the bodies it reads at DEBUG, and those are Secrets; httpx logs
# each request at INFO, Kopf each event that it hands over, and each end of a task of its own with
# its traceback, where app/watches.py has one line; the others would drown everything else.
QUIETEST: Mapping[str, int] = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.INFO,
    "client": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "kopf._core.reactor.orchestration": logging.CRITICAL,
    "kopf._core.reactor.running": logging.CRITICAL,
    "kopf.objects": logging.WARNING,
    "kubernetes": logging.INFO,
    "urllib3": logging.WARNING,
}

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
_NOT_SHOWN = _STANDARD | {"settings", "k8s_skip", "k8s_ref"}  # the latter are Kopf's own
_OBJECT_FIELDS = ("kind", "namespace", "name", "uid")
_DEEPEST = 6


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Give every line logged within, in this task, these fields (kind, namespace, name, uid …)."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def reconcile_context(kind: str, namespace: str, name: str) -> Iterator[None]:
    """Give every line of one pass over an object its names, and an id of the pass itself.

    By the id, two passes over one object can be told apart, and what a library logs meanwhile
    belongs to one of them.
    """
    with log_context(kind=kind, namespace=namespace, name=name, reconcile=secrets.token_hex(4)):
        yield


def configure_logging(
    log_format: Literal["json", "console"], level: int | str, *, stream: IO[str] | None = None
) -> None:
    """Send all logs of this process to ``stream`` (default stderr); the last call counts.

    ``level`` as in ``logging``; some libraries stay quieter than it (``QUIETEST``).
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    handler.addFilter(_loud_enough)
    # Any other handler goes: it would print the same lines unredacted.
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name, quietest in QUIETEST.items():
        logging.getLogger(name).setLevel(max(quietest, logging.getLogger().level))
    logging.captureWarnings(capture=True)
    # Else logging prints the arguments of a failed write to stderr as they are.
    logging.raiseExceptions = False


def _loud_enough(record: logging.LogRecord) -> bool:
    """Hold the limits of QUIETEST also where a library lowers its loggers' levels itself."""
    family = record.name.partition(".")[0]
    return record.levelno >= QUIETEST.get(record.name, QUIETEST.get(family, logging.NOTSET))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, msg, exception, then context and extras."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end. ASCII only, so nothing in it can break the line."""
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": redact(_message(record)),
        }
        if trace := _trace(record, self):
            line["exception"] = redact(trace)
        for name, value in _fields(record).items():
            line.setdefault(redact(name), MASK if is_secret_name(name) else _plain(value))
        return json.dumps(line)


class ConsoleFormatter(logging.Formatter):
    """For people: ``time LEVEL logger [kind namespace/name] message field=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows it, indented so that it cannot pass for further lines."""
        fields = _fields(record)
        kind, namespace, name, _uid = (fields.pop(field, None) for field in _OBJECT_FIELDS)
        parts = [_timestamp(record), f"{record.levelname:<7}", record.name]
        if name is not None:
            path = f"{_text(namespace)}/{_text(name)}" if namespace else _text(name)
            parts.append(f"[{_text(kind)} {path}]" if kind else f"[{path}]")
        parts.append(_message(record))
        for field, value in fields.items():
            shown = MASK if is_secret_name(field) else _plain(value)
            parts.append(f"{field}={shown if isinstance(shown, str) else json.dumps(shown)}")
        trace = redact(_trace(record, self)).split("\n")
        indented = [f"    | {_escaped(row)}" for row in trace if row]
        return "\n".join([_escaped(redact(" ".join(parts))), *indented])


def _timestamp(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.created % 1 * 1000):03d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # a mistake in a log call must not lose the line
        return f"{_text(record.msg)} (arguments do not fit: {type(error).__name__})"


def _trace(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    """Traceback and stack of the record; not cached in it, where others could print it raw."""
    trace = record.exc_text
    if record.exc_info:
        try:
            trace = formatter.formatException(record.exc_info)
        except Exception as error:
            trace = f"(traceback cannot be shown: {type(error).__name__})"
    return "\n".join(filter(None, (trace, record.stack_info)))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Context, Kopf's reference to its object, and ``extra``; the more specific wins."""
    fields = dict(_context.get())
    reference = getattr(record, "k8s_ref", None)
    if isinstance(reference, Mapping):
        fields |= {name: reference[name] for name in _OBJECT_FIELDS if reference.get(name)}
    given = vars(record).items()
    return fields | {name: value for name, value in given if name not in _NOT_SHOWN}


def _plain(value: object, depth: int = 0) -> Any:
    """``value`` as JSON can hold it, with its texts and secret fields blotted out."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {
            redact(_text(name)): MASK if is_secret_name(_text(name)) else _plain(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float) and value - value == 0:  # JSON knows neither NaN nor infinity
        return value
    return redact(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


def _escaped(text: str) -> str:
    """``text`` with line breaks and other control or formatting characters as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
