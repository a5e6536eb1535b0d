"""One mapping from what Kubernetes answers to our errors, and what their texts may say."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from amove_operator.errors import (
    Conflict,
    KubeInternalError,
    KubeRefused,
    KubeUnavailable,
    OperatorError,
)
from amove_operator.kube.nesting import read_answer
from amove_operator.telemetry.redaction import mask_values

MAX_TEXT = 1024
# The server's words around those of a webhook, and of a ValidatingAdmissionPolicy.
_DENIALS = ("denied the request", "denied request")


class NamespaceTerminating(KubeRefused):
    """Nothing can be created in this namespace any more: it is being deleted, or gone."""


class Gone(KubeRefused):
    """A 404 or 410 of the API server itself about an object (or a list's position) that is gone.

    ``named``: the object that its Status names, if any.
    """

    def __init__(self, message: str, *, status: int, named: str = "") -> None:
        super().__init__(message, status=status)
        self.named = named


class NotServed(KubeUnavailable):
    """A 404 that names no object: the resource's type is not served, or a proxy answered."""


def read_json(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in ``raw``; None for anything else (a proxy's page)."""
    try:
        body = read_answer(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def failure(status: int, raw: bytes, *, values: Sequence[str] = ()) -> OperatorError:
    """The error for an answer that is not a success.

    ``values`` are the texts of the Secret that was sent: what an admission webhook echoes of
    them is masked. A 404 speaks of an absence only when the API server names the object: the
    plain "404 page not found" of an unserved resource, or a proxy's, does not. A webhook or policy
    chooses the code of its denial: a 404 of its would speak of no absence, a 401 of no token.
    """
    body = read_json(raw)
    answer = body if body is not None and body.get("kind") == "Status" else None
    text = _text(status, answer, values)
    if answer is not None and _is_denial(answer):
        return KubeRefused(text, status=status)
    named = str(((answer or {}).get("details") or {}).get("name") or "")
    if status == 404 and not named:
        return NotServed(text)
    if answer is not None and status == 500:
        return KubeInternalError(text)
    if answer is None or status < 400 or status in (401, 408, 429) or status >= 500:
        return KubeUnavailable(text)
    causes = (answer.get("details") or {}).get("causes") or ()
    # Another object of this name: its uid is compared like a field that nobody may change.
    if status == 409 or any(cause.get("field") == "metadata.uid" for cause in causes):
        return Conflict(text)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceTerminating(text, status=status)
    if status in (404, 410):
        return Gone(text, status=status, named=named)
    return KubeRefused(text, status=status)


def is_failed_test(status: int, raw: bytes) -> bool:
    """Whether a JSON patch was refused because one of its ``test`` operations failed.

    The server says 422 with empty details; a rule that the result broke names its causes
    (docs/kubernetes.md, "Writes and their refusals").
    """
    body = read_json(raw) or {}
    empty = body.get("kind") == "Status" and not body.get("details")
    return status == 422 and empty and not _is_denial(body)


def _is_denial(answer: Mapping[str, Any]) -> bool:
    """Whether a webhook or an admission policy denied the request."""
    return any(words in str(answer.get("message")) for words in _DENIALS)


def _text(status: int, answer: Mapping[str, Any] | None, values: Sequence[str]) -> str:
    if answer is None:
        return f"HTTP {status} without a Kubernetes status: not an answer of the API server"
    message = str(answer.get("message") or answer.get("reason") or "no reason given")
    # Cut before it is masked too: a webhook may echo a megabyte.
    shown = mask_values(message[: 4 * MAX_TEXT], values)[:MAX_TEXT]
    return f"{shown} (HTTP {status})"


def secret_texts(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Every form in which a value of a Secret manifest may be echoed: plain and base64."""
    encoded = [str(value) for value in (manifest.get("data") or {}).values() if value]
    plain = [str(value) for value in (manifest.get("stringData") or {}).values() if value]
    encoded += [base64.b64encode(value.encode()).decode() for value in plain]
    plain += [decoded for value in encoded if (decoded := _decoded(value))]
    return tuple(dict.fromkeys(plain + encoded))


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return ""
