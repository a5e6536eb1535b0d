"""Flux beside what is down, what a person does by hand, and its own sharpest option."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from amove_emulator import Emulator
from tests.cluster.bucket_words import kubectl_line, stalled
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
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_ids, lives_alone, mints
from tests.cluster.harness_operator import environment
from tests.gitops.client import s3_client
from tests.gitops.repository import NOTE, TOOLKIT, Files, FluxSystem
from tests.patience import PATIENCE


def _bucket_and_key() -> list[Manifest]:
    return [a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))]


def test_what_is_pruned_and_put_back_while_the_service_is_down_ends_with_one_new_key(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace, timeout="30s")
    flux.applied(name, repository.commit({"note.yaml": NOTE, "all.yaml": _bucket_and_key()}))
    old = cluster.found(KEY, "app")
    emulator.control.fault("*", status=503, times=None)

    # Flux asks for the deletion, and does not wait for its end.
    flux.applied(name, repository.commit({"all.yaml": None}))
    going = cluster.found(KEY, "app")["metadata"]
    assert going["deletionTimestamp"]
    assert going["finalizers"]
    revision = repository.commit({"all.yaml": _bucket_and_key()})
    flux.waits(name, revision)
    assert old["status"]["key"]["id"] in live_ids(emulator)
    # So long an outage that the key's list has failed, and the next try of one is far off.
    operator.wait_log("all calls to the Amove API are held back")
    cluster.until(KEY, "app", "Synced", "ApiUnavailable", status="False")

    emulator.control.clear_faults()
    # The bucket was kept, and nothing proves any more whose it is: an admin says so.
    message = stalled(cluster, "photos", "BucketExists")
    cluster.plane.kubectl(*kubectl_line(message))
    cluster.ready(BUCKET, "photos")
    eventually(lambda: _another(cluster, old), what="the end of the former key")
    # Flux makes it anew when its wait for the former one has ended.
    flux.applied(name, revision)
    new = cluster.ready(KEY, "app")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert live_ids(emulator) == {new["status"]["key"]["id"]}
    assert set(emulator.control.buckets()) == {"photos"}


def _another(cluster: Cluster, former: Manifest) -> bool:
    found = cluster.get(KEY, former["metadata"]["name"])
    return found is None or found["metadata"]["uid"] != former["metadata"]["uid"]


def test_flux_waits_for_an_operator_that_is_down_when_it_applies_and_not_when_it_prunes(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    revision = repository.commit({"note.yaml": NOTE, "all.yaml": _bucket_and_key()})

    flux.waits(name, revision)

    assert cluster.found(KEY, "app")["status"] == {"observedGeneration": -1}
    operator = run_operator()
    flux.applied(name, revision)
    assert lives_alone(emulator, cluster.found(KEY, "app"))
    operator.stop()

    flux.applied(name, repository.commit({"all.yaml": None}))
    for kind, thing in ((KEY, "app"), (BUCKET, "photos")):
        assert cluster.found(kind, thing)["metadata"]["finalizers"]
    assert len(live_ids(emulator)) == 1

    run_operator()
    cluster.gone(KEY, "app")
    cluster.gone(BUCKET, "photos")
    assert live_ids(emulator) == set()
    assert set(emulator.control.buckets()) == {"photos"}


def test_flux_takes_off_what_kubectl_annotates_and_leaves_what_our_plugin_asks_for(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    files = {"all.yaml": [*_bucket_and_key(), a_bucket("archive")]}
    flux.applied(name, repository.commit(files))
    old = cluster.found(KEY, "app")["status"]["key"]["id"]
    rotate, pause = "storage.amove.io/rotate-requested-at", "storage.amove.io/paused"
    cluster.kubectl("annotate", "amovestoragekey/app", f"{rotate}=now")
    another_key(cluster, KEY, "app", old)
    cluster.kubectl("annotate", "amovebucket/photos", f"{pause}=true")
    _plugin(cluster, "pause", "bucket/archive")
    for paused in ("photos", "archive"):
        cluster.until(BUCKET, paused, "Synced", "Paused", status="False")

    flux.again(name)

    # What was asked for by then is done, and once; a pause by kubectl alone ends with Flux's look.
    for kind, thing, word in ((KEY, "app", rotate), (BUCKET, "photos", pause)):
        assert word not in cluster.found(kind, thing)["metadata"].get("annotations", {})
    cluster.until(BUCKET, "photos", "Synced")
    cluster.until(BUCKET, "archive", "Synced", "Paused", status="False")
    _plugin(cluster, "resume", "bucket/archive")
    cluster.until(BUCKET, "archive", "Synced")
    assert mints(emulator) == 2


def _plugin(cluster: Cluster, *arguments: str) -> None:
    """`kubectl amove …` in the test's namespace."""
    script = "from amove_operator.kubectl_amove import main; import sys; sys.exit(main())"
    subprocess.run(
        [sys.executable, "-c", script, *arguments, "-n", cluster.namespace],
        env=environment(KUBECONFIG=str(cluster.plane.kubeconfig)),
        timeout=PATIENCE,
        check=True,
        capture_output=True,
    )


def test_an_edit_while_flux_is_suspended_holds_and_ends_with_it_by_another_key_of_gits_rights(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """As in an emergency: suspend, give a key more rights by hand, resume."""
    run_operator()
    repository = flux.repository()
    storage = flux.follow(repository, targetNamespace=cluster.namespace, path="./storage")
    beside = f"{repository.name}-beside"
    flux.follow(repository, beside, targetNamespace=cluster.namespace, path="./beside")
    reader = a_key(
        "app", bucketRefs=refs("photos"), permission="Read", rotation={"gracePeriod": "3s"}
    )
    files: Files = {"beside/note.yaml": NOTE, "storage/all.yaml": [a_bucket("photos"), reader]}
    before = repository.commit(files)
    flux.applied(storage, before)
    narrow = cluster.found(KEY, "app")["status"]["key"]["id"]

    flux.suspend(storage)
    cluster.patch(KEY, "app", {"spec": {"permission": "ReadWrite"}})
    wide = another_key(cluster, KEY, "app", narrow)["status"]["key"]["id"]
    changed = [a_bucket("photos", versioningEnabled=True), reader]
    revision = repository.commit({"storage/all.yaml": changed})
    flux.applied(beside, revision)

    # Flux has this commit, and nothing of it is applied.
    kustomization = flux.cluster.found("Kustomization", storage)
    assert kustomization["status"]["lastAppliedRevision"] == before
    assert "versioningEnabled" not in cluster.found(BUCKET, "photos")["spec"]
    assert refusal(_put(cluster), Bucket="photos", Key="a", Body=b"b") is None

    flux.resume(storage)
    flux.applied(storage, revision)
    last = another_key(cluster, KEY, "app", wide)["status"]["key"]["id"]
    assert cluster.found(BUCKET, "photos")["spec"]["versioningEnabled"]
    assert refusal(_put(cluster), Bucket="photos", Key="a", Body=b"b") == "AccessDenied"
    # What had more rights than Git gives goes by the grace that Git gives.
    eventually(lambda: live_ids(emulator) == {last}, what="the end of the former keys")
    assert mints(emulator) == 3


def _put(cluster: Cluster) -> Callable[..., object]:
    """What writes an object with the Secret of this moment."""
    put: Callable[..., object] = s3_client(cluster.secret("app")).put_object
    return put


def test_force_makes_objects_anew_and_neither_bucket_is_lost(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    files = {"all.yaml": [a_bucket("photos"), a_key("app", bucketRefs=refs("photos"))]}
    flux.applied(name, repository.commit(files))
    s3_client(cluster.secret("app")).put_object(Bucket="photos", Key="a", Body=b"b")
    old = cluster.found(BUCKET, "photos")["metadata"]["uid"]
    renamed = [a_bucket("photos", bucketName="images"), a_key("app", bucketRefs=refs("photos"))]

    # Without it, Flux passes on what the API server says, and nothing is touched.
    refused = repository.commit({"all.yaml": renamed})
    assert "is immutable" in flux.failed(name, "ReconciliationFailed", refused)
    assert cluster.found(BUCKET, "photos")["metadata"]["uid"] == old

    flux.cluster.patch("Kustomization", name, {"spec": {"force": True}})
    flux.applied(name, refused)
    assert cluster.found(BUCKET, "photos")["metadata"]["uid"] != old
    # The default policy keeps the old bucket with all that is in it; the key is for the new one.
    assert set(emulator.control.buckets()) == {"photos", "images"}
    assert refusal(_put(cluster), Bucket="images", Key="a", Body=b"b") is None


def test_an_object_that_says_so_is_left_alone_by_flux(
    flux: FluxSystem, cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    """The way to pause by hand: Flux is told first to leave the object as it is."""
    run_operator()
    repository = flux.repository()
    name = flux.follow(repository, targetNamespace=cluster.namespace)
    flux.applied(name, repository.commit({"note.yaml": NOTE, "all.yaml": _bucket_and_key()}))
    words = (f"{TOOLKIT}/reconcile=disabled", "storage.amove.io/paused=true")
    cluster.kubectl("annotate", "amovestoragekey/app", *words)
    cluster.until(KEY, "app", "Synced", "Paused", status="False")

    flux.applied(name, repository.commit({"all.yaml": None}))

    cluster.gone(BUCKET, "photos")
    kept = cluster.found(KEY, "app")
    assert "deletionTimestamp" not in kept["metadata"]
    assert condition(kept, "Synced")["reason"] == "Paused"
    eventually(lambda: live_ids(emulator) == {kept["status"]["key"]["id"]}, what="its key")
