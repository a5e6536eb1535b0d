"""Metrics: their names and labels are what dashboards and alerts are built on."""

from __future__ import annotations

import sys

from prometheus_client import generate_latest

from amove_operator import __version__
from amove_operator.telemetry import Metrics

EXPECTED = {
    "api_requests_total": {"call", "outcome"},
    "api_request_duration_seconds_count": {"call"},
    "api_breaker_open": set(),
    "api_credentials_valid": set(),
    "key_list_incomplete": set(),
    "api_token_expiry_timestamp_seconds": set(),
    "reconcile_total": {"kind", "result"},
    "reconcile_duration_seconds_count": {"kind"},
    "queue_depth": set(),
    "queue_oldest_seconds": set(),
    "objects": {"kind", "ready"},
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
    "clock_skew_seconds": set(),
    "resync_duration_seconds": set(),
    "resync_start_timestamp_seconds": set(),
    "resync_end_timestamp_seconds": set(),
    "resync_remaining_objects": set(),
    "api_waiting_calls": {"urgency"},
    "api_wait_oldest_seconds": set(),
    "api_permits_in_use": set(),
    "api_pause_seconds": set(),
    "fence_intact": set(),
    "fence_was_away_total": set(),
    "unlisted_namespaces": set(),
    "leader": set(),
    "build_info": {"version"},
}


def test_every_metric_has_its_name_and_no_label_that_a_tenant_fills() -> None:
    metrics = Metrics()
    metrics.api_requests.labels(call="bucket_status", outcome="ok").inc()
    metrics.api_request_duration.labels(call="bucket_status").observe(0.02)
    metrics.reconcile.labels(kind="AmoveBucket", result="settled").inc()
    metrics.reconcile_duration.labels(kind="AmoveBucket").observe(0.02)
    metrics.objects.labels(kind="AmoveBucket", ready="true").set(1)
    metrics.keys_revoked.labels(reason="deleted").inc()
    metrics.mass_loss.labels(kind="AmoveStorageKey").set(0)
    metrics.api_waiting.labels(urgency="change").set(0)
    samples = [sample for metric in metrics.registry.collect() for sample in metric.samples]
    ours = {
        sample.name.removeprefix("amove_operator_"): set(sample.labels)
        for sample in samples
        if sample.name.startswith("amove_operator_")
        and not sample.name.endswith(("_bucket", "_sum"))
    }
    assert ours == EXPECTED


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
    metrics.queue_depth.set_function(lambda: depth[0])
    depth[0] = 5
    assert metrics.registry.get_sample_value("amove_operator_queue_depth") == 5.0
