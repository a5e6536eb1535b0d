"""Metrics of values that exist elsewhere: read when they are scraped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from amove_operator.amove import AmoveClient
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.store import Store
from amove_operator.core import conditions
from amove_operator.core.key_list import KeyList
from amove_operator.core.reasons import Reason
from amove_operator.kube import FenceWatch, Kube
from amove_operator.models import AmoveStorageKey
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
    metrics.api_token_expiry.set_function(partial(_token_expiry, d.api))
    metrics.key_list_incomplete.set_function(lambda: d.key_lists.incomplete is not None)
    metrics.mass_loss.labels("bucket").set_function(lambda: d.bucket_losses.is_mass)
    metrics.api_user_changed_keys.set_function(
        lambda: count_keys_of_another_user(d.store, d.key_lists.latest)
    )
    metrics.mint_budget_exhausted.set_function(partial(count_exhausted_keys, d.store))
    metrics.untrusted_live_keys.set_function(partial(count_untrusted_keys, d.store))
    for kind in Kind:
        for ready in ("true", "false"):
            count = partial(count_objects, d.store, kind, ready=ready == "true")
            metrics.objects.labels(kind.value, ready).set_function(count)


def count_call(metrics: Metrics, call: str, outcome: str, seconds: float) -> None:
    """Count one call to the Amove API: partial with its metrics, the client's observer."""
    metrics.api_requests.labels(call, outcome).inc()
    metrics.api_request_duration.labels(call).observe(seconds)


def _token_expiry(api: AmoveClient) -> float:
    moment = api.credentials.expires_at()
    return moment.timestamp() if moment is not None else 0.0


def count_objects(store: Store, kind: Kind, *, ready: bool) -> int:
    """How many objects of a kind are Ready, or are not."""
    found = store.buckets.values() if kind is Kind.BUCKET else store.keys.values()
    return sum(conditions.is_true(one.status.conditions, "Ready") == ready for one in found)


def count_exhausted_keys(store: Store) -> int:
    """How many AmoveStorageKeys wait because they had too many keys issued."""
    return sum(_has_reason(key, Reason.MintBudgetExhausted) for key in store.keys.values())


def count_keys_of_another_user(store: Store, listing: KeyList | None) -> int:
    """How many AmoveStorageKeys have a key that another API user than today's issued.

    By the list, where that shows anybody's keys; an empty one does not say whose it is, but the
    user of a key that was issued since does, and then the object says so.
    """
    return sum(
        key.proven.key is not None
        and (
            _has_reason(key, Reason.ApiUserChanged)
            or (listing is not None and listing.speaks_for(key.proven.key.user_id) is False)
        )
        for key in store.keys.values()
    )


def count_untrusted_keys(store: Store) -> int:
    """How many AmoveStorageKeys hold a live key that their namespace is not trusted with."""
    return sum(
        key.proven.key is not None and _has_reason(key, Reason.NotPermitted)
        for key in store.keys.values()
    )


def _has_reason(key: AmoveStorageKey, reason: Reason) -> bool:
    return any(one.reason == reason for one in key.status.conditions)
