"""What whoever runs the operator must see: the log, a metric, and an Event on its Deployment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator.amove import BreakerState
from amove_operator.app.alarms import Alarms
from amove_operator.kube import Kube
from amove_operator.telemetry import Metrics

Sent = list[tuple[str, str, str, str]]


def alarms(sent: Sent, deployment: str | None = "amove-operator") -> Alarms:
    async def own_deployment() -> str | None:
        return deployment

    async def emit_event(about: str, *, type: str, reason: str, message: str) -> None:
        sent.append((about, type, reason, message))

    kube = SimpleNamespace(own_deployment=own_deployment, emit_event=emit_event)
    return Alarms(cast(Kube, kube), Metrics())


async def sending(raised: Alarms) -> None:
    """Send what waits."""
    task = asyncio.create_task(raised.run())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def value(metric: Any) -> float:
    ((sample,),) = (one.samples for one in metric.collect())
    return float(sample.value)


@pytest.mark.parametrize(
    ("cause", "valid", "reason"),
    [("auth", 0, "ApiUnauthorized"), ("unavailable", 1, "ApiUnavailable")],
)
async def test_calls_that_are_held_back_are_logged_measured_and_an_event(
    cause: Any, valid: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent: Sent = []
    raised = alarms(sent)
    raised.on_breaker_change(BreakerState(open=True, cause=cause, reason="the token is refused"))
    await sending(raised)
    (event,) = sent
    assert event[:3] == ("amove-operator", "Warning", reason)
    assert event[3].startswith("the token is refused")
    assert ("put a valid token of the same API user" in event[3]) is (cause == "auth")
    assert "all calls to the Amove API are held back: the token is refused" in caplog.text
    metrics = raised.metrics
    assert (value(metrics.api_breaker_open), value(metrics.api_credentials_valid)) == (1, valid)

    raised.on_breaker_change(BreakerState())
    await sending(raised)
    assert len(sent) == 1
    assert (value(metrics.api_breaker_open), value(metrics.api_credentials_valid)) == (0, 1)


async def test_a_fence_that_was_away_is_logged_counted_and_an_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: Sent = []
    raised = alarms(sent)
    raised.fence_was_away()
    assert "FenceWasAway: the fence amove-fence was away" in caplog.text
    assert value(raised.metrics.fence_was_away) == 1
    assert sent == [], "whoever does not lead sends nothing"
    await sending(raised)
    assert [reason for _, _, reason, _ in sent] == ["FenceWasAway"]


async def test_without_a_deployment_there_is_no_event() -> None:
    sent: Sent = []
    raised = alarms(sent, deployment=None)
    raised.fence_was_away()
    await sending(raised)
    assert sent == []
