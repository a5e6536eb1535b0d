"""Faults on request: what a test wants to go wrong, and at which call. README.md lists them."""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import count
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ANY_CALL: Final = "*"
Moment = Literal["before", "after"]
HALVES: Final = {
    "create_storage_key": ("backing_only", "record_only"),
    "delete_storage_key": ("backing_only", "record_only"),
    "create_bucket": ("bare",),
    "update_bucket": ("first_flag",),
}


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
    """One fault. It strikes from the ``nth`` matching call after it was set, ``times`` times."""

    model_config = ConfigDict(extra="forbid")

    # Which calls
    call: str = ANY_CALL
    contains: str | None = None
    """Only calls whose path, query or body contains this text."""
    nth: Annotated[int, Field(ge=1)] = 1
    times: Annotated[int, Field(ge=1)] | None = 1
    """None: until the fault is cleared."""

    # When
    delay_before: Annotated[float, Field(ge=0)] = 0.0
    delay_after: Annotated[float, Field(ge=0)] = 0.0
    hold: Moment | None = None
    """Held until the fault is cleared; then the call goes on as the rest of the fault says."""

    # What is answered instead; by itself this prevents the effect
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

    # Half an effect, then a bodiless 500 (or ``status``)
    half: Literal["backing_only", "record_only", "bare", "first_flag"] | None = None

    # A wrong listing
    page: Literal["empty", "missing_last", "repeat_previous", "ignore_parameters"] | None = None
    total_delta: int = 0

    @model_validator(mode="after")
    def _is_sound(self) -> FaultSpec:
        if self.half is not None and self.half not in HALVES.get(self.call, ()):
            raise ValueError(f"half {self.half!r} is not one of call {self.call!r}: {HALVES}")
        if (self.page or self.total_delta) and self.call != "get_storage_key":
            raise ValueError("page and total_delta are for call 'get_storage_key'")
        if sum(x is not None for x in (self.drop, self.hang, self.kill)) > 1:
            raise ValueError("drop, hang and kill exclude each other")
        return self

    def prevents_effect(self) -> bool:
        """Whether the call is cut off before it does anything."""
        kill = self.kill.when if self.kill else None
        if "before" in (self.drop, self.hang, kill):
            return True
        ends_after = "after" in (self.drop, self.hang, kill)
        return self.status is not None and not (self.effect or self.half or ends_after)


class Fault:
    """A fault that is set: counts what it matched and how often it struck."""

    def __init__(self, fault_id: int, spec: FaultSpec) -> None:
        self.id = fault_id
        self.spec = spec
        self.matched = 0
        self.struck = 0
        self.released = asyncio.Event()
        """Set when the fault is cleared: what is delayed or held goes on, what hangs is cut off."""

    def strikes(self, call: str, text: str) -> bool:
        """Whether this call, which it counts, is one to strike."""
        spec = self.spec
        if spec.call not in (ANY_CALL, call) or (spec.contains or "") not in text:
            return False
        self.matched += 1
        past = self.matched - spec.nth
        if past < 0 or (spec.times is not None and past >= spec.times):
            return False
        self.struck += 1
        return True

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

    def strike(self, call: str, text: str) -> Fault | None:
        """The first fault to strike this call. All that match count it."""
        striking = [fault for fault in self._set.values() if fault.strikes(call, text)]
        for fault in striking[1:]:
            fault.struck -= 1
        return striking[0] if striking else None

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
