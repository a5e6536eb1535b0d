"""Which operator wrote: each leaves the name of its Lease in an object's ``managedFields``.

Two releases that serve one namespace each take the other's work for drift or tampering.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from amove_operator.times import parse_time

_PREFIX = "amove-operator/"
_MOST = 128
"""Kubernetes takes no longer name of a field manager."""
_DIGEST = 16
_SECOND = timedelta(seconds=1)


def field_manager(lease_namespace: str, lease_name: str) -> str:
    """The name under which the operator of that Lease writes; two Leases never share one."""
    name = f"{_PREFIX}{lease_namespace}/{lease_name}"
    if len(name) <= _MOST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _MOST - _DIGEST - 1]}~{digest}"


def other_operator(
    managed_fields: Iterable[Mapping[str, Any]], ours: str, since: datetime, created: datetime
) -> str | None:
    """``<namespace>/<name>`` of the Lease whose operator wrote this status after ``since``.

    None when it was ourselves, nobody, or no operator: an admin's ``kubectl-edit`` is none. The
    fence keeps the entries of status from whoever may not write it: else any tenant could make
    the operator stop. A restore brings along the entries of an earlier object: what is older than
    ``created`` says nothing of this one.
    """
    since = max(since, created - _SECOND)  # both are written in whole seconds
    for entry in managed_fields:
        manager = str(entry.get("manager", ""))
        if entry.get("subresource") != "status" or manager == ours:
            continue
        written = parse_time(str(entry.get("time")))
        if manager.startswith(_PREFIX) and written is not None and written > since:
            return manager.removeprefix(_PREFIX)
    return None
