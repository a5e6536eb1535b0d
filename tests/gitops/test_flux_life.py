"""A bucket's life in Git: every change is a commit, and a client works all the time.

What its requests may meet, and when, is what docs/gitops-flux.md says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_ids, live_of
from tests.gitops.client import CONTENT, PATH, Client, a_consumer, s3_client
from tests.gitops.repository import NOTE, Files, FluxSystem, Repository


@dataclass
class Life:
    """The repository, the two namespaces that the bucket lives in, and the client."""

    flux: FluxSystem
    repository: Repository
    name: str
    first: Cluster
    second: Cluster
    emulator: Emulator

    def commits(self, changes: Files) -> None:
        """Commit, and wait until Flux says that it is so."""
        self.flux.applied(self.name, self.repository.commit(changes))

    def in_first(self, *manifests: Manifest) -> list[Manifest]:
        return _within(self.first, manifests)

    def in_second(self, *manifests: Manifest) -> list[Manifest]:
        return _within(self.second, manifests)


def test_a_client_works_through_a_life_of_commits(
    flux: FluxSystem,
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> None:
    life = _life(flux, whole_cluster, make_namespace, emulator, run_operator)
    _begins(life)
    with Client((life.second, life.first), "app", "photos") as client:
        client.works_with(_access_key(life.first, "reader"))
        _grows(life)
        _changes_a_permission(life, client)
        _renames_a_key(life, client)
        _rotates(life, client)
        # All this time no request was refused, whatever the commits did.
        assert client.failures == []
        _moves(life, client)
        _ends(life, client)


def _life(
    flux: FluxSystem,
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
) -> Life:
    first, second = make_namespace(), make_namespace()
    run_operator(watch_namespaces=[first, second], trusted_namespaces=[second])
    repository = flux.repository()
    name = flux.follow(repository)
    places = (whole_cluster.within(first), whole_cluster.within(second))
    return Life(flux, repository, name, *places, emulator)


def _begins(life: Life) -> None:
    life.commits(
        {
            "note.yaml": life.in_first(NOTE),
            "photos.yaml": life.in_first(a_bucket("photos")),
            "reader.yaml": life.in_first(a_key("reader", bucketRefs=refs("photos"))),
            "app.yaml": life.in_first(a_consumer("app", "reader")),
        }
    )
    s3_client(life.first.secret("reader")).put_object(Bucket="photos", Key=PATH, Body=CONTENT)


def _grows(life: Life) -> None:
    life.commits(
        {
            "archive.yaml": life.in_first(
                a_bucket("archive"), a_key("archivist", bucketRefs=refs("archive"))
            )
        }
    )
    archivist = s3_client(life.first.secret("archivist"))
    assert refusal(archivist.put_object, Bucket="archive", Key="a", Body=b"b") is None


def _changes_a_permission(life: Life, client: Client) -> None:
    old = life.first.found(KEY, "reader")["status"]["key"]["id"]
    spec = a_key("reader", bucketRefs=refs("photos"), permission="Read")
    life.commits({"reader.yaml": life.in_first(spec)})
    # Ready says that the Secret holds the new key already.
    another_key(life.first, KEY, "reader", old)
    client.works_with(_access_key(life.first, "reader"))
    assert client.failures == []
    reader = s3_client(life.first.secret("reader"))
    assert refusal(reader.put_object, Bucket="photos", Key="a", Body=b"b") == "AccessDenied"


def _renames_a_key(life: Life, client: Client) -> None:
    """Two commits: add the new one and switch to it; then, once it is in use, remove the old."""
    former = life.first.found(KEY, "reader")
    life.commits(
        {
            "viewer.yaml": life.in_first(a_key("viewer", bucketRefs=refs("photos"))),
            "app.yaml": life.in_first(a_consumer("app", "viewer")),
        }
    )
    client.works_with(_access_key(life.first, "viewer"))
    life.commits({"reader.yaml": None})
    life.first.gone(KEY, "reader")
    assert live_of(life.emulator, former) == []


def _rotates(life: Life, client: Client) -> None:
    old = life.first.found(KEY, "viewer")["status"]["key"]["id"]
    asked = {"storage.amove.io/rotate-requested-at": "2026-11-28"}
    spec = a_key("viewer", bucketRefs=refs("photos"), annotations=asked)
    life.commits({"viewer.yaml": life.in_first(spec)})
    another_key(life.first, KEY, "viewer", old)
    client.works_with(_access_key(life.first, "viewer"))
    # Reconciled once more, the annotation is the same as before: no other key.
    life.flux.again(life.name)
    assert len(live_of(life.emulator, life.first.found(KEY, "viewer"))) == 2


def _moves(life: Life, client: Client) -> None:
    """One commit: the bucket is Retain in the old namespace and adopted in the new one."""
    old = _access_key(life.first, "viewer")
    # So slow that the client cannot miss the gap between two owners.
    life.emulator.control.fault("create_storage_key", delay_before=1.0)
    life.commits(
        {
            "photos.yaml": life.in_second(a_bucket("photos", adoptionPolicy="IfExists")),
            "viewer.yaml": life.in_second(a_key("viewer", bucketRefs=refs("photos"))),
            "app.yaml": life.in_second(a_consumer("app", "viewer")),
        }
    )
    life.first.gone(KEY, "viewer")
    life.first.gone(BUCKET, "photos")
    assert life.second.found(BUCKET, "photos")["status"]["provenance"] == "Adopted"
    new = _access_key(life.second, "viewer")
    client.works_with(new)
    # From the revocation of the old keys until the client has the new one: not longer.
    revoked = min(each["wall"] for each in life.emulator.control.journal("delete_storage_key")[-2:])
    assert client.failures
    assert all(each.at > revoked for each in client.failures)
    assert {each.access_key for each in client.failures} == {old}
    assert {each.code for each in client.failures} == {"InvalidAccessKeyId"}
    client.failures.clear()


def _ends(life: Life, client: Client) -> None:
    """First what uses the Secret, then key and bucket: nothing fails that still runs."""
    life.commits({"app.yaml": None})
    client.stop()
    assert client.failures == []
    life.commits({"viewer.yaml": None, "photos.yaml": None, "archive.yaml": None})
    for place in (life.first, life.second):
        eventually(lambda: not place.every(KEY) and not place.every(BUCKET), what="an empty one")  # noqa: B023
    assert live_ids(life.emulator) == set()
    assert set(life.emulator.control.buckets()) == {"photos", "archive"}


def _within(place: Cluster, manifests: tuple[Manifest, ...]) -> list[Manifest]:
    return [
        each | {"metadata": each["metadata"] | {"namespace": place.namespace}} for each in manifests
    ]


def _access_key(place: Cluster, secret: str) -> str:
    return place.secret(secret)["AWS_ACCESS_KEY_ID"]
