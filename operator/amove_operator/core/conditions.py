"""Conditions as ``metav1.Condition``: one place that writes them (docs/conditions.md)."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from amove_operator.core.reasons import Reason
from amove_operator.models.shared import Condition

REFUSALS_UNTIL_STALLED = 5
"""So often in a row the service refuses a write before a person is asked for."""
Truth = Literal["True", "False", "Unknown"]
_LIMIT = 1024
_REASONS = frozenset(Reason)
_NOT_LEARNT = (
    Reason.ApiUnauthorized,
    Reason.ApiUnavailable,
    Reason.ListIncomplete,
    Reason.KubernetesRefused,
    Reason.Paused,
)
"""Reasons of a Ready=False that say why nothing could be learned, and nothing of the object."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition to be: status, reason, and a sentence for a person."""

    status: Truth
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a reconcile ends in, as conditions.

    ``ready`` of ``None`` keeps the Ready condition as it was. ``stalled`` and
    ``reconciling`` are there only while true (kstatus).
    """

    synced: Verdict
    ready: Verdict | None = None
    reconciling: Verdict | None = None
    stalled: Verdict | None = None


def in_sync(reason: Reason, message: str, note: str = "") -> Conclusion:
    """All is as the spec says; ``note``: what a person may still want to know."""
    return Conclusion(Verdict("True", Reason.Settled, note), Verdict("True", reason, message))


def stalled(reason: Reason, message: str) -> Conclusion:
    """Nothing more happens until something changes."""
    verdict = Verdict("False", reason, message)
    return Conclusion(ready=verdict, synced=verdict, stalled=Verdict("True", reason, message))


def progressing(reason: Reason, message: str, *, keep_ready: bool = False) -> Conclusion:
    """On the way; ``keep_ready`` where what was usable stays usable."""
    verdict, reconciling = Verdict("False", reason, message), Verdict("True", reason, message)
    return Conclusion(verdict, None if keep_ready else verdict, reconciling)


def unsynced(reason: Reason, message: str) -> Conclusion:
    """Only ``Synced`` says so; what was ready stays ready."""
    return Conclusion(synced=Verdict("False", reason, message))


def deleting(message: str) -> Conclusion:
    """What the object has at the service is being deleted; written before the first such call.

    After a crash it says why that is gone: else ten buckets whose namespace was deleted would
    look like a mass loss, and stop everything.
    """
    return progressing(Reason.Deleting, message)


def noting(conclusion: Conclusion, note: str) -> Conclusion:
    """The same with a note in Synced that a long message does not push out; once, and no more."""
    synced = conclusion.synced
    if not note or note in synced.message:
        return conclusion
    kept = synced.message[: _LIMIT - len(note) - 1]
    return replace(conclusion, synced=replace(synced, message=f"{kept} {note}".strip()))


def of_an_edited_spec(
    conclusion: Conclusion, old: Iterable[Condition], generation: int
) -> Conclusion:
    """The same with Reconciling, where it keeps a Ready=True that speaks of an earlier generation.

    Flux, and all that wait by kstatus, would else take an edit during an outage for done.
    """
    if any((conclusion.ready, conclusion.reconciling, conclusion.stalled)):
        return conclusion
    ready = find(old, "Ready")
    if ready is None or ready.status != "True" or ready.observed_generation == generation:
        return conclusion
    spoken_of = ready.observed_generation
    message = f"The spec was changed: Ready speaks of generation {spoken_of}, not of {generation}."
    return replace(conclusion, reconciling=Verdict("True", Reason.Progressing, message))


def deletion_begun(conditions: Iterable[Condition]) -> bool:
    """Whether status says that deletions at the service were begun for this object."""
    return reason_of(conditions, "Reconciling") == Reason.Deleting


def unchanged(
    old: Iterable[Condition], reasons: Container[str], *, keep_ready: bool = False
) -> Conclusion | None:
    """The conditions as they are, if the object is not Ready and its Synced has one of ``reasons``.

    With ``keep_ready``, also where it is Ready.

    For a step that only tries again what these conditions say already. Without it each resync
    would turn ``Stalled=True ApiRefused`` to Progressing and back, with an Event for either.
    """
    held = {condition.type: condition for condition in old}
    ready, synced, halted = held.get("Ready"), held.get("Synced"), held.get("Stalled")
    if ready is None or synced is None or synced.reason not in reasons:
        return None
    if synced.status != "False" or not (keep_ready or ready.status == "False"):
        return None
    if any(one is not None and one.reason not in _REASONS for one in (ready, halted)):
        return None  # written by a newer version: it is concluded anew
    stalls = _verdict(halted) if halted else None
    return Conclusion(_verdict(synced), _verdict(ready), stalled=stalls)


def _verdict(condition: Condition) -> Verdict:
    return Verdict(condition.status, Reason(condition.reason), condition.message)


def merge(
    old: Iterable[Condition], conclusion: Conclusion, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The new list of conditions; a transition time moves only with its status.

    - No Ready yet, and none concluded: Ready=False with the reason of Synced. For example a new
      object whose first pass meets a service that is down. As long as it is no better known than
      that, it follows Synced: the credentials are mended, and then the service is down.
    - Reconciling=Deleting stays until the object stalls. A deletion that a 503 interrupts is still
      one, and what it has deleted is no loss.
    - A conclusion that says only that nothing could be learned keeps Stalled of this generation.
      ``BucketExists`` stays while the service is down; a new spec is not judged by it.
    """
    before = {condition.type: condition for condition in old}
    ready, reconciling, halted = conclusion.ready, conclusion.reconciling, conclusion.stalled
    if ready is None and ("Ready" not in before or before["Ready"].reason in _NOT_LEARNT):
        ready = replace(conclusion.synced, status="False")
    if halted is None and deletion_begun(before.values()):
        reconciling = Verdict("True", Reason.Deleting, before["Reconciling"].message)
    wanted = {
        "Ready": ready,
        "Synced": conclusion.synced,
        "Reconciling": reconciling,
        "Stalled": halted,
    }
    built = [
        _condition(kind, verdict, before.get(kind), generation, now)
        for kind, verdict in wanted.items()
        if verdict is not None
    ]
    if ready is None:
        built.insert(0, before["Ready"])
        kept = before.get("Stalled") if halted is None and reconciling is None else None
        built += [kept] if kept is not None and kept.observed_generation == generation else []
    foreign = [condition for kind, condition in before.items() if kind not in wanted]
    return (*built, *foreign)


def _condition(
    kind: str, verdict: Verdict, before: Condition | None, generation: int, now: datetime
) -> Condition:
    unmoved = before is not None and before.status == verdict.status
    return Condition(
        type=kind,
        status=verdict.status,
        reason=verdict.reason.value,
        message=verdict.message[:_LIMIT],
        observed_generation=generation,
        last_transition_time=(before.last_transition_time if before and unmoved else None) or now,
    )


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def reason_of(conditions: Iterable[Condition], kind: str) -> str | None:
    """The reason of the condition of that type, if there is one."""
    found = find(conditions, kind)
    return found.reason if found is not None else None


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether the condition of that type is there and True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"
