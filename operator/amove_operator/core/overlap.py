"""Which operator wrote: each leaves the name of its Lease in an object's ``managedFields``.

Two releases that serve one namespace each take the other's work for drift or tampering.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from amove_operator.times import parse_time

_PREFIX = "amove-operator/"
_MOST = 128
"""Kubernetes takes no longer name of a field manager."""
_DIGEST = 16
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
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

    None when it was ourselves, nobody, or no operator. The fence keeps the entries of status
    from whoever may not write it: else any tenant could make the operator stop. A restore may
    bring along those of an earlier object: what is older than ``created`` tells nothing.
    """
    since = max(since, created - _SECOND)  # both are told in whole seconds
    for entry in managed_fields:
        manager = str(entry.get("manager", ""))
        if entry.get("subresource") != "status" or manager == ours:
            continue
        if (
            manager.startswith(_PREFIX)
            and (parse_time(str(entry.get("time"))) or _LONG_AGO) > since
        ):
            return manager.removeprefix(_PREFIX)
    return None
