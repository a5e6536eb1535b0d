"""A Prometheus for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prometheus_tools import PrometheusMissingError, ensure_prometheus
from tests.cluster.monitoring.prometheus import Prometheus

StartPrometheus = Callable[..., Prometheus]


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Start one that scrapes these ports, with these rules; it is stopped at the end."""
    try:
        programs = ensure_prometheus()
    except PrometheusMissingError as failure:
        pytest.fail(f"no Prometheus: {failure}", pytrace=False)
    started: list[Prometheus] = []

    def start(*targets: str, rules: dict[str, Any] | None = None) -> Prometheus:
        folder = tmp_path / f"prometheus-{len(started)}"
        folder.mkdir()
        prometheus = Prometheus(programs, folder, list(targets), rules or {"groups": []})
        started.append(prometheus)
        return prometheus

    yield start
    for prometheus in started:
        prometheus.close()
