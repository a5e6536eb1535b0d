"""What an effect of the operator meets: a crash, no answer, a refusal, or another's change."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Crash(BaseException):
    """The process is killed here."""


MEANWHILE = ("strip", "vanish", "edit", "Secret goes")
"""What somebody else may do while an effect is under way, which is then done."""


class Fate:
    """What the next effects meet: one word for each, then ``ok`` for ever."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.meanwhile: Callable[[str], None] = lambda _word: None

    def next(self) -> str:
        """The word for this effect; a crash before it is raised at once."""
        word = self.words.pop(0) if self.words else "ok"
        if word == "crash before":
            raise Crash
        if word in MEANWHILE:
            self.meanwhile(word)
            return "ok"
        return word


def after(word: str) -> None:
    """What an effect that was done still meets."""
    if word == "crash after":
        raise Crash


def run(work: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that never truly waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something that never comes")
