"""What /healthz and /readyz answer: every state and its answer is in docs/monitoring.md. Pure.

Liveness is for what a restart mends, and nothing else is: a service that is down must not have its
operators restarted in a loop. Readiness is what a rollout waits for: it may not pass while the new
replicas cannot work for want of something in the cluster, and it must pass with refused
credentials, or nothing could be rolled out that mends them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """Well unless there are faults; ``notes``: what else is not as it should be, or worth a line.

    Each is one sentence for a person.
    """

    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The HTTP status."""
        return 503 if self.faults else 200

    @property
    def body(self) -> str:
        """A line each: ``ok`` or the faults, then the notes."""
        return "\n".join((*(self.faults or ("ok",)), *self.notes)) + "\n"


@dataclass(frozen=True, slots=True)
class State:
    """What is known of the process. Each text is a sentence, None where all is well.

    ``ended``: a part that ended by itself. ``stopping``: why this life ends. ``may_not_lead``: the
    fence, another operator's writes. ``waits_for``: the CRDs, roles, the first lists.
    ``lease``: why it cannot be read. ``refused``: what Kubernetes does not let us read.
    ``standby``: whose Lease it waits for.
    """

    ended: str | None = None
    stopping: str | None = None
    may_not_lead: str | None = None
    waits_for: str | None = None
    lease: str | None = None
    refused: str | None = None
    standby: str | None = None
    fence: str | None = None
    calls_held_back: str | None = None
    list_incomplete: str | None = None
    unlisted: tuple[str, ...] = ()
    clock_skew: float = 0.0


def liveness(state: State) -> Health:
    """Whether a restart would help. An event loop that is stuck answers nothing at all."""
    if state.ended is None:
        return Health()
    return Health((f"{state.ended} ended unexpectedly: the process ends, to be started again",))


def readiness(state: State) -> Health:
    """Whether a replica of this kind can do its work, and what is not right beside that."""
    faults = (
        liveness(state).faults[0] if state.ended else None,
        state.stopping,
        state.may_not_lead,
        state.waits_for,
        state.lease,
        state.refused,
    )
    return Health(tuple(filter(None, faults)), tuple(_notes(state)))


def _notes(state: State) -> list[str]:
    held_back = state.calls_held_back and f"calls to the Amove API wait: {state.calls_held_back}"
    listing = state.list_incomplete and f"the key list does not add up: {state.list_incomplete}"
    unlisted = ", ".join(state.unlisted)
    missing = unlisted and f"namespaces that cannot be listed (roles?): {unlisted}"
    skew = f"the clock is {state.clock_skew:+.0f} s off the API server's: mend it (NTP)"
    wrong = skew if abs(state.clock_skew) > 60 else None
    notes = (state.standby, state.fence, held_back, listing, missing, wrong)
    return [note for note in notes if note]
