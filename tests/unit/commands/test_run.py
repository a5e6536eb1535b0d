"""``amove-operator run``: one life after the other, and how the process ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amove_operator.app.lead_guard import Ending
from amove_operator.commands import run
from amove_operator.kube import Kube
from amove_operator.settings import Settings


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
        return SimpleNamespace(fence=None, aclose=close, skew_seconds=None)

    monkeypatch.setattr(run, "Life", Life)
    monkeypatch.setattr(Kube, "connect", connect)
    assert await run.run_operator(Settings(token_file=Path("token"))) == code
    assert left == []
    assert closed == [True]
