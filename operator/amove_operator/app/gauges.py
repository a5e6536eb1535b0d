"""Metrics of values that exist elsewhere: read when they are scraped; and counters from 0 on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from amove_operator.amove import AmoveClient, calls
from amove_operator.amove.sent import Sent
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.core.keys.steps import RevokeReason
from amove_operator.core.outcomes import Outcome
from amove_operator.fairness import Urgency
from amove_operator.kube import FenceWatch, Kube
from amove_operator.models.refs import Kind
from amove_operator.telemetry import Metrics

_OUTCOMES = (
    "ok",
    "Rejected",
    "NotFound",
    "AlreadyExists",
    "NotEmpty",
    "AuthFailed",
    "Throttled",
    "ServerFault",
    "TransportFault",
    "UnreadableAnswer",
)
_STATUSES = frozenset({"200", "401", "403", "404", "429", "499", "500", "502", "503", "504"})
_CODES = frozenset(
    (
        *("DEFAULT", "Global", "INTERNAL_ERROR", "DISPOSED", "NOT_FOUND", "DUPLICATE", "PENDING"),
        *("AUTH", "INACTIVE_USER", "TOKEN", "SESSION", "SESSION_MAXOUT", "TOTP", "SECURITY"),
        *("ACCESS", "COST", "DB_DELETE", "DB_INSERT", "DB_UPDATE"),
    )
)
"""Of the documented codes those that a storage call may bring; the set is open (docs/amove-api.md,
"Errors"), and a service that makes up codes must not make up series."""
_SOON_OR_LATER = (
    *((status, "none") for status in ("none", "401", "429", "500", "502", "503", "504")),
    *(("499", code) for code in ("DEFAULT", "NOT_FOUND", "DUPLICATE", "ACCESS", "COST", "other")),
)
_KUBE_READS = ("amovebuckets", "amovestoragekeys", "secrets", "leases", "discovery")
_KUBE_WRITES = (
    ("PATCH", "amovebuckets"),
    ("PATCH", "amovebuckets/status"),
    ("PATCH", "amovestoragekeys"),
    ("PATCH", "amovestoragekeys/status"),
    ("POST", "secrets"),
    ("PATCH", "secrets"),
    ("DELETE", "secrets"),
    ("POST", "leases"),
    ("PUT", "leases"),
    ("POST", "events"),
)


def show_process(
    metrics: Metrics,
    kube: Kube,
    fence: FenceWatch,
    leads: Callable[[], bool],
    ready: Callable[[], bool],
) -> None:
    """What is known from the first moment."""
    metrics.leads = leads
    metrics.api_credentials_valid.set(1)
    metrics.api_breaker_open.set(0)
    metrics.clock_skew.set_function(lambda: kube.skew_seconds)
    metrics.fence_intact.set_function(lambda: fence.intact)
    metrics.leader.set_function(leads)
    metrics.ready.set_function(ready)
    kube.transport.on_request = partial(count_kube_request, metrics)
    start_counters(metrics)


def start_counters(metrics: Metrics) -> None:
    """Have each counter there with 0: one that appears with 1 shows no increase to an alert."""
    for call in calls.NAMES:
        metrics.api_request_duration.labels(call)
        for outcome in _OUTCOMES:
            metrics.api_requests.labels(call, outcome)
        for status, code in _SOON_OR_LATER:
            metrics.api_errors.labels(call, status, code)
    for kind in Kind:
        metrics.reconcile_duration.labels(kind.value)
        for result in Outcome:
            metrics.reconcile.labels(kind.value, result)
    for reason in RevokeReason:
        metrics.keys_revoked.labels(reason.label)
    for urgency in Urgency:
        metrics.api_wait_duration.labels(_label(urgency))
    for method, resource in (*(("GET", each) for each in _KUBE_READS), *_KUBE_WRITES):
        for status in ("201" if method == "POST" else "200", "none"):
            metrics.kube_requests.labels(method, resource, status)


def show_operator(metrics: Metrics, d: Dependencies) -> None:
    """What is known once the operator is built."""
    for urgency in Urgency:
        label = _label(urgency)
        metrics.queue_depth.labels(label).set_function(partial(d.queue.waiting, urgency))
        metrics.queue_oldest.labels(label).set_function(partial(d.queue.longest_wait, urgency))
    metrics.workers.set(d.workers)
    metrics.workers_busy.set_function(lambda: d.queue.busy)
    metrics.mass_loss.labels(Kind.BUCKET.value).set_function(lambda: d.bucket_losses.is_mass)
    metrics.mass_loss.labels(Kind.KEY.value).set_function(lambda: d.key_losses.is_mass)
    _show_calls(metrics, d)
    _show_objects(metrics, d)


def _show_calls(metrics: Metrics, d: Dependencies) -> None:
    permits, lists = d.permits, d.key_lists
    for urgency in Urgency:
        label = _label(urgency)
        metrics.api_waiting.labels(label).set_function(partial(permits.waiting, urgency))
        waited = partial(permits.longest_wait, urgency)
        metrics.api_longest_wait.labels(label).set_function(waited)
    metrics.api_in_use.set_function(lambda: permits.in_use)
    metrics.api_pause.set_function(lambda: permits.pause_left)
    metrics.api_token_expiry.set_function(partial(_token_expiry, d.api))
    metrics.key_list.set_function(partial(_listed_at, lists, d.clock, lambda: d.now().timestamp()))
    metrics.key_list_incomplete.set_function(lambda: lists.incomplete is not None)
    d.api.on_retry = metrics.api_retries.inc
    permits.on_given = lambda urgency, seconds: metrics.api_wait_duration.labels(
        _label(urgency)
    ).observe(seconds)


def _show_objects(metrics: Metrics, d: Dependencies) -> None:
    counts = d.store.counts

    def objects() -> Mapping[tuple[str, ...], float | None]:
        seen = counts.by_readiness().items()
        return {(kind.value, _truth(ready), why): count for (kind, ready, why), count in seen}

    def unready() -> Mapping[tuple[str, ...], float | None]:
        each = counts.unready_since.items()
        return {(kind.value, _truth(halted)): since.first() for (kind, halted), since in each}

    metrics.objects.set_all(objects)
    metrics.oldest_unready.set_all(unready)
    metrics.oldest_key.set_function(counts.issued.first)
    metrics.next_rotation.set_function(counts.rotations.first)
    metrics.revocation_due.set_function(counts.revocations_due.first)
    metrics.api_user_changed_keys.set_function(lambda: counts.issued_by_others(d.key_lists.latest))
    metrics.mint_budget_exhausted.set_function(lambda: counts.exhausted)
    metrics.untrusted_live_keys.set_function(lambda: counts.untrusted)


def count_call(metrics: Metrics, sent: Sent) -> None:
    """Count one call to the Amove API: partial with its metrics, the client's observer."""
    metrics.api_requests.labels(sent.call, sent.outcome).inc()
    metrics.api_request_duration.labels(sent.call).observe(sent.seconds)
    if sent.outcome == "ok":
        return
    status = "none" if sent.status is None else _known(str(sent.status), _STATUSES)
    code = "none" if sent.code is None else _known(sent.code, _CODES)
    metrics.api_errors.labels(sent.call, status, code).inc()


def count_kube_request(metrics: Metrics, method: str, resource: str, status: int | None) -> None:
    """Count one request to Kubernetes; ``status`` is None where no answer came."""
    metrics.kube_requests.labels(method, resource, str(status or "none")).inc()


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else "other"


def _label(urgency: Urgency) -> str:
    return urgency.name.lower()


def _truth(value: object) -> str:
    return str(bool(value)).lower()


def _listed_at(
    lists: KeyListCache, clock: Callable[[], float], now: Callable[[], float]
) -> float | None:
    return None if lists.latest is None else now() - (clock() - lists.latest.begun)


def _token_expiry(api: AmoveClient) -> float | None:
    moment = api.credentials.expires_at()
    return None if moment is None else moment.timestamp()
