"""What an HTTP answer means: nothing wrong, or which error of the tree.

Pure: a status, headers and a body in, an :class:`ApiError` or None out; nothing else is ever
raised, whatever a server or a proxy sends. Which answer means what, and why, is the table in
docs/amove-api.md, "Errors": a plain 404, for instance, comes from a proxy and proves no absence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from amove_operator import errors
from amove_operator.clock import parse_http_date
from amove_operator.telemetry import one_line

T = TypeVar("T")
Failure = TypeVar("Failure", bound=errors.Unavailable)

LONGEST_RETRY_AFTER = 300.0
_DONE = frozenset({200, 201, 204})
_AUTH_CODES = frozenset({"auth", "token", "session", "session_maxout", "inactive_user"})
_VAGUE_CODES = frozenset({"global", "default"})
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9 _.-]{0,63}")
_EXISTS = re.compile(
    r"\balready[\s_-]+(exist|own|taken|in use)|alreadyexist|alreadyown|\bname is not available"
)
_NOT_EMPTY = re.compile(r"\b(not|isn't)[\s_-]+empty\b|notempty")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One of the API's calls: how it is sent and how its answer is read.

    ``writes``: it changes something. ``repeatable``: sending it twice does what once does.
    ``read`` turns the body of a success into the result; it may raise ValidationError.
    ``of_login``: it goes to the auth host, without a bearer.
    """

    name: str
    method: str
    path: str
    read: Callable[[bytes], T]
    writes: bool = False
    repeatable: bool = True
    gives_secret: bool = False
    of_login: bool = False

    def failed(self, kind: type[Failure], why: str, **more: Any) -> Failure:
        """The error of this call that is no answer of the service. A write may have been done."""
        return kind(f"{self.name}: {why}", **{"maybe_done": self.writes, **more})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, its body read to the end. ``headers`` has lower-case names.

    ``host``: whose it is, for a person.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    host: str = "the host"

    @property
    def is_page(self) -> bool:
        """Whether this is a page for people: from a proxy or portal, never from the service."""
        kind = self.headers.get("content-type", "").lower()
        starts = self.body.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1]
        return kind.startswith(("text/html", "application/xhtml")) or starts == b"<"


class Problem(NamedTuple):
    """The code and message of a 499; ``code`` is None where nobody names one."""

    code: str | None
    message: str


def read_success(call: Call[T], answer: Answer) -> T:
    """The result in a successful answer.

    Raises UnreadableAnswer, whose text shows nothing of the body: it may hold a secret; and
    TransportFault for a page, which is not the service's own.
    """
    if answer.is_page:
        page = "but a page instead of the service's own answer"
        why = f"status {answer.status} of {answer.host}, {page}"
        raise call.failed(errors.TransportFault, why, status=answer.status)
    try:
        return call.read(answer.body.removeprefix(_BYTE_ORDER_MARK))
    except ValidationError as error:
        # Where and what kind only: pydantic's own text may quote the input.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        why = f"{place}: {first['type']}" if place else first["type"]
    # Raised out here: an error raised within "except" would carry the ValidationError along.
    why = f"status {answer.status}, but the answer cannot be read: {why}"
    raise call.failed(errors.UnreadableAnswer, why, status=answer.status)


def fault_of(call: Call[Any], answer: Answer, *, now: float) -> errors.ApiError | None:
    """The error that ``answer`` stands for; None for a success.

    Problem details are the error that they tell, also in the body of a 200. ``now`` is seconds
    since the epoch (for a Retry-After date).
    """
    match answer.status:
        case status if status in _DONE:
            meant = _problem_status(answer)
            return None if meant is None else fault_of(call, replace(answer, status=meant), now=now)
        case 401:
            return errors.AuthFailed(f"{call.name}: 401, the credentials are not accepted")
        # The service's own word, and the only status that can say "there is no such bucket".
        case 499:
            return _application_error(call, answer)
        case 429 | 503 as status:
            return call.failed(
                errors.Throttled,
                f"the service asks to slow down ({status})",
                # A 429 is said at the door. A 503 can come from a proxy whose upstream had the
                # request already: the key that was asked for may exist.
                maybe_done=call.writes and status == 503,
                retry_after=retry_after(answer.headers, now=now),
                status=status,
            )
        case status if 500 <= status <= 599:
            return call.failed(errors.ServerFault, f"the service failed ({status})", status=status)
        # 302 to a login page, 403 of a firewall, 404 of a proxy with the wrong path: were such a
        # 404 an absence, every bucket would be created again.
        case _:
            return _foreign(call, answer)


def _foreign(call: Call[Any], answer: Answer) -> errors.TransportFault:
    hint = "check AMOVE_API_URL and the proxies on the way"
    if b"<Error>" in answer.body[:512]:
        hint = "it speaks S3: name the Amove API in AMOVE_API_URL, the S3 host in AMOVE_STORAGE_DN"
    why = f"status {answer.status} of {answer.host} is not an answer of the service itself; {hint}"
    return call.failed(errors.TransportFault, why, status=answer.status)


def _application_error(call: Call[Any], answer: Answer) -> errors.ApiError:
    problem = problem_of(answer)
    if problem.code is None:
        return _foreign(call, answer)
    message = one_line(problem.message, may_hold_secret=call.gives_secret)
    code = one_line(problem.code)
    if code.casefold() in _AUTH_CODES:
        said = f"{call.name}: 499 {code}: {message}".rstrip(": ")
        return errors.AuthFailed(said, code=code.casefold())
    kind = _refusal(call.name, code.casefold(), problem.message.casefold())
    # A plain refusal of a create does not say how far the service had got: a key is written to two
    # stores, and the second one may be what refused.
    half_done = kind is errors.Rejected and call.writes and not call.repeatable
    return kind(code, message, maybe_done=half_done)


def _refusal(call: str, code: str, message: str) -> type[errors.Rejected]:
    """The class of a refusal; ``code`` and ``message`` are case-folded."""
    if code == "not_found" or (code in _VAGUE_CODES and "not found" in message):
        return errors.NotFound
    if call == "create_bucket" and (code == "duplicate" or _EXISTS.search(f"{code} {message}")):
        return errors.AlreadyExists
    if call == "delete_bucket" and _NOT_EMPTY.search(f"{code.replace('_', ' ')} {message}"):
        return errors.NotEmpty
    return errors.Rejected


def problem_of(answer: Answer) -> Problem:
    """Code and message of a 499: the code from the header, else ``type``, else the first error.

    ``{"type": "about:blank", "errors": {"COST": ["No public buckets."]}}`` has the code COST:
    neither ``about:blank`` nor a link to an RFC is one.
    """
    body = _object(answer.body)
    listed = body.get("errors")
    by_code: dict[str, Any] = listed if isinstance(listed, dict) else {}
    named = (answer.headers.get("error-code"), body.get("type"), next(iter(by_code), None))
    stripped = (text.strip() for text in named if isinstance(text, str))
    texts = [text for given in by_code.values() for text in _texts(given)]
    texts = texts or _texts(body.get("detail")) or _texts(body.get("title"))
    return Problem(next(filter(_CODE.fullmatch, stripped), None), " ".join(texts))


def _problem_status(answer: Answer) -> int | None:
    """The HTTP status that problem details in the body tell, 499 if none; None without such.

    ``{"type": "DB_DELETE", "status": 499, "errors": {"DB_DELETE": ["Try again."]}}`` in a 200 to
    ``delete_storage_key`` says that nothing was deleted: believed done, the key would live on.
    """
    body = _object(answer.body)
    status = body.get("status")
    meant = status if type(status) is int and 400 <= status <= 599 else None
    described = meant is not None and any(name in body for name in ("type", "title", "detail"))
    typed = answer.headers.get("content-type", "").lower().startswith("application/problem+json")
    return (meant or 499) if described or typed or body.get("errors") else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body.removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _texts(given: object) -> list[str]:
    listed = given if isinstance(given, list) else [given]
    return [text for text in listed if isinstance(text, str) and text]


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to wait by ``Retry-After``, as a number or as an HTTP date; at most 300.

    A date is held against the answer's own Date header where there is one, so that a local clock
    that is wrong does no harm; else against ``now`` (seconds since the epoch).
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return LONGEST_RETRY_AFTER if len(text) > 6 else min(float(text), LONGEST_RETRY_AFTER)
    moment = parse_http_date(text)
    if moment is None:
        return None
    sent = parse_http_date(headers.get("date"))
    return min(max(moment - (now if sent is None else sent), 0.0), LONGEST_RETRY_AFTER)
