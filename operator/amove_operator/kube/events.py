"""Kubernetes Events: what a person reads in ``kubectl describe``."""

from __future__ import annotations

import logging
import math
import secrets
import socket
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Literal

from amove_operator.clock import SYSTEM_CLOCK, Clock
from amove_operator.errors import OperatorError
from amove_operator.kube.transport import FIELD_MANAGER, Request, Transport, path_of
from amove_operator.kube.views import ObjectReference
from amove_operator.times import microtime

EventType = Literal["Normal", "Warning"]

REPEAT_SECONDS = 600.0
NOTE_BYTES = 1024
_REASON_LENGTH = 128
_REMEMBERED = 4096
_SECONDS = 5.0

_log = logging.getLogger(__name__)


def cut(note: str) -> str:
    """``note`` in at most 1024 bytes of UTF-8, the limit of the Events API."""
    raw = note.encode()
    if len(raw) <= NOTE_BYTES:
        return note
    return raw[: NOTE_BYTES - 3].decode(errors="ignore") + "…"


class EventLog:
    """Sends Events; a repeat of the same one within ten minutes is dropped.

    An Event never fails anything: what the server refuses is logged at DEBUG.
    """

    def __init__(self, transport: Transport, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._transport = transport
        self._clock = clock
        self._instance = socket.gethostname()[:128]
        self._sent_at: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    async def emit(
        self, regarding: ObjectReference, *, type: EventType, reason: str, message: str
    ) -> None:
        """Send an Event about ``regarding``, unless the same one was sent ten minutes ago or less.

        A bucket whose deletion fails every 30 seconds would else leave 120 Events an hour.
        """
        identity = (regarding.uid, reason, message)
        now = self._clock.monotonic()
        if now - self._sent_at.get(identity, -math.inf) < REPEAT_SECONDS:
            return
        while self._sent_at and next(iter(self._sent_at.values())) <= now - REPEAT_SECONDS:
            self._sent_at.popitem(last=False)
        self._sent_at[identity] = now
        self._sent_at.move_to_end(identity)
        if len(self._sent_at) > _REMEMBERED:
            self._sent_at.popitem(last=False)
        namespace = regarding.namespace or "default"
        name = f"{regarding.name[:230].rstrip('.-')}.{secrets.token_hex(8)}"
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.namespace},
            "eventTime": microtime(datetime.fromtimestamp(self._clock.now(), UTC)),
            "type": type,
            "reason": reason[:_REASON_LENGTH],
            "note": cut(message),
            "action": "Reconcile",
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance,
            "regarding": regarding.to_kube(),
        }
        path = path_of("apis", "events.k8s.io", "v1", "namespaces", namespace, "events")
        request = Request("POST", path, {"fieldManager": FIELD_MANAGER}, body)
        try:
            await self._transport.call(request, urgent_seconds=_SECONDS)
        except OperatorError as error:
            self._sent_at.pop(identity, None)
            _log.debug("an Event was not recorded: %s", error)
