"""``amove-operator run``: one life after the other, and how the process ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amove_operator import __version__
from amove_operator.app.lead_guard import Ending
from amove_operator.commands import run
from amove_operator.kube import Kube
from amove_operator.settings import Settings
from amove_operator.telemetry.logs import JsonFormatter


@pytest.mark.parametrize(
    ("endings", "code"),
    [
        ([Ending.STOPPED], 0),
        ([Ending.LOST], 1),
        ([Ending.WENT_BACK], 1),
        ([Ending.OVERLAP], 0),
        ([Ending.ANEW, Ending.ANEW, Ending.STOPPED], 0),
        ([Ending.ANEW, Ending.LOST], 1),
        (["signal", Ending.ANEW], 0),
    ],
    ids=str,
)
async def test_only_a_fence_that_went_away_begins_a_new_life_and_only_a_loss_is_a_failure(
    endings: list[Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, closed = list(endings), []

    class Life:
        def __init__(self, *given: Any) -> None:
            self.asked_to_stop: asyncio.Event = given[-1]

        async def run(self) -> Ending:
            if left[0] == "signal":
                left.pop(0)
                self.asked_to_stop.set()
            ending: Ending = left.pop(0)
            return ending

    async def close() -> None:
        closed.append(True)

    async def connect() -> Any:
        return SimpleNamespace(
            fence=None, aclose=close, skew_seconds=None, host="https://kube", namespace="amove"
        )

    monkeypatch.setattr(run, "Life", Life)
    monkeypatch.setattr(Kube, "connect", connect)
    assert await run.run_operator(Settings(token_file=Path("token"))) == code
    assert left == []
    assert closed == [True]


def test_the_start_line_says_what_runs_and_against_what_and_shows_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("amv_secret")
    caplog.set_level("INFO")
    settings = Settings(token_file=token, trusted_namespaces=("ops", "ci-*"), lease_name="red")
    run._log_start(settings, cast(Kube, SimpleNamespace(host="https://kube", namespace="amove")))
    (line,) = caplog.records
    assert line.getMessage() == (
        f"amove-operator {__version__} begins: Amove API https://api.amove.io, cloud account "
        "of the credentials, Kubernetes https://kube, Lease amove/red"
    )
    shown = vars(line)["settings_in_use"]
    assert shown["AMOVE_TRUSTED_NAMESPACES"] == "ops,ci-*"
    assert shown["AMOVE_WATCH_NAMESPACES"] == "not set"
    assert (shown["AMOVE_RESYNC_INTERVAL"], shown["AMOVE_REQUIRE_FENCE"]) == ("10m", "true")
    assert shown["AMOVE_TOKEN_FILE"] == str(token)
    written = JsonFormatter().format(line)
    assert "amv_secret" not in written
    assert '"AMOVE_RESYNC_INTERVAL": "10m"' in written
