"""What is kept of an object that a tenant wrote: only what is acted on, and within bounds. Pure.

Nothing that one namespace writes may cost more than its own size: an object is measured before
its spec is read, and one that is too large keeps its identity, its policies and its status.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from amove_operator import models
from amove_operator.core.conditions import Conclusion, stalled, unsynced
from amove_operator.core.policy import invalid
from amove_operator.core.reasons import Reason
from amove_operator.models.refs import Kind

Object = models.AmoveBucket | models.AmoveStorageKey
Seen = TypeVar("Seen", models.AmoveBucket, models.AmoveStorageKey)
MAX_OBJECT_BYTES = 512 * 1024
_MOST_FAULTS = 8
_WITHOUT_REFERENCES = 2  # of marshal's formats the last that writes out each text each time

# What says which bucket or Secret it is, and what is to become of it: read even where the rest of
# a spec cannot be. A policy that is there and cannot be read counts as the one that keeps.
_IDENTITY = {
    Kind.BUCKET: ("bucketName", "cloudAccountId", "deletionPolicy", "managementPolicy"),
    Kind.KEY: (
        "permission",
        "cloudAccountId",
        "deletionPolicy",
        "rotation.gracePeriod",
        "secret.name",
        "secret.type",
    ),
}
_KEEPING = {"deletionPolicy": "Retain", "managementPolicy": "Observe"}

# What each kind is parsed by, and the rules of its spec that no schema can say.
_PARTS: dict[Kind, tuple[Any, Any, Any, Callable[[str, Any], list[str]]]] = {
    Kind.BUCKET: (
        models.AmoveBucket,
        models.BucketSpec,
        models.BucketStatus,
        models.spec_faults_bucket,
    ),
    Kind.KEY: (models.AmoveStorageKey, models.KeySpec, models.KeyStatus, models.spec_faults_key),
}


def read_object(kind: Kind, body: Mapping[str, Any]) -> tuple[Object, Conclusion | None]:
    """An object, and why its spec is refused, if it is.

    A spec that is refused unread still says which bucket or Secret it is about and what its
    policies are, so that the object can say what is wrong, and can be let go as was asked.
    """
    model, spec_model, status_model, spec_faults = _PARTS[kind]
    metadata = models.ObjectMeta.model_validate(body["metadata"])
    spec, fault = _spec(spec_model, kind, body)
    fault = fault or invalid(spec_faults(metadata.name, spec))
    status, unread = _status(status_model, body.get("status") or {})
    found = model(metadata=metadata, spec=spec, status=status)
    found.mark_unread(unread)
    return found, fault


def status_unreadable(unread: Iterable[str]) -> Conclusion:
    """A newer version wrote the status: what is not understood may be what forbids the next call.

    Only Synced says so: pods may go on with what that version confirmed.
    """
    return unsynced(
        Reason.StatusUnreadable,
        "Nothing is done for this object, as a newer version of the operator wrote its status: "
        f"run that version again. Not understood: {'; '.join(unread)}",
    )


def conditions_are_lost(unread: Iterable[str]) -> bool:
    """Whether a write of conditions would lose some, since not all can be read."""
    return any(fault.startswith("status.conditions") for fault in unread)


def _status(model: Any, given: Any) -> tuple[Any, list[str]]:
    """The status, each field read alone where the whole cannot be, and what is wrong with it."""
    try:
        return model.model_validate(given), []
    except ValidationError as error:
        faults = models.parse_faults(error, at="status")[:_MOST_FAULTS]
        fields = given.items() if isinstance(given, Mapping) else ()
        return model.model_validate({k: v for k, v in fields if _reads(model, {k: v})}), faults


def read_bucket(body: Mapping[str, Any]) -> models.AmoveBucket:
    """An AmoveBucket, whatever is wrong with its spec."""
    found, _ = read_object(Kind.BUCKET, body)
    assert isinstance(found, models.AmoveBucket)  # noqa: S101 - of that kind
    return found


def _is_small(body: Mapping[str, Any]) -> bool:
    """Whether an object is far from too large: a third of what it costs to write it as JSON.

    No value takes more than six times as many bytes there: ``\\u0007``, ``true,``. One that nests
    deeper than marshal writes, by 2,000, is told by its JSON.
    """
    plain: Any = body
    try:
        size = len(marshal.dumps(plain, _WITHOUT_REFERENCES))
    except ValueError:
        return False
    return 6 * size <= MAX_OBJECT_BYTES


def json_bytes(body: Mapping[str, Any]) -> int:
    """The size of an object as JSON in UTF-8, without blanks."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if text.isascii():
        return len(text)
    return len(text.encode(errors="surrogatepass"))


def _too_large(body: Mapping[str, Any]) -> Conclusion | None:
    if _is_small(body) or json_bytes(body) <= MAX_OBJECT_BYTES:
        return None
    # Without the size: each change of it would be one more write.
    return stalled(
        Reason.ObjectTooLarge,
        f"The object is over {MAX_OBJECT_BYTES // 1024} KiB of JSON, and its spec is not acted on: "
        "remove annotations, labels, finalizers or owner references, or shorten the spec. Its "
        "deletion goes by its deletionPolicy all the same.",
    )


def _spec(model: Any, kind: Kind, body: Mapping[str, Any]) -> tuple[Any, Conclusion | None]:
    given = body.get("spec") or {}
    if (large := _too_large(body)) is not None:
        return _identity(model, kind, given), large
    try:
        return model.model_validate(given), None
    except ValidationError as error:
        faults = models.parse_faults(error, at="spec")[:_MOST_FAULTS]
        return _identity(model, kind, given), invalid(faults)


def _identity(model: Any, kind: Kind, given: Mapping[str, Any]) -> Any:
    """The spec with nothing in it but who it is and its policies, each read alone.

    For example ``bucketName: photos`` beside ``public: 7`` is read as ``bucketName: photos``.
    """
    found: dict[str, Any] = {"permission": "Read"} if kind is Kind.KEY else {}
    for path in _IDENTITY[kind]:
        value = _at(given, path)
        if value is not None and not _reads(model, _with(found, path, value)):
            value = _KEEPING.get(path)
        if value is not None:
            found = _with(found, path, value)
    return model.model_validate(found)


def _reads(model: Any, given: Mapping[str, Any]) -> bool:
    try:
        model.model_validate(given)
    except ValidationError:
        return False
    return True


def _at(given: Mapping[str, Any], path: str) -> Any:
    value: Any = given
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _with(found: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    outer, _, inner = path.partition(".")
    return {**found, outer: {**found.get(outer, {}), inner: value} if inner else value}
