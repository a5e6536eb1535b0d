"""Faults on request: what a test wants to go wrong, and at which call. README.md lists them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from itertools import count
from random import Random
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from amove_emulator.odd_answers import ODD_ANSWERS, TRUTH, Odd

ANY_CALL: Final = "*"
Moment = Literal["before", "after"]


class Kill(BaseModel):
    """SIGKILL to ``pid`` before or after the effect; the call is never answered."""

    model_config = ConfigDict(extra="forbid")

    pid: Annotated[int, Field(gt=1)]
    when: Moment

    @field_validator("pid")
    @classmethod
    def _not_us(cls, pid: int) -> int:
        if pid == os.getpid():
            raise ValueError("is the emulator's own process")
        return pid


class FaultSpec(BaseModel):
    """One fault: from the ``nth`` matching call after it was set, it strikes ``times`` of them."""

    model_config = ConfigDict(extra="forbid")

    # Which calls
    call: str = ANY_CALL
    contains: str | None = None
    """Only calls whose path, query or body contains this text."""
    nth: Annotated[int, Field(ge=1)] = 1
    times: Annotated[int, Field(ge=1)] | None = 1
    """None: until the fault is cleared."""
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of those calls that it strikes."""
    seed: int = 0
    """Whether the third ``create_bucket`` is struck, and with which of several odd answers,
    depends on this number alone."""

    # When
    delay_before: Annotated[float, Field(ge=0)] = 0.0
    delay_after: Annotated[float, Field(ge=0)] = 0.0
    hold: Moment | None = None
    """Held until the fault is cleared; then the call goes on as the rest of the fault says."""

    # What becomes of the answer, and of the effect
    odd: tuple[str, ...] = ()
    """One of these odd answers (odd_answers.py), drawn anew for each call that it can be given to.
    What the fault says of status, body and headers comes on top of it."""

    # What is answered instead; a status by itself prevents the effect
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: str | None = None
    """With status 499: problem details and the ``error-code`` header."""
    message: str = "Fault on request."
    body: str | None = None
    """Replaces the body of the answer."""
    content_type: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    effect: bool = False
    """With status: the call takes effect nevertheless."""

    # What is not answered
    drop: Moment | None = None
    hang: Moment | None = None
    kill: Kill | None = None
    truncate_at: Annotated[int, Field(ge=0)] | None = None
    """Cut the body of the answer after so many bytes."""
    declare: Literal["full", "cut"] = "full"
    """With truncate_at: Content-Length is that of the full body (the connection breaks off) or
    that of the cut one (a whole answer that is no JSON)."""

    @field_validator("odd", mode="before")
    @classmethod
    def _one_or_several(cls, odd: object) -> object:
        return (odd,) if isinstance(odd, str) else odd

    @model_validator(mode="after")
    def _is_sound(self) -> FaultSpec:
        for name in self.odd:
            if name not in ODD_ANSWERS:
                raise ValueError(f"odd {name!r} is none of {', '.join(ODD_ANSWERS)}")
            if self.call != ANY_CALL and self.call not in ODD_ANSWERS[name].calls:
                raise ValueError(f"odd {name!r} is for {sorted(ODD_ANSWERS[name].calls)} only")
        if sum(x is not None for x in (self.drop, self.hang, self.kill)) > 1:
            raise ValueError("drop, hang and kill exclude each other")
        return self

    def odd_answers_to(self, call: str) -> list[str]:
        """Those of ``odd`` that this call can be given."""
        return [name for name in self.odd if call in ODD_ANSWERS[name].calls]

    def strikes_at(self, call: str, text: str) -> bool:
        """Whether this call is one that the fault is about."""
        suits = not self.odd or bool(self.odd_answers_to(call))
        return self.call in (ANY_CALL, call) and (self.contains or "") in text and suits

    def prevents_effect(self, odd: Odd) -> bool:
        """Whether the call is cut off before it does anything."""
        cut_off = (self.drop, self.hang, self.kill.when if self.kill else None)
        if "before" in cut_off:
            return True
        if "after" in cut_off:
            return False
        if self.status is not None:
            return not (self.effect or odd.half)
        return not odd.done


class Strike(NamedTuple):
    """A fault that strikes one call, and the odd answer that was drawn for it (or none)."""

    fault: Fault
    name: str | None = None

    @property
    def odd(self) -> Odd:
        """What ``name`` stands for."""
        return TRUTH if self.name is None else ODD_ANSWERS[self.name]


class Fault:
    """A fault that is set: counts what it matched and how often it struck."""

    def __init__(self, fault_id: int, spec: FaultSpec) -> None:
        self.id = fault_id
        self.spec = spec
        self.matched = 0
        self.struck = 0
        self._chosen = 0
        self._matched_of: Counter[str] = Counter()
        self.released = asyncio.Event()
        """Set when the fault is cleared: what is delayed or held goes on, what hangs is cut off."""

    def strike(self, call: str, text: str) -> Strike | None:
        """How this call, which it counts, is struck; None where it is not."""
        spec = self.spec
        if not spec.strikes_at(call, text):
            return None
        self.matched += 1
        if self.matched < spec.nth:
            return None
        self._matched_of[call] += 1
        chance = Random(f"{spec.seed}/{call}/{self._matched_of[call]}")  # noqa: S311 (repeatable)
        if chance.random() >= spec.rate or (spec.times is not None and self._chosen >= spec.times):
            return None
        self._chosen += 1
        names = spec.odd_answers_to(call)
        return Strike(self, chance.choice(names) if names else None)

    def shown(self) -> dict[str, Any]:
        spec = self.spec.model_dump(exclude_defaults=True)
        return {"id": self.id, "matched": self.matched, "struck": self.struck, "spec": spec}


class Faults:
    def __init__(self) -> None:
        self._ids = count(1)
        self._set: dict[int, Fault] = {}

    def add(self, spec: FaultSpec) -> Fault:
        fault = Fault(next(self._ids), spec)
        self._set[fault.id] = fault
        return fault

    def strike(self, call: str, text: str) -> Strike | None:
        """By the first fault to strike this call. All that match count it."""
        strikes = [fault.strike(call, text) for fault in self._set.values()]
        first = next(filter(None, strikes), None)
        if first is not None:
            first.fault.struck += 1
        return first

    def clear(self, fault_id: int | None = None) -> None:
        for each in [fault_id] if fault_id is not None else list(self._set):
            fault = self._set.pop(each, None)
            if fault is not None:
                fault.released.set()

    def shown(self) -> list[dict[str, Any]]:
        return [fault.shown() for fault in self._set.values()]


def kill_process(kill: Kill) -> None:
    """A process that is gone already counts as killed."""
    try:
        os.kill(kill.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
