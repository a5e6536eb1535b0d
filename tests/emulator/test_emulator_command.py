"""``python -m amove_emulator``."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from amove_emulator import EmulatorControl
from amove_emulator.plain_client import PlainClient
from controlplane.certificates import Authority
from tests.patience import PATIENCE

DEV = Path(__file__).parents[2] / "dev"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def run(*arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "amove_emulator", *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=DEV,
                )
            )
            stack.callback(process.kill)
            return process

        yield run


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def test_the_command_prints_where_it_is_serves_and_ends_on_sigterm(
    start: Start, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    process = start("--token-file", str(token_file), "--latency-ms", "5")
    facts = ready(process)
    assert token_file.read_text() == facts["apiToken"]
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    with PlainClient(facts["url"], facts["apiToken"]) as client:
        (account,) = client.get_all().json()["data"]
    assert account["id"] == facts["cloudAccountId"]
    assert account["serviceUrl"] == facts["s3Url"]
    with EmulatorControl(facts["url"]) as control:
        assert control.behave()["latency"] == 0.005
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_command_takes_a_token_that_is_there(start: Start, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("my-token\n")
    facts = ready(start("--token-file", str(token_file)))
    with PlainClient(facts["url"], "my-token") as client:
        assert client.get_storage_key().status_code == 200


def test_a_port_that_is_taken_is_one_line_and_exit_2(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("amove_emulator: cannot start:")
    assert err.count("\n") == 1


def test_an_empty_token_file_is_one_line_and_exit_2(start: Start, tmp_path: Path) -> None:
    empty = tmp_path / "token"
    empty.touch()
    process = start("--token-file", str(empty))
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"{empty} is empty" in err


def test_it_speaks_tls_on_both_ports_where_it_is_given_a_certificate(
    start: Start, tmp_path: Path
) -> None:
    authority = Authority("test")
    certificate, key = authority.server("amove", ["127.0.0.1"])
    contents = {"authority": authority.pem, "certificate": certificate, "key": key}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    facts = ready(start(*(f"--{name}={tmp_path / name}" for name in contents)))

    assert facts["url"].startswith("https://127.0.0.1:")
    assert facts["s3Url"] == f"https://{facts['storageDn']}"
    with EmulatorControl(facts["url"], authority=tmp_path / "authority") as control:
        assert control.state()["accounts"]
    verified = ssl.create_default_context(cafile=tmp_path / "authority")
    assert httpx.get(facts["s3Url"], verify=verified).status_code == 403


def test_plain_http_off_loopback_is_refused_in_one_line(start: Start) -> None:
    process = start("--address", "0.0.0.0")  # noqa: S104 - it must not listen
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "give --certificate" in errors
    assert errors.count("\n") == 1
