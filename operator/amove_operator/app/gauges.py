"""Metrics of values that exist elsewhere: read when they are scraped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared import loss_guard, store
from amove_operator.controllers.shared.context import Context
from amove_operator.core.refs import Kind
from amove_operator.kube import FenceWatch, Kube
from amove_operator.telemetry import Metrics


def show_process(
    metrics: Metrics, kube: Kube, fence: FenceWatch, leads: Callable[[], bool]
) -> None:
    """What is known from the first moment."""
    metrics.api_credentials_valid.set(1)
    metrics.clock_skew.set_function(lambda: kube.skew_seconds or 0.0)
    metrics.fence_intact.set_function(lambda: fence.stands)
    metrics.leader.set_function(leads)


def show_operator(metrics: Metrics, context: Context) -> None:
    """What is known once the operator is built."""
    metrics.queue_depth.set_function(lambda: context.queue.depth)
    metrics.queue_oldest.set_function(lambda: context.queue.oldest_seconds)
    metrics.api_token_expiry.set_function(partial(_token_expiry, context.api))
    metrics.mass_loss.labels("bucket").set_function(lambda: loss_guard.mass_bucket_loss(context))
    metrics.mint_budget_exhausted.set_function(partial(store.count_exhausted_keys, context.cache))
    metrics.untrusted_live_keys.set_function(partial(store.count_untrusted_keys, context.cache))
    for kind in Kind:
        for ready in ("true", "false"):
            metrics.objects.labels(kind.value, ready).set_function(
                partial(store.count_objects, context.cache, kind, ready=ready == "true")
            )


def count_call(metrics: Metrics, call: str, outcome: str, seconds: float) -> None:
    """Count one call to the Amove API: partial with its metrics, the client's observer."""
    metrics.api_requests.labels(call, outcome).inc()
    metrics.api_request_duration.labels(call).observe(seconds)


def _token_expiry(api: AmoveClient) -> float:
    moment = api.token_expiry()
    return moment.timestamp() if moment is not None else 0.0
