"""Metrics: their names and labels are what dashboards and alerts are built on."""

from __future__ import annotations

import sys

from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase

from amove_operator import __version__
from amove_operator.telemetry import Metrics
from amove_operator.telemetry.live_gauge import LiveGauge

EXPECTED = {
    "api_requests_total": {"call", "outcome"},
    "api_errors_total": {"call", "status", "code"},
    "api_retries_total": set(),
    "api_request_duration_seconds": {"call"},
    "api_wait_duration_seconds": {"urgency"},
    "kube_requests_total": {"method", "resource", "status"},
    "api_waiting_calls": {"urgency"},
    "api_wait_oldest_seconds": {"urgency"},
    "api_permits_in_use": set(),
    "api_pause_seconds": set(),
    "api_breaker_open": set(),
    "api_credentials_valid": set(),
    "api_token_expiry_timestamp_seconds": set(),
    "reconcile_total": {"kind", "result"},
    "reconcile_duration_seconds": {"kind"},
    "queue_depth": {"urgency"},
    "queue_oldest_seconds": {"urgency"},
    "workers": set(),
    "workers_busy": set(),
    "resync_duration_seconds": set(),
    "resync_start_timestamp_seconds": set(),
    "resync_end_timestamp_seconds": set(),
    "resync_remaining_objects": set(),
    "key_list_timestamp_seconds": set(),
    "key_list_incomplete": set(),
    "objects": {"kind", "ready", "reason"},
    "oldest_unready_timestamp_seconds": {"kind", "stalled"},
    "oldest_key_timestamp_seconds": set(),
    "next_rotation_timestamp_seconds": set(),
    "revocation_due_timestamp_seconds": set(),
    "keys_minted_total": set(),
    "keys_revoked_total": {"reason"},
    "revoke_unconfirmed_total": set(),
    "secret_writes_total": set(),
    "buckets_created_total": set(),
    "buckets_recreated_total": set(),
    "buckets_lost_total": set(),
    "buckets_deleted_total": set(),
    "orphan_keys": set(),
    "untrusted_live_keys": set(),
    "mint_budget_exhausted": set(),
    "mass_loss": {"kind"},
    "api_user_changed_keys": set(),
    "unlisted_namespaces": set(),
    "fence_was_away_total": set(),
    "leader": set(),
    "ready": set(),
    "fence_intact": set(),
    "clock_skew_seconds": set(),
    "watch_event_timestamp_seconds": {"kind"},
    "build_info": {"version"},
}


def shown(metrics: Metrics) -> dict[str, set[str]]:
    """Each of our samples by its name, with the labels that it has."""
    samples = [sample for metric in metrics.registry.collect() for sample in metric.samples]
    return {
        sample.name.removeprefix("amove_operator_"): set(sample.labels)
        for sample in samples
        if sample.name.startswith("amove_operator_")
    }


def test_every_metric_has_its_name_and_no_label_that_a_tenant_fills() -> None:
    metrics = Metrics()
    ours = {
        metric._name.removeprefix("amove_operator_"): set(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    gauges = {
        gauge._name.removeprefix("amove_operator_"): set(gauge._labels)
        for gauge in vars(metrics).values()
        if isinstance(gauge, LiveGauge)
    }
    counters = {one.removesuffix("_total") for one in EXPECTED if one.endswith("_total")}
    named = {f"{name}_total" if name in counters else name: labels for name, labels in ours.items()}
    assert {**named, **gauges, "build_info": {"version"}} == EXPECTED


def test_a_gauge_whose_value_is_not_known_is_absent() -> None:
    metrics = Metrics()
    expiry = "amove_operator_api_token_expiry_timestamp_seconds"
    read: list[float | None] = [None]
    metrics.api_token_expiry.set_function(lambda: read[0])
    assert metrics.registry.get_sample_value(expiry) is None
    read[0] = 1.8e9
    assert metrics.registry.get_sample_value(expiry) == 1.8e9
    assert "resync_end_timestamp_seconds" not in shown(metrics), "not 1970"


def test_who_does_not_lead_shows_counters_and_what_it_is_itself() -> None:
    metrics = Metrics()
    metrics.objects.set_all(lambda: {("AmoveBucket", "true", "Available"): 3})
    metrics.orphan_keys.set(2)
    metrics.leader.set(0)
    metrics.fence_intact.set(1)
    metrics.ready.set(1)
    assert {"objects", "orphan_keys", "leader"} <= shown(metrics).keys()
    metrics.leads = lambda: False
    assert not {"objects", "orphan_keys"} & shown(metrics).keys()
    assert {"leader", "fence_intact", "keys_minted_total"} <= shown(metrics).keys()


def test_the_version_and_the_process_are_in_the_metrics() -> None:
    text = generate_latest(Metrics().registry).decode()
    assert f'amove_operator_build_info{{version="{__version__}"}} 1.0' in text
    if sys.platform == "linux":
        assert "process_cpu_seconds_total" in text


def test_metrics_of_two_instances_are_apart() -> None:
    first, second = Metrics(), Metrics()
    first.keys_minted.inc()
    assert first.registry.get_sample_value("amove_operator_keys_minted_total") == 1.0
    assert second.registry.get_sample_value("amove_operator_keys_minted_total") == 0.0


def test_the_queue_is_read_when_scraped() -> None:
    metrics = Metrics()
    depth = [3]
    metrics.queue_depth.labels("change").set_function(lambda: depth[0])
    depth[0] = 5
    labels = {"urgency": "change"}
    assert metrics.registry.get_sample_value("amove_operator_queue_depth", labels) == 5.0
