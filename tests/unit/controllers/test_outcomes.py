"""``reconcile_total`` says of each pass what the service or Kubernetes had against it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from amove_operator.core.outcomes import Outcome
from amove_operator.errors import (
    AuthFailed,
    Conflict,
    IncompleteListing,
    KubeInternalError,
    KubeRefused,
    KubeUnavailable,
    NotLeading,
    Rejected,
    TransportFault,
)
from amove_operator.models.refs import Kind, Ref
from tests.unit.bucket_cluster import METRICS, BucketCluster, on_cluster

REFUSED = Rejected("DEFAULT", "not today")


def counted() -> Counter[tuple[str, str]]:
    """The passes until now, by kind and result."""
    found = Counter[tuple[str, str]]()
    for kind in Kind:
        for result in Outcome:
            labels = {"kind": kind.value, "result": result.value}
            count = METRICS.registry.get_sample_value("amove_operator_reconcile_total", labels)
            found[kind.value, result] = int(count or 0)
    return found


def results(before: Counter[tuple[str, str]], kind: Kind) -> set[str]:
    """How the passes over objects of a kind ended since."""
    return {result for (one, result), count in (counted() - before).items() if one == kind.value}


def failing(stand_in: object, call: str, error: Exception) -> None:
    async def fails(*_: Any, **__: Any) -> Any:
        raise error

    setattr(stand_in, call, fails)


async def ready(cluster: BucketCluster) -> tuple[Ref, Ref]:
    bucket = cluster.apply("team", "media", deletionPolicy="Delete")
    key = cluster.apply_key("team", "app", "media")
    await cluster.passes(60)
    return bucket, key


def test_a_life_in_which_all_goes_well_counts_as_ok_or_as_waiting() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        before = counted()
        bucket, key = await ready(cluster)
        cluster.delete(key)
        await cluster.passes(60)
        cluster.delete(bucket)
        await cluster.passes(60)
        assert not cluster.kube.crs
        assert results(before, Kind.BUCKET) | results(before, Kind.KEY) <= {"ok", "waits"}

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("call", "error", "result"),
    [
        ("create_storage_key", REFUSED, "api_refused"),
        ("create_storage_key", TransportFault("time-out"), "api_error"),
        ("create_storage_key", AuthFailed("AUTH"), "api_error"),
    ],
)
def test_a_key_that_the_service_does_not_issue_is_not_ok(
    call: str, error: Exception, result: str
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        failing(cluster.service, call, error)
        before = counted()
        await ready(cluster)
        assert result in results(before, Kind.KEY)

    on_cluster(scenario)


def test_a_list_that_does_not_add_up_is_not_ok() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        failing(cluster.service, "get_storage_keys", IncompleteListing("half"))
        before = counted()
        await ready(cluster)
        assert "api_error" in results(before, Kind.BUCKET)

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("call", "error", "result"),
    [
        ("status", TransportFault("time-out"), "api_error"),
        ("create", REFUSED, "api_refused"),
        ("delete", REFUSED, "api_refused"),
    ],
)
def test_a_bucket_of_which_the_service_refuses_a_call_is_not_ok(
    call: str, error: Any, result: str
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        before = counted()
        if call != "delete":
            cluster.service.failing[call, "media"] = error
        bucket, key = await ready(cluster)
        if call == "delete":
            cluster.service.failing[call, "media"] = error
            cluster.delete(key)
            await cluster.passes(60)
            cluster.delete(bucket)
            await cluster.passes(60)
        assert result in results(before, Kind.BUCKET)

    on_cluster(scenario)


@pytest.mark.parametrize(
    ("call", "error", "result"),
    [
        ("add_finalizer", KubeRefused("no", status=403), "kube_refused"),
        ("write_status", KubeRefused("no", status=403), "kube_refused"),
        ("create_secret", KubeRefused("no", status=403), "kube_refused"),
        ("create_secret", KubeInternalError("webhook down"), "kube_refused"),
        ("create_secret", KubeUnavailable("no answer"), "kube_unavailable"),
        ("write_status", Conflict("modified"), "conflict"),
        ("write_status", NotLeading("the Lease is old"), "not_leading"),
    ],
)
def test_what_kubernetes_has_against_a_pass_is_its_result(
    call: str, error: Exception, result: str
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        bucket, _ = await ready(cluster)
        before = counted()
        failing(cluster.kube, call, error)
        again = cluster.apply_key("team", "another", "media")
        await cluster.passes(60)
        assert cluster.says(bucket)["Ready"] == ("True", "Available")
        assert cluster.says(again).get("Ready") != ("True", "Issued")
        assert results(before, Kind.KEY) == {result}

    on_cluster(scenario)


def test_what_we_refuse_ourselves_is_ok() -> None:
    async def scenario(cluster: BucketCluster) -> None:
        before = counted()
        ref = cluster.apply("team", "media", public=True)
        await cluster.passes(60)
        assert cluster.says(ref)["Stalled"] == ("True", "NotPermitted")
        assert results(before, Kind.BUCKET) == {"ok"}

    on_cluster(scenario)
