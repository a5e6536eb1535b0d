"""What is exported keeps to Prometheus' naming, as promtool judges it."""

from __future__ import annotations

from prometheus_client import generate_latest

from amove_operator.app.gauges import start_counters
from amove_operator.telemetry import Metrics
from amove_operator.telemetry.live_gauge import LiveGauge
from tests.monitoring.conftest import RunPromtool


def everything() -> str:
    """The text of a scrape in which no metric is absent."""
    metrics = Metrics()
    start_counters(metrics)
    for one in vars(metrics).values():
        if isinstance(one, LiveGauge):
            one.labels(*("a" for _ in one._labels)).set(1)
    return generate_latest(metrics.registry).decode()


def test_every_metric_is_named_as_prometheus_wants_it(promtool: RunPromtool) -> None:
    text = everything()
    assert text.count("# HELP amove_operator_") > 45
    assert promtool("check", "metrics", given=text) == ""


def test_a_scrape_of_a_process_with_nothing_to_say_is_small() -> None:
    assert len(everything()) < 80_000
