"""The operator's metrics, all in one registry.

No label carries a name that a tenant chose: the number of series stays bounded, and the
metrics port shows nobody what others called their buckets.
"""

from __future__ import annotations

from collections.abc import Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from amove_operator import __version__

PREFIX = "amove_operator"

_API_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RECONCILE_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Every metric as an attribute, named as exported without ``amove_operator_`` and ``_total``.

    Values that exist elsewhere are read when scraped:
    ``metrics.queue_depth.set_function(lambda: queue.depth)``.
    """

    def __init__(self) -> None:
        # A "_created" series beside each counter would double them for nobody's use.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._count_api_calls()
        self._count_reconciling()
        self._count_keys_and_buckets()
        self._show_alarms()
        build = Info(f"{PREFIX}_build", "Version of the operator.", registry=self.registry)
        build.info({"version": __version__})

    def _count_api_calls(self) -> None:
        self.api_requests = self._counter(
            "api_requests_total", "Calls sent to the Amove API.", "call", "outcome"
        )
        self.api_request_duration = self._histogram(
            "api_request_duration_seconds", "Duration of one call.", _API_SECONDS, "call"
        )
        self.api_waiting = self._gauge(
            "api_waiting_calls", "Calls in line for their turn: most for an object.", "urgency"
        )
        self.api_longest_wait = self._gauge(
            "api_wait_oldest_seconds", "How long the call that came first has been in line."
        )
        self.api_in_use = self._gauge(
            "api_permits_in_use",
            "Who may call now: AMOVE_CONCURRENCY at most.",
        )
        self.api_pause = self._gauge(
            "api_pause_seconds", "For how long the service asked to send no calls."
        )
        self.api_breaker_open = self._gauge(
            "api_breaker_open", "1 while all calls are held back: the API is down or refuses us."
        )
        self.api_credentials_valid = self._gauge(
            "api_credentials_valid", "1 while the API accepts the operator's credentials."
        )
        self.api_token_expiry = self._gauge(
            "api_token_expiry_timestamp_seconds", "When the API token expires; 0 if not known."
        )

    def _count_reconciling(self) -> None:
        self.reconcile = self._counter("reconcile_total", "Runs by their result.", "kind", "result")
        self.reconcile_duration = self._histogram(
            "reconcile_duration_seconds", "Duration of one run.", _RECONCILE_SECONDS, "kind"
        )
        self.queue_depth = self._gauge("queue_depth", "Objects waiting for a worker.")
        self.queue_oldest = self._gauge(
            "queue_oldest_seconds", "How long the object that came first has waited for a worker."
        )
        self.resync_duration = self._gauge(
            "resync_duration_seconds", "Duration of the last sweep: at least the interval."
        )
        self.resync_began = self._gauge(
            "resync_start_timestamp_seconds", "When the present sweep over all objects began."
        )
        self.resync_ended = self._gauge(
            "resync_end_timestamp_seconds", "When the last sweep over all objects ended."
        )
        self.resync_remaining = self._gauge(
            "resync_remaining_objects", "Objects that the present sweep has not reached yet."
        )
        self.objects = self._gauge("objects", "Objects by kind and readiness.", "kind", "ready")

    def _count_keys_and_buckets(self) -> None:
        self.keys_minted = self._counter("keys_minted_total", "Keys issued.")
        self.keys_revoked = self._counter("keys_revoked_total", "Keys revoked.", "reason")
        self.revoke_unconfirmed = self._counter(
            "revoke_unconfirmed_total", "Keys gone from the list without a 200 to their deletion."
        )
        self.secret_writes = self._counter("secret_writes_total", "Secrets written.")
        self.buckets_created = self._counter("buckets_created_total", "Buckets created.")
        self.buckets_recreated = self._counter(
            "buckets_recreated_total", "Buckets created anew after they were deleted elsewhere."
        )
        self.buckets_lost = self._counter(
            "buckets_lost_total",
            "Buckets of ours that two observations found absent, though not deleted here.",
        )
        self.buckets_deleted = self._counter("buckets_deleted_total", "Buckets deleted.")

    def _show_alarms(self) -> None:
        self.orphan_keys = self._gauge(
            "orphan_keys", "Live keys of this cluster without resource and Secret."
        )
        self.untrusted_live_keys = self._gauge(
            "untrusted_live_keys", "Live keys whose namespace is no longer trusted with them."
        )
        self.mint_budget_exhausted = self._gauge(
            "mint_budget_exhausted", "Objects that wait because they had too many keys issued."
        )
        self.key_list_incomplete = self._gauge(
            "key_list_incomplete", "1 while the service's list of keys does not add up."
        )
        self.mass_loss = self._gauge(
            "mass_loss", "1 while so many objects are missing that nothing is replaced.", "kind"
        )
        self.api_user_changed_keys = self._gauge(
            "api_user_changed_keys", "AmoveStorageKeys whose key another API user issued."
        )
        self.clock_skew = self._gauge(
            "clock_skew_seconds", "Local clock minus the Kubernetes API server's."
        )
        self.fence_intact = self._gauge(
            "fence_intact", "1 while the admission policy amove-fence stands and guards enough."
        )
        self.fence_was_away = self._counter(
            "fence_was_away_total", "Times that another fence was found than the noted one."
        )
        self.unlisted_namespaces = self._gauge(
            "unlisted_namespaces", "Watched namespaces that may not be listed: nothing new is seen."
        )
        self.leader = self._gauge("leader", "1 while this process leads.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
