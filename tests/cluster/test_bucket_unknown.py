"""What the service did not say clearly leads to nothing (design.md §4: unknown)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amove_emulator import Emulator
from tests.cluster.conftest import RunOperator
from tests.cluster.harness import BUCKET, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster

IMPATIENT = (str(Path(__file__).parents[1] / "faults" / "impatient_operator.py"),)
CHANGING = ("create_bucket", "update_bucket", "delete_bucket")
PAGE = "<html><body><h1>404 Object not found.</h1></body></html>"

UNCLEAR: dict[str, tuple[dict[str, Any], str]] = {
    "s500": ({"status": 500}, "ApiUnavailable"),
    "s502": ({"status": 502, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "s503": ({"status": 503}, "ApiUnavailable"),
    "s401": ({"status": 401}, "ApiUnauthorized"),
    "token": ({"status": 499, "code": "TOKEN"}, "ApiUnauthorized"),
    "silent": ({"hang": "before"}, "ApiUnavailable"),
    "dropped": ({"drop": "before"}, "ApiUnavailable"),
    "dropafter": ({"drop": "after"}, "ApiUnavailable"),
    "strange": ({"status": 499, "code": "MOON_PHASE", "message": "Not today."}, "ApiRefused"),
    "vague": ({"status": 499, "code": "Global", "message": "Something failed."}, "ApiRefused"),
    "page499": ({"status": 499, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "bare499": ({"status": 499}, "ApiUnavailable"),
    "page404": ({"status": 404, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "bare404": ({"status": 404}, "ApiUnavailable"),
    "json404": (
        {"status": 404, "body": '{"type": "NOT_FOUND"}', "content_type": "application/json"},
        "ApiUnavailable",
    ),
    "page200": ({"status": 200, "body": PAGE, "content_type": "text/html"}, "ApiUnavailable"),
    "text200": ({"status": 200, "body": "Object not found."}, "ApiUnavailable"),
    "empty200": ({"status": 200, "body": ""}, "ApiUnavailable"),
    "halfway": ({"truncate_at": 20}, "ApiUnavailable"),
    "cut200": ({"status": 200, "body": '{"versioningEnabled": fal'}, "ApiUnavailable"),
}
"""By a name: what ``bucket_status`` answers, and the reason that Synced then has."""

STATES = ("new", "drifted", "lost", "going")


def names(state: str) -> list[str]:
    """One bucket in that state for each unclear answer."""
    return [f"{state}-{what}" for what in UNCLEAR]


def prepare(cluster: Cluster, emulator: Emulator) -> None:
    """Settled buckets that a clear answer would have repaired, made again, and deleted."""
    settled = [name for state in ("drifted", "lost", "going") for name in names(state)]
    for name in settled:
        cluster.apply(a_bucket(name, versioningEnabled=True, deletionPolicy="Delete"))
    for name in settled:
        cluster.ready(BUCKET, name, deadline=40)
    for name in names("drifted"):
        emulator.control.set_flags(name, versioningEnabled=False)
    for name in names("lost"):
        emulator.control.drop_bucket(name)


def observe_again(cluster: Cluster, value: str) -> None:
    for state in ("drifted", "lost"):
        for name in names(state):
            cluster.annotate(BUCKET, name, reconcile_requested_at=value)


def test_an_unclear_observation_never_leads_to_a_create_an_update_or_a_delete(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator(program=IMPATIENT)
    prepare(cluster, emulator)
    after = emulator.control.last_seq()
    for what, (fault, _) in UNCLEAR.items():
        emulator.control.fault("bucket_status", contains=f'-{what}"', times=None, **fault)

    cluster.apply(*(a_bucket(name) for name in names("new")))
    observe_again(cluster, "1")
    for name in names("going"):
        cluster.delete(BUCKET, name)

    for what, (_, reason) in UNCLEAR.items():
        for state in STATES:
            name = f"{state}-{what}"
            seen = cluster.until(BUCKET, name, "Synced", reason, status="False", deadline=60)
            ready = "False" if state == "new" else "True"
            assert condition(seen, "Ready")["status"] == ready, (name, seen["status"])
            assert condition(seen, "Stalled") == {}, (name, seen["status"])
    looks = observations(emulator, after)
    eventually(
        lambda: all(observations(emulator, after)[name] > looks[name] for name in looks),
        60,
        what="each tried again",
    )
    changed = [call for call in emulator.control.journal(after=after) if call["call"] in CHANGING]
    assert changed == []
    assert operator.metric("buckets_lost_total") == 0
    heal(cluster, emulator)


def observations(emulator: Emulator, after: int) -> dict[str, int]:
    """How often each bucket was looked at."""
    found = dict.fromkeys([name for state in STATES for name in names(state)], 0)
    for call in emulator.control.journal("bucket_status", after):
        found[call["body"]["bucketName"]] += 1
    return found


def heal(cluster: Cluster, emulator: Emulator) -> None:
    """A clear answer leads to what each was about to do, and a mass of losses to nothing."""
    emulator.control.clear_faults()
    observe_again(cluster, "2")
    for name in names("new"):
        cluster.annotate(BUCKET, name, reconcile_requested_at="2")
    for state in ("new", "drifted"):
        for name in names(state):
            cluster.until(BUCKET, name, "Synced", "Settled")
    for name in names("lost"):
        cluster.until(BUCKET, name, "Synced", "MassBucketLoss", status="False")
    for name in names("going"):
        cluster.gone(BUCKET, name)
    left = set(emulator.control.buckets())
    assert left == {*names("new"), *names("drifted")}
