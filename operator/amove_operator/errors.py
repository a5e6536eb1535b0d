"""Every error this product raises, in one tree.

::

    OperatorError
    ├── SettingsError               a wrong setting or an unreadable file: exit 2
    ├── NotLeading                  the Lease is lost or too old to act on: nothing was sent
    ├── Conflict                    Kubernetes: the object changed since we read it
    ├── KubeRefused                 Kubernetes answered 4xx (forbidden, invalid, admission)
    ├── KubeUnavailable             Kubernetes could not be reached or answered 429/5xx
    │   ├── KubeInternalError       … a 500 in its own words: what it asked for us failed
    │   └── HistoryWentBack         … less than it had shown before: the process ends
    └── ApiError                    a call to the Amove API that did not succeed
        ├── Rejected                499: the service understood and refused
        │   ├── NotFound            … a bucket (or record) that does not exist
        │   ├── AlreadyExists       … a bucket of that name exists
        │   └── NotEmpty            … a bucket still has objects
        ├── AuthFailed              401, or 499 AUTH/TOKEN/SESSION…: our credentials
        ├── Paused                  the breaker is open, or a Retry-After runs: nothing was sent
        ├── Outdated                what the call was decided by changed meanwhile: nothing was sent
        └── Unavailable             no usable answer
            ├── Throttled           429/503 with or without Retry-After
            ├── ServerFault         any other 5xx
            ├── TransportFault      time-out, dropped connection, a proxy's page
            ├── UnreadableAnswer    a 200 whose body does not say what it must
            └── IncompleteListing   a key list that cannot be proved complete

Three questions are answered by class, not by text: is it an *absence* (only
:class:`NotFound`), may the call have had an *effect* (``maybe_done``), and is it worth a
*retry* (``retryable``). Which answer raises which is in docs/amove-api.md, "Errors".
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of everything raised on purpose."""


class SettingsError(OperatorError):
    """A setting is wrong or missing. The text names the variable and what to write instead."""


class NotLeading(OperatorError):
    """This process may not write now: it never had the Lease, or cannot prove that it still has."""


class Conflict(OperatorError):
    """Kubernetes refused a write because the object is not the one we read."""


class KubeRefused(OperatorError):
    """Kubernetes refused a request for good until something changes (403, 422, admission).

    ``status`` is the HTTP status; the text is the server's message.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class KubeUnavailable(OperatorError):
    """Kubernetes did not answer, or answered 429 or 5xx: try again later."""


class KubeInternalError(KubeUnavailable):
    """The API server answered this one request with its own 500, such as for a dead webhook.

    Others may well be answered: the object can say so.
    """


class HistoryWentBack(KubeUnavailable):
    """The API server shows less than it had shown before: etcd was restored from a backup."""

    def __init__(self, what: str, version: str, before: object) -> None:
        super().__init__(
            f"the API server's history went back: {what} is of version {version}, and {before} was "
            "seen before"
        )


class ApiError(OperatorError):
    """A call to the Amove API that did not succeed.

    ``retryable``: the same call may succeed later without anybody's doing.
    ``maybe_done``: the call may have had its effect although no success was reported.
    ``repeatable``: the very call may be sent again, as it is, without asking anything first.
    """

    retryable = True
    maybe_done = False
    repeatable = False

    def __init__(self, message: str, *, maybe_done: bool | None = None) -> None:
        super().__init__(message)
        if maybe_done is not None:
            self.maybe_done = maybe_done


class Rejected(ApiError):
    """Status 499 with a code: the service refused. ``code`` and ``detail`` are its words.

    A refused create may still have done half of its work, for a key and a bucket are each made
    in several steps: there ``maybe_done`` is set.
    """

    retryable = False

    def __init__(self, code: str, detail: str, *, maybe_done: bool | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code, maybe_done=maybe_done)
        self.code = code
        self.detail = detail


class NotFound(Rejected):
    """The one proof that a bucket is absent."""


class AlreadyExists(Rejected):
    """A bucket of this name exists already, and this call did not make it."""


class NotEmpty(Rejected):
    """The bucket holds objects; it is never emptied by us."""


class AuthFailed(ApiError):
    """The service does not accept our credentials. Says nothing about any bucket or key.

    ``code``: the service's own word for why, in small letters; None where it has none (a 401).
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Paused(ApiError):
    """All calls are held back, by the breaker or a long Retry-After; this one was not sent.

    ``credentials``: because the service refuses ours, not because it is down. ``retry_after``:
    seconds, where the service named them.
    """

    def __init__(
        self, message: str, *, credentials: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.credentials = credentials
        self.retry_after = retry_after


class Outdated(ApiError):
    """The bucket is not as it was observed when the call was decided on; it was not sent."""


class Unavailable(ApiError):
    """No usable answer. Says nothing about any bucket or key.

    ``retry_after`` is in seconds; ``status`` is the HTTP status, None where none came.
    """

    def __init__(
        self,
        message: str,
        *,
        maybe_done: bool | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, maybe_done=maybe_done)
        self.retry_after = retry_after
        self.status = status


class Throttled(Unavailable):
    """429 or 503: slow down. ``retry_after`` in seconds where the service named a time."""


class ServerFault(Unavailable):
    """A 5xx without usable body; a write may have been done."""

    maybe_done = True


class TransportFault(Unavailable):
    """Time-out, dropped connection, or an answer that is not the service's own."""

    maybe_done = True


class UnreadableAnswer(Unavailable):
    """Success was reported, but the body does not say it; a write may have been done."""

    maybe_done = True


class IncompleteListing(Unavailable):
    """The pages of a key list do not add up; it must not be used to conclude an absence."""
