"""What is refused, by us or by the world, costs a look at each resync and no write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from amove_emulator import Emulator
from tests.cluster.bucket_words import CALLS, about, calls, stalled, unsynced, writes_since
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, eventually, refs
from tests.cluster.harness_cluster import Cluster

_PAUSED = {"storage.amove.io/paused": "true"}
_ADOPT: dict[str, Any] = {"adoptionPolicy": "IfExists"}
_LOGGED = {"status": 499, "code": "BUCKET_LOGGING_SET", "message": "Logging is on."}
SWEEPS = 3

UNCALLED = {
    "claimed": "BucketClaimed",
    "external": "AccountUnusable",
    "awaited": "DeletionBlocked",
}
"""Refused by ourselves: nothing is called for them."""

LOOKED_AT = {
    "exists": "BucketExists",
    "taken": "BucketExists",
    "missing": "BucketMissing",
    "nowhere": "BucketMissing",
    "locked": "ObjectLockMismatch",
}
"""Refused by the world: they are only looked at."""

UNDELETED = {"full": "BucketNotEmpty", "barred": "DeleteRefused"}
"""Tried again, since nobody says when the cause is gone; status tells it once."""


def test_what_is_refused_stays_quiet_through_resyncs_and_retries(
    cluster: Cluster,
    emulator: Emulator,
    run_operator: RunOperator,
    namespace: str,
    make_namespace: Callable[[], str],
) -> None:
    untrusted = cluster.within(make_namespace())
    for name in ("exists", "taken", "missing", "locked", "drifted"):
        emulator.control.add_bucket(name)
    emulator.control.hide_bucket("taken")
    emulator.control.fault("delete_bucket", contains="barred", times=None, **_LOGGED)
    external = emulator.control.add_account(internal=False)
    run_operator(
        resync_interval="1s",
        watch_namespaces=[namespace, untrusted.namespace],
        trusted_namespaces=[namespace],
        cloud_account_id=emulator.cloud_account_id,
    )
    begin(cluster, emulator, external)
    untrusted.apply(a_bucket("open", public=True))
    for name, reason in (UNCALLED | LOOKED_AT | UNDELETED).items():
        stalled(cluster, name, reason)
    stalled(untrusted, "open", "NotPermitted")
    unsynced(cluster, "drifted", "DriftObserved")
    unsynced(cluster, "paused", "Paused")
    unsynced(cluster, "sticky", "FlagRejected")
    # What was under way when the last condition was written has come to its end with a sweep.
    sweeps_pass(emulator, 2)
    after, since = emulator.control.last_seq(), cluster.now()

    sweeps_pass(emulator, SWEEPS)

    journal = emulator.control.journal(after=after)
    assert writes_since(cluster, since) == []
    made = Counter((call["call"], about(call)) for call in journal if call["call"] in CALLS)
    for name in (*UNCALLED, "open", "paused"):
        assert [call for call in made if name in call] == []
    for name in (*LOOKED_AT, "drifted"):
        assert {call for call, of in made if of == name} == {"bucket_status"}
        assert made["bucket_status", name] <= SWEEPS + 2
    assert 1 <= made["update_bucket", "sticky"] <= SWEEPS + 2
    # At each resync, and at each retry of its own, which is no hastier, however long a sweep takes.
    retries = (journal[-1]["time"] - journal[0]["time"]) / 0.75 + 1
    for name in UNDELETED:
        assert 2 <= made["delete_bucket", name] <= SWEEPS + 2 + retries
    emulator.control.empty_bucket("full")
    cluster.gone(BUCKET, "full")


def begin(cluster: Cluster, emulator: Emulator, external: str) -> None:
    """Everything that will be refused, and what it needs to be."""
    going = ("full", "barred", "awaited")
    cluster.apply(*(a_bucket(name, deletionPolicy="Delete") for name in going))
    cluster.apply(a_bucket("owner"), a_bucket("sticky"), a_bucket("missing", **_ADOPT))
    for name in (*going, "owner", "sticky", "missing"):
        cluster.ready(BUCKET, name)
    cluster.apply(a_key("app", bucketRefs=refs("awaited"), annotations=_PAUSED))
    cluster.until(KEY, "app", "Synced", "Paused", status="False")
    emulator.control.drop_bucket("missing")
    emulator.control.put_object("full", "cat.jpg", "meow")
    emulator.control.stick_flags("sticky", "versioningEnabled")
    cluster.apply(
        a_bucket("claimed", bucketName="owner"),
        a_bucket("external", cloudAccountId=external),
        a_bucket("exists"),
        a_bucket("taken"),
        a_bucket("nowhere", managementPolicy="Observe"),
        a_bucket("locked", objectLockEnabled=True, **_ADOPT),
        a_bucket("drifted", managementPolicy="Observe", versioningEnabled=True),
        a_bucket("paused", annotations=_PAUSED),
        a_bucket("sticky", versioningEnabled=True),
    )
    for name in going:
        cluster.delete(BUCKET, name)


def sweeps_pass(emulator: Emulator, count: int) -> None:
    """Each sweep begins by reading the accounts."""
    before = emulator.control.count("get_all")
    eventually(lambda: emulator.control.count("get_all") >= before + count + 1)


def test_a_refused_create_is_tried_again_with_its_intent_and_nothing_more_to_tell(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """Refused for a code, for too many calls, for the credentials: surely not done, all three.

    The intent is on record before each try and is taken back after it; the conditions stay.
    """
    run_operator(resync_interval="1s")
    answers: dict[str, tuple[dict[str, Any], str]] = {
        "strange": ({"status": 499, "code": "MOON_PHASE", "message": "Not today."}, "ApiRefused"),
        "hasty": ({"status": 429, "headers": {"Retry-After": "0"}}, "ApiUnavailable"),
        "unknown": ({"status": 401}, "ApiUnauthorized"),
    }
    for name, (answer, _) in answers.items():
        emulator.control.fault("create_bucket", contains=name, times=None, **answer)
    cluster.apply(*(a_bucket(name) for name in answers))
    for name, (_, reason) in answers.items():
        assert "provenance" not in unsynced(cluster, name, reason)["status"]
    sweeps_pass(emulator, 1)
    since = cluster.now()
    before = {name: calls(emulator, name, "create_bucket") for name in answers}
    sweeps_pass(emulator, 2)

    written = Counter(writes_since(cluster, since))
    for name, (_, reason) in answers.items():
        tries = calls(emulator, name, "create_bucket") - before[name]
        assert tries >= 1
        assert 2 * (tries - 1) <= written.pop(f"patch amovebuckets {name}") <= 2 * (tries + 1)
        eventually(partial(intent_is_gone, cluster, name))
        cluster.until(BUCKET, name, "Synced", reason, status="False")
    assert not written  # no Event either

    emulator.control.clear_faults()
    for name in answers:
        assert cluster.ready(BUCKET, name)["status"]["provenance"] == "Created"


def intent_is_gone(cluster: Cluster, name: str) -> bool:
    return "createIntent" not in cluster.found(BUCKET, name)["status"]
