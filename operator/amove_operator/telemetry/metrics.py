"""The operator's metrics, all in one registry.

No label carries a name that a tenant chose: the number of series stays bounded, and the
metrics port shows nobody what others called their buckets. Two replicas do not show the same twice:
what only the leader knows, only the leader exports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector

from amove_operator import __version__
from amove_operator.telemetry.live_gauge import LiveGauge

PREFIX = "amove_operator"

_API_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RECONCILE_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Every metric as an attribute, named as exported without ``amove_operator_`` and ``_total``.

    Values that exist elsewhere are read when scraped:
    ``metrics.orphan_keys.set_function(lambda: watch.count)``. ``leads``: whether this process shows
    what is the leader's to show.
    """

    def __init__(self) -> None:
        # A "_created" series beside each counter would double them for nobody's use.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.leads: Callable[[], bool] = lambda: True
        ProcessCollector(registry=self.registry)
        self._count_requests()
        self._show_the_line_of_calls()
        self._show_the_service()
        self._count_reconciling()
        self._show_the_sweep()
        self._show_objects()
        self._count_keys_and_buckets()
        self._show_alarms()
        self._show_the_process()

    def _count_requests(self) -> None:
        self.api_requests = self._counter(
            "api_requests_total", "Calls sent to the Amove API.", "call", "outcome"
        )
        self.api_errors = self._counter(
            "api_errors_total", "Calls that did not succeed.", "call", "status", "code"
        )
        self.api_retries = self._counter(
            "api_retries_total", "Calls to be sent again after a failure that may pass."
        )
        self.api_request_duration = self._histogram(
            "api_request_duration_seconds", "Duration of one call.", _API_SECONDS, "call"
        )
        self.api_wait_duration = self._histogram(
            "api_wait_duration_seconds", "Time in line for a call.", _API_SECONDS, "urgency"
        )
        self.kube_requests = self._counter(
            "kube_requests_total", "Requests to Kubernetes.", "method", "resource", "status"
        )

    def _show_the_line_of_calls(self) -> None:
        self.api_waiting = self._of_leader(
            "api_waiting_calls", "Calls in line for their turn: most for an object.", "urgency"
        )
        self.api_longest_wait = self._of_leader(
            "api_wait_oldest_seconds",
            "How long the call that came first has been in line.",
            "urgency",
        )
        self.api_in_use = self._of_leader(
            "api_permits_in_use", "Who may call now: AMOVE_CONCURRENCY at most."
        )
        self.api_pause = self._of_leader(
            "api_pause_seconds", "For how long the service asked to send no calls."
        )

    def _show_the_service(self) -> None:
        self.api_breaker_open = self._of_leader(
            "api_breaker_open", "1 while all calls are held back: the API is down or refuses us."
        )
        self.api_credentials_valid = self._of_leader(
            "api_credentials_valid", "1 while the API accepts the operator's credentials."
        )
        self.api_token_expiry = self._of_leader(
            "api_token_expiry_timestamp_seconds", "When the API token expires; absent if unknown."
        )

    def _count_reconciling(self) -> None:
        self.reconcile = self._counter("reconcile_total", "Runs by their result.", "kind", "result")
        self.reconcile_duration = self._histogram(
            "reconcile_duration_seconds", "Duration of one run.", _RECONCILE_SECONDS, "kind"
        )
        self.queue_depth = self._of_leader(
            "queue_depth", "Objects waiting for a worker.", "urgency"
        )
        self.queue_oldest = self._of_leader(
            "queue_oldest_seconds",
            "How long the object that came first has waited for a worker.",
            "urgency",
        )
        self.workers = self._of_leader("workers", "Workers: objects served at a time, at most.")
        self.workers_busy = self._of_leader("workers_busy", "Workers that serve an object.")

    def _show_the_sweep(self) -> None:
        self.resync_duration = self._of_leader(
            "resync_duration_seconds", "Duration of the last sweep: at least the interval."
        )
        self.resync_began = self._of_leader(
            "resync_start_timestamp_seconds", "When the present sweep over all objects began."
        )
        self.resync_ended = self._of_leader(
            "resync_end_timestamp_seconds", "When the last sweep over all objects ended."
        )
        self.resync_remaining = self._of_leader(
            "resync_remaining_objects", "Objects that the present sweep has not reached yet."
        )
        self.key_list = self._of_leader(
            "key_list_timestamp_seconds", "When the last complete list of keys was begun."
        )
        self.key_list_incomplete = self._of_leader(
            "key_list_incomplete", "1 while the service's list of keys does not add up."
        )

    def _show_objects(self) -> None:
        self.objects = self._of_leader(
            "objects", "Objects by kind, readiness and reason.", "kind", "ready", "reason"
        )
        self.oldest_unready = self._of_leader(
            "oldest_unready_timestamp_seconds",
            "Since when the object is not Ready that is so for longest.",
            "kind",
            "stalled",
        )
        self.oldest_key = self._of_leader(
            "oldest_key_timestamp_seconds", "When the oldest key in use was issued."
        )
        self.next_rotation = self._of_leader(
            "next_rotation_timestamp_seconds", "When the next key is replaced by the clock."
        )
        self.revocation_due = self._of_leader(
            "revocation_due_timestamp_seconds", "When the next key is to be revoked."
        )

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
        self.orphan_keys = self._of_leader(
            "orphan_keys", "Live keys of this cluster without resource and Secret."
        )
        self.untrusted_live_keys = self._of_leader(
            "untrusted_live_keys", "Live keys whose namespace is no longer trusted with them."
        )
        self.mint_budget_exhausted = self._of_leader(
            "mint_budget_exhausted", "Objects that wait because they had too many keys issued."
        )
        self.mass_loss = self._of_leader(
            "mass_loss", "1 while so many objects are missing that nothing is replaced.", "kind"
        )
        self.api_user_changed_keys = self._of_leader(
            "api_user_changed_keys", "AmoveStorageKeys whose key another API user issued."
        )
        self.unlisted_namespaces = self._of_leader(
            "unlisted_namespaces", "Watched namespaces that may not be listed: nothing new is seen."
        )
        self.fence_was_away = self._counter(
            "fence_was_away_total", "Times that another fence was found than the noted one."
        )

    def _show_the_process(self) -> None:
        self.leader = self._of_process("leader", "1 while this process leads.")
        self.ready = self._of_process("ready", "1 while /readyz answers 200.")
        self.fence_intact = self._of_process(
            "fence_intact", "1 while the admission policy amove-fence stands and guards enough."
        )
        self.clock_skew = self._of_process(
            "clock_skew_seconds", "Local clock minus the Kubernetes API server's."
        )
        self.watch_event = self._of_process(
            "watch_event_timestamp_seconds", "When the watch of a kind last said something.", "kind"
        )
        build = Info(f"{PREFIX}_build", "Version of the operator.", registry=self.registry)
        build.info({"version": __version__})

    def _shows_leaders(self) -> bool:
        return self.leads()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _of_leader(self, name: str, text: str, *labels: str) -> LiveGauge:
        """A gauge that the leader alone exports."""
        return LiveGauge(f"{PREFIX}_{name}", text, labels, self.registry, self._shows_leaders)

    def _of_process(self, name: str, text: str, *labels: str) -> LiveGauge:
        """A gauge that each replica exports of itself."""
        return LiveGauge(f"{PREFIX}_{name}", text, labels, self.registry, lambda: True)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
