"""A real Prometheus scrapes a real operator: its series, the dashboard, and alerts that fire."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from amove_emulator import Emulator
from controlplane.components import free_ports
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import SYSTEM, Cluster
from tests.cluster.monitoring.conftest import StartPrometheus
from tests.cluster.monitoring.prometheus import Prometheus
from tests.patience import PATIENCE

FILES = Path(__file__).parents[3] / "deploy/helm/amove-operator/files"
MONTH = 30 * 86400


def expiring_token(seconds: float) -> str:
    """A token that says itself when it expires."""
    parts = ({"alg": "none"}, {"exp": int(time.time() + seconds)}, "unsigned")
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join(texts).decode()


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """The title of a panel, and each query that it asks."""
    board = json.loads((FILES / "dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$job", ".*").replace("$__rate_interval", "1m")
            yield panel["title"], query


def impatient_rules() -> dict[str, Any]:
    """The chart's rules with their own expressions, and nothing waited for."""
    rules: dict[str, Any] = yaml.safe_load((FILES / "alerts.yaml").read_text())
    for group in rules["groups"]:
        group["rules"] = [{**rule, "for": "0s"} for rule in group["rules"]]
    return rules


def is_up(prometheus: Prometheus) -> bool:
    targets = prometheus.targets()
    assert [(one["health"], one["lastError"]) for one in targets] == [("up", "")] * len(targets)
    return True


def test_prometheus_sees_each_object_once_and_answers_every_query_of_the_dashboard(
    cluster: Cluster,
    emulator: Emulator,
    token_file: Path,
    run_operator: RunOperator,
    start_prometheus: StartPrometheus,
) -> None:
    token_file.write_text(emulator.control.set_token(expiring_token(MONTH)))
    settings = {
        "leader_election": True,
        "lease_namespace": SYSTEM,
        "watch_namespaces": None,  # else nobody can know of orphans
        "resync_interval": "3s",
    }
    leader = run_operator(**settings)
    standby = run_operator(wait=False, **settings)
    prometheus = start_prometheus(leader.metrics_port, standby.metrics_port)
    rotation = {"interval": "720h", "gracePeriod": "1h"}
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), rotation=rotation))
    cluster.ready(KEY, "app")
    cluster.annotate(KEY, "app", rotate_requested_at="now")
    cluster.apply(a_bucket("taken", bucketName="photos"))
    cluster.until(BUCKET, "taken", "Stalled", "BucketClaimed")
    standby.wait_ready()

    unanswered: list[tuple[str, str]] = []

    def all_answered() -> bool:
        unanswered[:] = [one for one in dashboard_queries() if not prometheus.query(one[1])]
        assert unanswered == []
        return is_up(prometheus)

    eventually(all_answered, what="data for every query")
    name = "amove_operator_objects"
    ready = f'{name}{{kind="AmoveStorageKey", reason="Issued", ready="true"}}'
    eventually(lambda: prometheus.value(f"count({ready})") == 1, what="one series for all replicas")
    assert prometheus.value("sum(amove_operator_leader)") == 1
    assert prometheus.value("count(amove_operator_leader)") == 2
    assert prometheus.value("sum(amove_operator_keys_minted_total)") == 2
    expires = prometheus.value("amove_operator_api_token_expiry_timestamp_seconds")
    assert expires is not None
    assert abs(expires - time.time() - MONTH) < PATIENCE
    tenants = [cluster.namespace, "photos", "taken"]
    everything = prometheus.query('{__name__=~"amove_operator_.*"}')
    labels = {value for one in everything for value in one["metric"].values()}
    assert not labels & set(tenants), "no label is a name that a tenant chose"


def test_alerts_fire_and_resolve_for_real(
    cluster: Cluster,
    emulator: Emulator,
    token_file: Path,
    run_operator: RunOperator,
    start_prometheus: StartPrometheus,
) -> None:
    """Refused credentials, a service that is down, and no leader."""
    metrics, health = free_ports(2)
    ports = {"metrics_port": metrics, "health_port": health}
    operator = run_operator(**ports)
    prometheus = start_prometheus(str(metrics), rules=impatient_rules())
    cluster.apply(a_bucket("photos"))
    cluster.ready(BUCKET, "photos")
    eventually(lambda: is_up(prometheus), what="a scrape")
    eventually(lambda: "AmoveNoLeader" not in prometheus.firing(), what="a leader that is seen")

    def fires(name: str) -> None:
        eventually(lambda: name in prometheus.firing(), what=f"{name} firing")

    def resolves(name: str) -> None:
        eventually(lambda: name not in prometheus.firing(), what=f"{name} resolved")

    def look(why: str) -> None:
        cluster.annotate(BUCKET, "photos", reconcile_requested_at=why)

    token_file.write_text("amv_of_nobody")
    look("with a wrong token")
    fires("AmoveCredentialsRefused")
    assert "AmoveBreakerOpen" not in prometheus.firing(), "one cause wakes nobody twice"
    token_file.write_text(emulator.api_token)
    resolves("AmoveCredentialsRefused")

    calls = ("bucket_status", "get_storage_key")
    faults = [emulator.control.fault(call, status=500, times=None) for call in calls]
    look("while it is down")
    fires("AmoveBreakerOpen")
    assert "AmoveCredentialsRefused" not in prometheus.firing()
    for fault in faults:
        emulator.control.clear_faults(fault)
    resolves("AmoveBreakerOpen")

    operator.stop()
    fires("AmoveNoLeader")
    run_operator(**ports)
    resolves("AmoveNoLeader")


def test_a_full_account_and_another_users_token_wake_somebody_for_real(
    cluster: Cluster,
    emulator: Emulator,
    token_file: Path,
    run_operator: RunOperator,
    start_prometheus: StartPrometheus,
) -> None:
    operator = run_operator(resync_interval="2s")
    prometheus = start_prometheus(operator.metrics_port, rules=impatient_rules())
    eventually(lambda: is_up(prometheus), what="a scrape")

    def only(*names: str) -> bool:
        # A sweep of two seconds is late whenever the machine is busy.
        assert prometheus.firing() - {"AmoveSweepLate"} == set(names)
        return True

    eventually(only, what="silence")
    full = {"status": 499, "code": "COST", "message": "The account is full.", "times": None}
    fault = emulator.control.fault("create_bucket", **full)
    cluster.apply(*(a_bucket(name) for name in ("photos", "videos", "papers")))
    eventually(lambda: only("AmoveCreatesRefused"), what="a full account")
    emulator.control.clear_faults(fault)
    cluster.apply(a_key("app", bucketRefs=refs("photos")))
    cluster.ready(KEY, "app")
    eventually(only, what="silence once there is room")

    another = emulator.control.add_user()
    token_file.write_text(emulator.control.set_token(user_id=another))
    eventually(lambda: only("AmoveApiUserChanged"), what="another user's token")
    cluster.until(KEY, "app", "Ready", "ApiUserChanged", status="False")
    token_file.write_text(emulator.api_token)
    eventually(only, what="silence once the former user is back")
    cluster.ready(KEY, "app")
