"""How one pass over an object ended: the label ``result`` of ``reconcile_total``. Pure."""

from __future__ import annotations

from enum import StrEnum

from amove_operator.core.conditions import Conclusion
from amove_operator.core.reasons import Reason


class Outcome(StrEnum):
    """docs/monitoring.md says of each what it means."""

    OK = "ok"
    WAITS = "waits"
    API_REFUSED = "api_refused"
    API_ERROR = "api_error"
    KUBE_REFUSED = "kube_refused"
    KUBE_UNAVAILABLE = "kube_unavailable"
    CONFLICT = "conflict"
    NOT_GONE = "not_gone"
    NOT_LEADING = "not_leading"


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
