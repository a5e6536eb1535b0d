"""The patches we send, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amove_operator.models import FINALIZER, ObjectMeta


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
    added = (
        {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}
        if meta.finalizer_count
        else {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}
    )
    return [_same_version(meta), added]


def removing_finalizer(meta: ObjectMeta) -> list[dict[str, Any]]:
    """JSON patch that removes only our finalizer, from where it was; the others keep their places.

    Raises ValueError where it is not on.
    """
    if meta.finalizer_at is None:
        raise ValueError(f"{meta.name} has not our finalizer")
    path = f"/metadata/finalizers/{meta.finalizer_at}"
    return [
        _same_version(meta),
        {"op": "test", "path": path, "value": FINALIZER},
        {"op": "remove", "path": path},
    ]


def _same_version(meta: ObjectMeta) -> dict[str, Any]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version}
