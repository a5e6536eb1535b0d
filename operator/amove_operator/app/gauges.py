"""Metrics of values that exist elsewhere: read when they are scraped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.fairness import Urgency
from amove_operator.kube import FenceWatch, Kube
from amove_operator.models.refs import Kind
from amove_operator.telemetry import Metrics


def show_process(
    metrics: Metrics, kube: Kube, fence: FenceWatch, leads: Callable[[], bool]
) -> None:
    """What is known from the first moment."""
    metrics.api_credentials_valid.set(1)
    metrics.clock_skew.set_function(lambda: kube.skew_seconds or 0.0)
    metrics.fence_intact.set_function(lambda: fence.stands)
    metrics.leader.set_function(leads)


def show_operator(metrics: Metrics, d: Dependencies) -> None:
    """What is known once the operator is built."""
    metrics.queue_depth.set_function(lambda: d.queue.depth)
    metrics.queue_oldest.set_function(lambda: d.queue.oldest_seconds)
    permits = d.permits
    for urgency in Urgency:
        waiting = partial(permits.waiting, urgency)
        metrics.api_waiting.labels(urgency.name.lower()).set_function(waiting)
    metrics.api_longest_wait.set_function(lambda: permits.longest_wait)
    metrics.api_in_use.set_function(lambda: permits.in_use)
    metrics.api_pause.set_function(lambda: permits.pause_left)
    metrics.api_token_expiry.set_function(partial(_token_expiry, d.api))
    metrics.key_list_incomplete.set_function(lambda: d.key_lists.incomplete is not None)
    metrics.mass_loss.labels("bucket").set_function(lambda: d.bucket_losses.is_mass)
    counts = d.store.counts
    metrics.api_user_changed_keys.set_function(lambda: counts.issued_by_others(d.key_lists.latest))
    metrics.mint_budget_exhausted.set_function(lambda: counts.exhausted)
    metrics.untrusted_live_keys.set_function(lambda: counts.untrusted)
    for kind in Kind:
        for ready in ("true", "false"):
            count = partial(counts.of, kind, ready=ready == "true")
            metrics.objects.labels(kind.value, ready).set_function(count)


def count_call(metrics: Metrics, call: str, outcome: str, seconds: float) -> None:
    """Count one call to the Amove API: partial with its metrics, the client's observer."""
    metrics.api_requests.labels(call, outcome).inc()
    metrics.api_request_duration.labels(call).observe(seconds)


def _token_expiry(api: AmoveClient) -> float:
    moment = api.credentials.expires_at()
    return moment.timestamp() if moment is not None else 0.0
