"""What is remembered of Events, so that none is repeated within ten minutes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from amove_operator.clock import Clock
from amove_operator.errors import KubeRefused
from amove_operator.kube.events import REPEAT_SECONDS, EventLog
from amove_operator.kube.views import ObjectReference
from amove_operator.models.refs import Kind, Ref


class Sink:
    """A transport that takes every Event."""

    def __init__(self) -> None:
        self.sent = 0

    async def call(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.sent += 1
        return {}


async def test_an_event_is_remembered_only_as_long_as_it_keeps_another_back() -> None:
    now, sink = [0.0], Sink()
    log = EventLog(cast("Any", sink), clock=Clock(monotonic=lambda: now[0], now=lambda: now[0]))
    photos = ObjectReference.to(Ref(Kind.BUCKET, "team", "photos"), "uid")
    for number in range(100):
        now[0] = number * REPEAT_SECONDS / 10
        for _ in range(2):
            await log.emit(photos, type="Normal", reason="Repaired", message=f"flag {number}")
    assert sink.sent == 100
    assert len(vars(log)["_sent_at"]) == 10


async def test_an_event_that_is_refused_fails_nothing_and_is_sent_again() -> None:
    refused, sink = [True], Sink()

    async def call(*_: Any, **__: Any) -> dict[str, Any]:
        sink.sent += 1
        if refused[0]:
            raise KubeRefused("events are forbidden", status=403)
        return {}

    log = EventLog(cast("Any", SimpleNamespace(call=call)))
    photos = ObjectReference.to(Ref(Kind.BUCKET, "team", "photos"), "uid")
    for _ in range(2):
        await log.emit(photos, type="Normal", reason="Repaired", message="a flag")
    refused[0] = False
    for _ in range(2):
        await log.emit(photos, type="Normal", reason="Repaired", message="a flag")
    assert sink.sent == 3
