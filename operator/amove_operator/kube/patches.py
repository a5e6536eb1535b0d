"""The patches we send, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amove_operator.models import FINALIZER, ObjectMeta

_MOST_AT_ONCE = 1000
"""The API server takes no JSON patch of more than 10,000 operations."""


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns ``old`` into ``new``; empty when they agree."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            patch[key] = merge_difference(before, value)
        else:
            patch[key] = value
    return patch


def adding_finalizer(meta: ObjectMeta) -> list[dict[str, Any]]:
    """JSON patch that appends our finalizer to the very object that ``meta`` was read from."""
    end, value = ("/-", FINALIZER) if meta.finalizer_count else ("", [FINALIZER])
    added = {"op": "add", "path": f"/metadata/finalizers{end}", "value": value}
    return [_same_version(meta.resource_version), added]


def removing_finalizer(meta: ObjectMeta) -> list[dict[str, Any]]:
    """JSON patch that removes only our finalizer, from where it was; the others keep their places.

    Raises ValueError where it is not on.
    """
    if meta.finalizer_at is None:
        raise ValueError(f"{meta.name} has not our finalizer")
    return [_same_version(meta.resource_version), *_taking_out(meta.finalizer_at)]


def removing_copies(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """JSON patch for what is left of our finalizer in an object; empty where nothing is.

    Whoever may edit an object can write it twice, and one copy holds the object as well as two.
    """
    there = enumerate(metadata.get("finalizers") or ())
    places = [place for place, name in there if name == FINALIZER][-_MOST_AT_ONCE:]
    if not places:
        return []
    taken = (step for place in reversed(places) for step in _taking_out(place))
    return [_same_version(metadata["resourceVersion"]), *taken]


def _taking_out(place: int) -> list[dict[str, Any]]:
    path = f"/metadata/finalizers/{place}"
    return [{"op": "test", "path": path, "value": FINALIZER}, {"op": "remove", "path": path}]


def _same_version(version: str) -> dict[str, Any]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}
