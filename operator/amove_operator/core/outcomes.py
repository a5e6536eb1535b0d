"""How one pass over an object ended, and when the object is looked at again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from amove_operator.core.conditions import Conclusion
from amove_operator.core.reasons import Reason


class Outcome(StrEnum):
    """The label ``result`` of ``reconcile_total``: docs/monitoring.md says what each means."""

    OK = "ok"
    WAITS = "waits"
    API_REFUSED = "api_refused"
    API_ERROR = "api_error"
    KUBE_REFUSED = "kube_refused"
    KUBE_UNAVAILABLE = "kube_unavailable"
    CONFLICT = "conflict"
    NOT_GONE = "not_gone"
    NOT_LEADING = "not_leading"


@dataclass(frozen=True, slots=True)
class Result:
    """How one pass ended. All times are in seconds.

    ``retry``: the object comes again after a back-off of at most ``longest`` (``None``: the queue's
    own limit), and at least ``at_least``; ``backed_off`` is told of the delay that was chosen. If
    False, the next back-off is a short one again; if ``None``, it goes on as if there had been no
    pass. ``after``: when it comes again at the latest, whatever came of it.
    """

    outcome: Outcome
    retry: bool | None = None
    longest: float | None = None
    at_least: float = 0.0
    after: float | None = None
    backed_off: Callable[[float], None] | None = None


_BY_REASON = {
    Reason.ApiRefused: Outcome.API_REFUSED,
    Reason.BucketNotEmpty: Outcome.API_REFUSED,
    Reason.DeleteRefused: Outcome.API_REFUSED,
    Reason.ApiUnauthorized: Outcome.API_ERROR,
    Reason.ApiUnavailable: Outcome.API_ERROR,
    Reason.ListIncomplete: Outcome.API_ERROR,
    Reason.RevokePending: Outcome.API_ERROR,
    Reason.KubernetesRefused: Outcome.KUBE_REFUSED,
    Reason.SecretWriteRefused: Outcome.KUBE_REFUSED,
}


def outcome_of(conclusion: Conclusion) -> Outcome:
    """What the service or Kubernetes had against it, as the object itself says.

    What we refuse ourselves is as it should be.
    """
    return _BY_REASON.get(conclusion.synced.reason, Outcome.OK)
