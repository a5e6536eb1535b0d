"""Kubernetes Events: what a person reads in ``kubectl describe``."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from amove_operator.errors import OperatorError
from amove_operator.kube.transport import (
    FIELD_MANAGER,
    JSON,
    MERGE_PATCH,
    Request,
    Transport,
    path_of,
)
from amove_operator.kube.views import ObjectReference

EventType = Literal["Normal", "Warning"]

REPEAT_SECONDS = 600.0
NOTE_BYTES = 1024
_REASON_LENGTH = 128
_REMEMBERED = 4096
_SECONDS = 5.0

log = logging.getLogger(__name__)


def microtime(moment: datetime) -> str:
    """``metav1.MicroTime``: UTC with six digits and a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cut(note: str) -> str:
    """``note`` in at most 1024 bytes of UTF-8, the limit of the Events API."""
    raw = note.encode()
    if len(raw) <= NOTE_BYTES:
        return note
    return raw[: NOTE_BYTES - 3].decode(errors="ignore") + "…"


@dataclass(slots=True)
class _Series:
    name: str
    sent_at: float
    count: int = 1


class EventLog:
    """Sends Events, a repeated one at most once in ten minutes (then as a count).

    An Event never fails anything: what the server refuses is logged at DEBUG.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.monotonic,
        instance: str | None = None,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._instance = (instance or socket.gethostname())[:128]
        self._series: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()

    async def emit(
        self, regarding: ObjectReference, *, type: EventType, reason: str, message: str
    ) -> None:
        """Send an Event about ``regarding``, or count it when the same one was just sent."""
        identity = (regarding.uid, reason, message)
        known = self._series.get(identity)
        if known is not None:
            known.count += 1
            if self._clock() - known.sent_at < REPEAT_SECONDS:
                return
            known.sent_at = self._clock()
            if await self._bump(regarding.namespace, known):
                return
        await self._create(identity, regarding, type=type, reason=reason, note=cut(message))

    async def _create(
        self,
        identity: tuple[str, str, str],
        regarding: ObjectReference,
        *,
        type: EventType,
        reason: str,
        note: str,
    ) -> None:
        name = f"{regarding.name[:230].rstrip('.-')}.{secrets.token_hex(8)}"
        self._remember(identity, _Series(name, self._clock()))
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.namespace},
            "eventTime": microtime(datetime.now(UTC)),
            "type": type,
            "reason": reason[:_REASON_LENGTH],
            "note": note,
            "action": "Reconcile",
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance,
            "regarding": regarding.to_kube(),
        }
        if not await self._send("POST", _events(regarding.namespace), body):
            self._series.pop(identity, None)

    async def _bump(self, namespace: str, known: _Series) -> bool:
        series = {"count": known.count, "lastObservedTime": microtime(datetime.now(UTC))}
        path = _events(namespace) + path_of(known.name)
        return await self._send("PATCH", path, {"series": series}, content=MERGE_PATCH)

    async def _send(
        self, method: str, path: str, body: dict[str, Any], content: str = JSON
    ) -> bool:
        request = Request(method, path, {"fieldManager": FIELD_MANAGER}, body, content=content)
        try:
            await self._transport.call(request, urgent_seconds=_SECONDS)
        except OperatorError as error:
            log.debug("an Event was not recorded: %s", error)
            return False
        return True

    def _remember(self, identity: tuple[str, str, str], series: _Series) -> None:
        self._series[identity] = series
        self._series.move_to_end(identity)
        if len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)


def _events(namespace: str) -> str:
    return path_of("apis", "events.k8s.io", "v1", "namespaces", namespace or "default", "events")
