"""One bucket name has one AmoveBucket, across namespaces and accounts.

Said in docs/policies.md, "One name, one AmoveBucket".

All with an hour's resync: whoever takes over was woken.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from amove_emulator import Emulator
from tests.cluster.bucket_words import CHANGING, stalled, unsynced
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster


def test_of_three_one_has_the_bucket_and_the_next_takes_over_when_it_goes(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    teams = [whole_cluster.within(make_namespace()) for _ in range(3)]
    run_operator(watch_namespaces=[team.namespace for team in teams])
    shared = a_bucket("shared", deletionPolicy="Delete")
    first, *others = teams
    first.apply(shared)
    first.ready(BUCKET, "shared")
    in_one_second(others)

    for team in others:
        message = stalled(team, "shared", "BucketClaimed")
        assert f"belongs to an AmoveBucket of {first.namespace};" in message
    assert emulator.control.count("create_bucket") == 1

    first.delete(BUCKET, "shared")
    first.gone(BUCKET, "shared")
    # The older, and of one second the lesser UID.
    second, third = sorted(others, key=_age)
    assert second.ready(BUCKET, "shared")["status"]["provenance"] == "Created"
    eventually(lambda: f"of {second.namespace};" in stalled(third, "shared", "BucketClaimed"))
    assert emulator.control.count("create_bucket") == 2

    # It lets go of the bucket and leaves it: the third may not take what is there.
    second.patch(BUCKET, "shared", {"spec": {"deletionPolicy": "Retain"}})
    second.delete(BUCKET, "shared")
    second.gone(BUCKET, "shared")
    assert "exists already" in stalled(third, "shared", "BucketExists")
    assert emulator.control.count("create_bucket") == 2


def in_one_second(teams: list[Cluster]) -> None:
    """Make ``shared`` in both, of one creationTimestamp: else once more."""

    def made() -> bool:
        shared = a_bucket("shared", deletionPolicy="Delete")
        created = {team.apply(shared)[0]["metadata"]["creationTimestamp"] for team in teams}
        if len(created) == 1:
            return True
        for team in teams:
            team.delete(BUCKET, "shared")
            team.gone(BUCKET, "shared")
        return False

    eventually(made, what="two of one second")


def _age(team: Cluster, name: str = "shared") -> tuple[str, str]:
    metadata = team.found(BUCKET, name)["metadata"]
    return metadata["creationTimestamp"], metadata["uid"]


def make_younger(team: Cluster, manifest: Manifest, than: Cluster) -> None:
    """Apply it when the second is over in which the other team made its own of that name."""
    made = datetime.fromisoformat(_age(than, manifest["metadata"]["name"])[0])
    eventually(lambda: team.now() >= made + timedelta(seconds=1))
    team.apply(manifest)


def test_of_three_that_were_there_from_the_start_the_oldest_makes_the_one_bucket(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """Two of one second and a younger one; nobody looked before all were there."""
    *pair, late = (whole_cluster.within(make_namespace()) for _ in range(3))
    in_one_second(pair)
    make_younger(late, a_bucket("shared", deletionPolicy="Delete"), than=pair[0])
    run_operator(watch_namespaces=[late.namespace, *(team.namespace for team in pair)])

    first, *others = sorted((*pair, late), key=_age)
    assert first.ready(BUCKET, "shared")["status"]["provenance"] == "Created"
    for team in others:
        assert f"of {first.namespace};" in stalled(team, "shared", "BucketClaimed")
        assert "createIntent" not in team.found(BUCKET, "shared")["status"]
    assert emulator.control.count("create_bucket") == 1
    assert others[-1].namespace == late.namespace

    first.delete(BUCKET, "shared")
    first.gone(BUCKET, "shared")
    assert others[0].ready(BUCKET, "shared")["status"]["provenance"] == "Created"
    eventually(lambda: f"of {others[0].namespace};" in stalled(late, "shared", "BucketClaimed"))
    assert emulator.control.count("create_bucket") == 2


def test_who_takes_a_bucket_over_tells_the_others_and_who_follows_looks_anew(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """The older one saw a stranger's bucket; by the time it may have the name, there is none."""
    older, younger = (whole_cluster.within(make_namespace()) for _ in range(2))
    emulator.control.add_bucket("archive")
    run_operator(
        watch_namespaces=[older.namespace, younger.namespace],
        trusted_namespaces=[younger.namespace],
    )
    older.apply(a_bucket("archive"))
    stalled(older, "archive", "BucketExists")
    adopting: dict[str, Any] = {"adoptionPolicy": "IfExists", "deletionPolicy": "Delete"}
    make_younger(younger, a_bucket("archive", **adopting), than=older)
    assert younger.ready(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    claimed = stalled(older, "archive", "BucketClaimed")
    assert f"belongs to an AmoveBucket of {younger.namespace};" in claimed
    assert emulator.control.count("create_bucket") == 0

    younger.delete(BUCKET, "archive")
    younger.gone(BUCKET, "archive")
    assert older.ready(BUCKET, "archive")["status"]["provenance"] == "Created"
    assert emulator.control.count("create_bucket") == 1


def test_who_is_paused_or_has_no_account_keeps_no_name_from_others(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """Unless its status proves that the bucket is its own."""
    older, younger = (whole_cluster.within(make_namespace()) for _ in range(2))
    emulator.control.add_account()  # of two accounts none is the default
    run_operator(
        watch_namespaces=[older.namespace, younger.namespace],
        trusted_namespaces=[younger.namespace],
    )
    here: dict[str, Any] = {"cloudAccountId": emulator.cloud_account_id}
    older.apply(
        a_bucket("asleep", annotations={"storage.amove.io/paused": "true"}),
        a_bucket("homeless"),
    )
    unsynced(older, "asleep", "Paused")
    stalled(older, "homeless", "AccountUnknown")

    for name in ("asleep", "homeless"):
        make_younger(younger, a_bucket(name, **here), than=older)
        younger.ready(BUCKET, name)
    stalled(older, "homeless", "AccountUnknown")

    older.annotate(BUCKET, "asleep", paused=None)
    older.until(BUCKET, "asleep", "Stalled")
    younger.annotate(BUCKET, "asleep", paused="true")
    unsynced(younger, "asleep", "Paused")
    older.annotate(BUCKET, "asleep", reconcile_requested_at="now")
    older.until(BUCKET, "asleep", "Stalled")
    assert "provenance" not in older.found(BUCKET, "asleep")["status"]
    assert emulator.control.count("create_bucket") == 2


def test_a_retained_key_keeps_its_name_also_without_its_secret_until_it_is_revoked(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """Trusted or not: what it opens is told by its own name, which no tenant can write."""
    theirs, ours = (whole_cluster.within(make_namespace()) for _ in range(2))
    both = [theirs.namespace, ours.namespace]
    everywhere: dict[str, Any] = {"watch_namespaces": None, "resync_interval": "1s"}
    first = run_operator(**everywhere, trusted_namespaces=both)
    theirs.apply(
        a_bucket("archive", deletionPolicy="Delete"),
        a_key("app", bucketRefs=refs("archive"), deletionPolicy="Retain"),
    )
    theirs.ready(KEY, "app")
    pair = theirs.secret("app")
    theirs.delete(KEY, "app")
    theirs.gone(KEY, "app")
    theirs.delete(BUCKET, "archive")
    kept = RETAINED.format(theirs.namespace)
    eventually(lambda: kept in stalled(theirs, "archive", "DeletionBlocked"), what=kept)
    theirs.patch(BUCKET, "archive", {"spec": {"deletionPolicy": "Retain"}})
    theirs.gone(BUCKET, "archive")
    ours.apply(a_bucket("archive", adoptionPolicy="IfExists"))
    waits(ours, for_=RETAINED.format(theirs.namespace))

    first.stop()
    second = run_operator(**everywhere, trusted_namespaces=[ours.namespace])
    waits(ours, for_=RETAINED.format(theirs.namespace))
    theirs.delete("Secret", "app")
    waits(ours, for_=ORPHAN)
    eventually(lambda: second.metric("orphan_keys") == 1, what="an orphan counted")
    (key,) = emulator.control.live_keys()
    with s3_with_only(pair) as s3:
        assert refusal(s3.list_objects_v2, Bucket="archive") is None

    emulator.control.revoke_key(key["id"])

    assert ours.ready(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    assert emulator.control.count(*CHANGING) == 1


RETAINED = "the key in a retained Secret of namespace {}"
ORPHAN = "a live key that no resource names (have an admin run 'amove-operator orphans')"


def waits(ours: Cluster, *, for_: str) -> None:
    """The bucket waits for its name, and says for what, naming no object of another team's."""

    def ask() -> bool:
        seen = ours.until(BUCKET, "archive", "Reconciling", "NameInUse", deadline=0)
        told = condition(seen, "Synced")["message"]
        assert f"{for_} is revoked, which may reach bucket archive" in told, told
        assert "provenance" not in seen["status"]
        return True

    eventually(ask)


def test_a_claim_holds_across_accounts(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    other = emulator.control.add_account()
    run_operator(trusted_namespaces=[namespace], cloud_account_id=emulator.cloud_account_id)
    cluster.apply(a_bucket("here", bucketName="shared"))
    cluster.ready(BUCKET, "here")
    cluster.apply(a_bucket("there", bucketName="shared", cloudAccountId=other))
    stalled(cluster, "there", "BucketClaimed")
    assert emulator.control.count("create_bucket") == 1


def test_who_may_not_have_an_existing_bucket_holds_no_claim_against_who_may(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """The older one stalls while the younger waits: that frees the name, and says so at once."""
    older, younger = (whole_cluster.within(make_namespace()) for _ in range(2))
    emulator.control.add_bucket("archive")
    silence = emulator.control.fault("bucket_status", hang="before")
    run_operator(
        watch_namespaces=[older.namespace, younger.namespace],
        trusted_namespaces=[younger.namespace],
    )
    older.apply(a_bucket("archive"))
    emulator.control.wait_for_calls("bucket_status", 1, arrived=True)
    younger.apply(a_bucket("archive", adoptionPolicy="IfExists"))
    emulator.control.clear_faults(silence)
    assert younger.ready(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    older.until(BUCKET, "archive", "Stalled")
    assert emulator.control.count(*CHANGING) == 0


def test_a_name_is_not_given_away_while_somebody_elses_live_key_reaches_it(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    """Their bucket's resource is gone: then the key is given up, grace cut, pause or not."""
    theirs, ours = (whole_cluster.within(make_namespace()) for _ in range(2))
    run_operator(
        watch_namespaces=[theirs.namespace, ours.namespace], trusted_namespaces=[ours.namespace]
    )
    theirs.apply(
        a_bucket("archive"),
        a_key("app", bucketRefs=refs("archive"), rotation={"gracePeriod": "100h"}),
    )
    theirs.ready(KEY, "app")
    theirs.annotate(KEY, "app", paused="true")
    theirs.until(KEY, "app", "Synced", "Paused", status="False")
    ours.apply(a_bucket("archive", adoptionPolicy="IfExists"))
    stalled(ours, "archive", "BucketClaimed")
    silence = emulator.control.fault("delete_storage_key", hang="before")

    theirs.delete(BUCKET, "archive")
    theirs.gone(BUCKET, "archive")

    seen = ours.until(BUCKET, "archive", "Reconciling", "NameInUse")
    told = condition(seen, "Synced")["message"]
    assert f"a key of namespace {theirs.namespace} is revoked" in told
    assert "app" not in told
    assert "provenance" not in seen["status"]
    (key,) = emulator.control.live_keys()
    assert key["buckets"] == ["archive"]

    emulator.control.clear_faults(silence)
    assert ours.ready(BUCKET, "archive")["status"]["provenance"] == "Adopted"
    assert emulator.control.live_keys() == []


def test_a_deleted_bucket_that_is_applied_again_keeps_its_keys(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator, namespace: str
) -> None:
    """A slip in Git heals: nobody else wants the name, so no key is given up."""
    run_operator(trusted_namespaces=[namespace])
    mine = a_bucket("archive", adoptionPolicy="IfExists")
    cluster.apply(mine, a_key("app", bucketRefs=refs("archive")))
    cluster.ready(KEY, "app")
    before = cluster.secret("app")
    cluster.delete(BUCKET, "archive")
    cluster.gone(BUCKET, "archive")
    cluster.apply(mine)
    cluster.ready(BUCKET, "archive")
    cluster.until(KEY, "app", "Synced", "Settled")
    assert cluster.secret("app") == before
    assert emulator.control.count("create_storage_key") == 1


def test_free_scoped_keys_of_others_block_nobody(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    theirs, ours = (whole_cluster.within(make_namespace()) for _ in range(2))
    run_operator(
        watch_namespaces=[theirs.namespace, ours.namespace], trusted_namespaces=[theirs.namespace]
    )
    theirs.apply(a_key("named", bucketNames=["archive"]), a_key("all", allBuckets=True))
    for name in ("named", "all"):
        theirs.ready(KEY, name)
    ours.apply(a_bucket("archive", deletionPolicy="Delete"))
    ours.ready(BUCKET, "archive")
    ours.delete(BUCKET, "archive")
    ours.gone(BUCKET, "archive")
    assert emulator.control.buckets() == {}
    assert len(emulator.control.live_keys()) == 2
