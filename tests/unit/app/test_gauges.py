"""Gauges of values that exist elsewhere count what is there when they are scraped."""

from __future__ import annotations

import pytest

from amove_operator.amove.sent import Sent
from amove_operator.app.gauges import count_call, count_kube_request, show_operator, start_counters
from amove_operator.errors import IncompleteListing
from amove_operator.kube.transport import resource_of
from amove_operator.models.refs import Ref
from amove_operator.telemetry import Metrics
from tests.unit.bucket_cluster import BucketCluster, on_cluster


async def some_keys(cluster: BucketCluster, number: int) -> list[Ref]:
    cluster.apply("team", "media")
    keys = [cluster.apply_key("team", f"app-{count}", "media") for count in range(number)]
    await cluster.passes(60)
    return keys


async def listed(cluster: BucketCluster) -> None:
    await cluster.passes(60)
    await cluster.d.key_lists.fresh()
    await cluster.passes(60)


@pytest.mark.parametrize("has_keys", [True, False], ids=["who has keys", "who has none"])
def test_keys_whose_issuer_is_another_user_are_counted_until_he_is_back(has_keys: bool) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        metrics = Metrics()
        show_operator(metrics, cluster.d)

        def shown() -> float:
            ((sample,),) = (one.samples for one in metrics.api_user_changed_keys.collect())
            return float(sample.value)

        await some_keys(cluster, 2)
        await listed(cluster)
        assert shown() == 0
        cluster.service.user = "user-2"
        if has_keys:
            cluster.service.issue("theirs", "a-key-of-his")
        await listed(cluster)
        assert shown() == 2
        cluster.service.user = "user-1"
        await listed(cluster)
        assert shown() == 0

    on_cluster(scenario)


def test_a_deletion_that_only_the_former_users_token_can_end_counts_whatever_it_says() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        key, _ = await some_keys(cluster, 2)
        cluster.service.user = "user-2"
        cluster.service.issue("theirs", "a-key-of-his")
        await listed(cluster)
        cluster.delete(key)
        cluster.annotate(key, accept_loss="mine")
        await listed(cluster)
        assert cluster.says(key)["Synced"] == ("False", "ApiRefused")
        assert cluster.d.store.counts.issued_by_others(cluster.d.key_lists.latest) == 2

    on_cluster(scenario)


def test_a_list_that_does_not_add_up_shows_until_one_does() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        metrics = Metrics()
        show_operator(metrics, cluster.d)

        def shown() -> float:
            ((sample,),) = (one.samples for one in metrics.key_list_incomplete.collect())
            return float(sample.value)

        assert shown() == 0
        cluster.service.half_lists = 1
        with pytest.raises(IncompleteListing):
            await cluster.d.key_lists.fresh()
        assert shown() == 1
        await cluster.d.key_lists.fresh()
        assert shown() == 0

    on_cluster(scenario)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"amove_operator_{name}", labels)


def test_every_counter_is_there_from_the_start_with_its_labels() -> None:
    metrics = Metrics()
    start_counters(metrics)
    for metric in metrics.registry.collect():
        if metric.type in ("counter", "histogram") and not metric.name.startswith("process_"):
            assert metric.samples, f"{metric.name} would begin with 1"
    assert value(metrics, "reconcile_total", kind="AmoveBucket", result="kube_refused") == 0
    assert value(metrics, "keys_revoked_total", reason="retired") == 0
    assert value(metrics, "api_requests_total", call="create_bucket", outcome="AuthFailed") == 0
    series = sum(len(metric.samples) for metric in metrics.registry.collect())
    assert series < 1000, "a scrape stays small"


@pytest.mark.parametrize(
    ("sent", "labels"),
    [
        (Sent("create_bucket", "Rejected", 0.1, 499, "COST"), ("499", "COST")),
        (Sent("create_bucket", "Rejected", 0.1, 499, "Made up by the service"), ("499", "other")),
        (Sent("create_bucket", "ServerFault", 0.1, 500), ("500", "none")),
        (Sent("create_bucket", "ServerFault", 0.1, 599), ("other", "none")),
        (Sent("create_bucket", "TransportFault", 0.1), ("none", "none")),
    ],
)
def test_a_failed_call_counts_by_status_and_code_in_words_of_a_bounded_number(
    sent: Sent, labels: tuple[str, str]
) -> None:
    metrics = Metrics()
    count_call(metrics, sent)
    status, code = labels
    assert value(metrics, "api_errors_total", call=sent.call, status=status, code=code) == 1
    assert value(metrics, "api_requests_total", call=sent.call, outcome=sent.outcome) == 1


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces/kube-system", "namespaces"),
        ("/api/v1/namespaces/team/secrets/app", "secrets"),
        ("/api/v1/secrets", "secrets"),
        ("/apis/storage.amove.io/v1alpha1", "discovery"),
        (
            "/apis/storage.amove.io/v1alpha1/namespaces/a/amovebuckets/b/status",
            "amovebuckets/status",
        ),
        ("/apis/coordination.k8s.io/v1/namespaces/secrets/leases/secrets", "leases"),
    ],
)
def test_a_request_to_kubernetes_counts_by_its_resource_whatever_names_are_in_it(
    path: str, resource: str
) -> None:
    metrics = Metrics()
    count_kube_request(metrics, "GET", resource_of(path), None)
    count_kube_request(metrics, "GET", resource_of(path), 403)
    labels = {"method": "GET", "resource": resource}
    assert value(metrics, "kube_requests_total", status="none", **labels) == 1
    assert value(metrics, "kube_requests_total", status="403", **labels) == 1


def test_objects_and_the_oldest_keys_are_shown_once_there_are_any() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        metrics = Metrics()
        show_operator(metrics, cluster.d)
        metrics.api_token_expiry.set(None)  # this service asks for no token
        assert value(metrics, "oldest_key_timestamp_seconds") is None
        assert value(metrics, "key_list_timestamp_seconds") is None
        await some_keys(cluster, 2)
        await listed(cluster)
        issued = {"kind": "AmoveStorageKey", "ready": "true", "reason": "Issued"}
        assert value(metrics, "objects", **issued) == 2
        assert value(metrics, "oldest_key_timestamp_seconds") is not None
        assert value(metrics, "key_list_timestamp_seconds") is not None
        assert value(metrics, "next_rotation_timestamp_seconds") is None, "no interval is set"
        halted = {"kind": "AmoveBucket", "stalled": "true"}
        assert value(metrics, "oldest_unready_timestamp_seconds", **halted) is None
        cluster.apply("team", "wrong", bucketName="media")
        await cluster.passes(60)
        assert value(metrics, "oldest_unready_timestamp_seconds", **halted) is not None

    on_cluster(scenario)
