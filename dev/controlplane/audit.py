"""Read the API server's audit log: who asked for what, counted by tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class AuditEvent:
    """One answered request (stage ResponseComplete; a watch counts when it ends).

    ``verb`` is Kubernetes' (``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``,
    ``delete``, ``deletecollection``). Fields that a request does not have are empty strings;
    ``code`` is 0 when no status was sent.
    """

    user: str
    user_agent: str
    verb: str
    uri: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    dry_run: bool
    code: int
    received: datetime

    @property
    def writes(self) -> bool:
        """Whether it could change the cluster: a mutating verb, and no dry run."""
        return self.verb not in ("get", "list", "watch") and not self.dry_run


def audit_events(path: Path) -> Iterator[AuditEvent]:
    """Yield the events of an audit log in the order of their answers.

    A last line that is still being written is left out.
    """
    with path.open(encoding="utf-8") as log:
        for line in log:
            if not line.endswith("\n"):
                return
            event = json.loads(line)
            if event["stage"] == "ResponseComplete":
                yield _parse(event)


def _parse(event: dict[str, Any]) -> AuditEvent:
    target: dict[str, str] = event.get("objectRef") or {}
    return AuditEvent(
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        verb=event["verb"],
        uri=event["requestURI"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        dry_run="dryRun" in parse_qs(urlsplit(event["requestURI"]).query),
        code=(event.get("responseStatus") or {}).get("code", 0),
        received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
    )
