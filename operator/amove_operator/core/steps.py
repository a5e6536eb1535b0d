"""The steps that both planners know; each kind has its own beside them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from amove_operator.core.conditions import Conclusion
from amove_operator.models import BucketStatus, KeyStatus

Status = TypeVar("Status", BucketStatus, KeyStatus)


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put our finalizer on, tested on the resourceVersion that was read."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Nothing of the object is left at the service: let it go."""


@dataclass(frozen=True, slots=True)
class WriteStatus(Generic[Status]):
    """Write status before going on: a later step relies on what it says."""

    status: Status
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class AwaitKeyList(Generic[Status]):
    """Nothing can be decided before a key list that was begun at ``since`` (monotonic seconds).

    While that lies ahead, the status is written and the object comes again then.
    """

    status: Status
    conclusion: Conclusion
    since: float


@dataclass(frozen=True, slots=True)
class ComeAgain:
    """Say nothing yet: an event, or ``at`` (monotonic seconds) at the latest, begins anew."""

    at: float


@dataclass(frozen=True, slots=True)
class Finish(Generic[Status]):
    """Write status and stop until ``requeue_at`` or until something changes.

    ``retry``: come back with back-off, since no event will come when that changes; ``at_least``
    after so many seconds.
    """

    status: Status
    conclusion: Conclusion
    requeue_at: datetime | None = None
    retry: bool = False
    at_least: float = 0.0


CommonStep = (
    AddFinalizer
    | RemoveFinalizer
    | WriteStatus[Status]
    | AwaitKeyList[Status]
    | ComeAgain
    | Finish[Status]
)
