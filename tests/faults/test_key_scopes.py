"""Killed between the Secret and the status: what proves, after that, what the key may reach.

Status alone, which notes every issue but the first before the key is asked for.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, held, live_of, lives_alone, mints, most_live
from tests.faults.crash_point import CRASHING, CrashPoint

STATUS = "amovestoragekeys/app/status"
GRACE = {"gracePeriod": "1h"}


@pytest.fixture
def crash_before_status(
    cluster: Cluster, run_operator: RunOperator, tmp_path: Path
) -> Callable[..., list[str]]:
    """Start an operator that dies before its nth effect about the key; what it did."""

    def crash(nth: int, act: Callable[[], object] | None = None) -> list[str]:
        point = CrashPoint(tmp_path / "crash", f"{nth}:before")
        point.arm(about="app")
        # So long that it surely waits for a settled list, where it finds an object of before.
        operator = run_operator(program=CRASHING, environ=point.environ, listing_settle="5s")
        if act is not None:
            act()
        assert operator.wait() == -signal.SIGKILL
        return [line.rsplit("/", 3)[-1] for line in point.effects]

    return crash


def scope_of(emulator: Emulator, *buckets: str, permission: str = "ReadWrite") -> Manifest:
    return {
        "cloudAccountId": emulator.cloud_account_id,
        "region": "us-east-1",
        "storageDn": emulator.storage_dn,
        "permission": permission,
        "buckets": list(buckets),
    }


def issues(cluster: Cluster) -> list[tuple[int, Manifest]]:
    """The serial and the scope of each issue that status notes."""
    noted = cluster.found(KEY, "app")["status"]["recentIssues"]
    return [(one["serial"], one["scope"]) for one in noted]


def works(cluster: Cluster, pair: dict[str, str]) -> bool:
    with s3_with_only(pair) as s3:
        return refusal(s3.list_objects_v2, Bucket="photos") is None


def test_the_first_key_that_no_status_names_is_replaced_and_ends_with_its_grace(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    crash_before_status: Callable[..., list[str]],
) -> None:
    cluster.apply(a_bucket("photos"))

    def wish() -> None:
        cluster.ready(BUCKET, "photos")  # else the key would first say that it waits for it
        cluster.apply(a_key("app", bucketRefs=refs("photos"), rotation=GRACE))

    crash_before_status(4, wish)
    first, pair = held(cluster, "app"), cluster.secret("app")
    assert works(cluster, pair)
    assert "key" not in cluster.found(KEY, "app")["status"]

    run_operator()

    key = another_key(cluster, KEY, "app", first)
    (retiring,) = key["status"]["retiring"]
    assert (retiring["id"], retiring.get("buckets", [])) == (first, [])
    assert works(cluster, pair), "its grace runs"
    assert works(cluster, cluster.secret("app"))
    assert issues(cluster)[-1] == (2, scope_of(emulator, "photos"))
    cluster.apply(a_key("app", bucketRefs=refs("photos"), rotation={"gracePeriod": "0s"}))
    eventually(lambda: lives_alone(emulator, key), what="the end of the first")
    assert not works(cluster, pair)
    assert (mints(emulator), most_live(emulator)) == (2, 2)


def test_a_later_key_that_status_does_not_name_yet_is_taken_over_by_the_note_of_its_issue(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    crash_before_status: Callable[..., list[str]],
) -> None:
    operator = run_operator()
    cluster.apply(a_bucket("photos"), a_key("app", bucketRefs=refs("photos"), rotation=GRACE))
    first = cluster.ready(KEY, "app")["status"]["key"]
    assert issues(cluster) == [(1, scope_of(emulator, "photos"))]
    operator.stop()
    cluster.apply(a_key("app", bucketRefs=refs("photos"), permission="Read", rotation=GRACE))
    # It tells that it waits, notes the issue, asks for the key, and writes the Secret.
    crash_before_status(5)
    second = held(cluster, "app")
    assert second != first["id"] == cluster.found(KEY, "app")["status"]["key"]["id"]
    noted = [
        (1, scope_of(emulator, "photos")),
        (2, scope_of(emulator, "photos", permission="Read")),
    ]
    assert issues(cluster) == noted, "before the key was asked for"

    run_operator()

    key = another_key(cluster, KEY, "app", first["id"])
    current, (retiring,) = key["status"]["key"], key["status"]["retiring"]
    assert (current["id"], current["serial"], current["permission"]) == (second, 2, "Read")
    assert (retiring["id"], retiring["buckets"]) == (first["id"], ["photos"])
    assert live_of(emulator, key) == [first["id"], second]
    assert issues(cluster) == noted
    assert mints(emulator) == 2, "without another key"
