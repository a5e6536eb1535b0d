"""The metrics and health ports, over real sockets on the loopback address."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from amove_operator.app.health import Health
from amove_operator.app.http import serve
from amove_operator.errors import SettingsError
from amove_operator.telemetry import Metrics

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def well() -> Health:
    return Health()


def serving(
    metrics_port: int,
    health_port: int,
    *,
    live: Callable[[], Health] = well,
    ready: Callable[[], Health] = well,
) -> AbstractAsyncContextManager[None]:
    return serve(Metrics().registry, live, ready, metrics_port, health_port, HOST)


@asynccontextmanager
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as ready:
        yield ready


async def statuses(port: int, *paths: str, method: str = "GET") -> list[int]:
    async with client(port) as web:
        return [(await web.request(method, path)).status_code for path in paths]


PATHS = ("/metrics", "/healthz", "/readyz")


async def test_each_port_serves_its_own_paths_only() -> None:
    metrics, health = free_ports(2)
    async with serving(metrics, health):
        assert await statuses(metrics, *PATHS) == [200, 404, 404]
        assert await statuses(health, *PATHS) == [404, 200, 200]


async def test_one_port_may_serve_both() -> None:
    (port,) = free_ports(1)
    async with serving(port, port):
        assert await statuses(port, *PATHS, "/") == [200, 200, 200, 404]


async def test_port_0_leaves_that_part_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics, health = free_ports(2)
    async with serving(metrics, 0):
        assert await statuses(metrics, *PATHS) == [200, 404, 404]
    async with serving(0, health):
        assert await statuses(health, *PATHS) == [404, 200, 200]
    async with serving(0, 0):
        pass
    assert [record.getMessage() for record in caplog.records if "serving" in record.message] == [
        f"serving /metrics on port {metrics}",
        f"serving /healthz, /readyz on port {health}",
    ]


async def test_the_metrics_are_prometheus_text() -> None:
    (port,) = free_ports(1)
    async with serving(port, 0), client(port) as web:
        answer = await web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "amove_operator_build_info" in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_only_reading_is_allowed(path: str) -> None:
    (port,) = free_ports(1)
    async with serving(port, port):
        assert await statuses(port, path, method="HEAD") == [200]
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert await statuses(port, path, method=method) == [405]


async def test_a_fault_is_a_503_that_says_which_and_only_on_its_own_path() -> None:
    (port,) = free_ports(1)
    faults: list[str] = []

    def ready() -> Health:
        return Health(tuple(faults), ("standing by",))

    async with serving(0, port, ready=ready), client(port) as web:
        assert (await web.get("/readyz")).text == "ok\nstanding by\n"
        faults.append("the key cache is not filled yet")
        answer = await web.get("/readyz")
        assert (answer.status_code, answer.text) == (
            503,
            "the key cache is not filled yet\nstanding by\n",
        )
        assert (await web.get("/healthz")).status_code == 200


async def test_a_health_fault_shows_no_credential() -> None:
    (port,) = free_ports(1)
    fault = "refused: Authorization: Bearer abc.def-ghi"
    async with serving(0, port, ready=lambda: Health((fault,))), client(port) as web:
        answer = await web.get("/readyz")
    assert answer.status_code == 503
    assert "abc.def" not in answer.text


@pytest.mark.parametrize(
    ("taken", "named"),
    [
        ("metrics", "AMOVE_METRICS_PORT"),
        ("health", "AMOVE_HEALTH_PORT"),
        ("both", "AMOVE_METRICS_PORT and AMOVE_HEALTH_PORT"),
    ],
)
async def test_a_port_that_is_taken_is_a_wrong_setting(taken: str, named: str) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        busy = other.getsockname()[1]
        (free,) = free_ports(1)
        metrics = free if taken == "health" else busy
        health = free if taken == "metrics" else busy
        with pytest.raises(SettingsError) as raised:
            async with serving(metrics, health):
                pytest.fail("it must not come up")
    assert str(raised.value) == (
        f"{named}: cannot listen on port {busy} (address already in use): "
        "choose another port, or 0 for none"
    )
    # What came up before the failure is gone again: the free port can be had.
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((HOST, free))


async def test_both_ports_are_given_back_at_the_end() -> None:
    metrics, health = free_ports(2)
    for _ in range(3):
        async with serving(metrics, health):
            assert await statuses(metrics, "/metrics") == [200]
    for port in (metrics, health):
        async with client(port) as web:
            with pytest.raises(httpx.ConnectError):
                await web.get("/healthz")


async def test_a_client_that_stays_connected_does_not_hold_up_the_end() -> None:
    (port,) = free_ports(1)
    async with client(port) as web:
        async with serving(0, port):
            await web.get("/healthz")
        with pytest.raises(httpx.TransportError):
            await web.get("/healthz")


async def test_a_loop_that_is_stuck_answers_nothing_so_that_the_probe_fails() -> None:
    (port,) = free_ports(1)
    async with serving(0, port), client(port) as web:
        assert (await web.get("/healthz")).status_code == 200
        answers: list[int | None] = []

        def probe() -> None:
            try:
                url = f"http://{HOST}:{port}/healthz"
                answers.append(httpx.get(url, timeout=0.2, trust_env=False).status_code)
            except httpx.TimeoutException:
                answers.append(None)

        kubelet = threading.Thread(target=probe)
        kubelet.start()
        kubelet.join()  # in the loop's own thread, which so serves nobody
        assert answers == [None]
        assert (await web.get("/healthz")).status_code == 200
