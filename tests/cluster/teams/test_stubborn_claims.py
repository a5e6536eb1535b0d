"""A tenant who may not have a bucket keeps it from nobody by asking for it again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from amove_emulator import Emulator
from tests.cluster.bucket_words import CHANGING
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, a_bucket
from tests.cluster.harness_cluster import Cluster

OBJECTS = [f"old-{number}" for number in range(20)]


def edit(tenant: Cluster, name: str, turn: int) -> None:
    tenant.patch(BUCKET, name, {"spec": {"versioningEnabled": bool(turn % 2)}})


def pause(tenant: Cluster, name: str, turn: int) -> None:
    tenant.annotate(BUCKET, name, paused="true" if turn % 2 else None)


@contextmanager
def again_and_again(change: Callable[[Cluster, str, int], None], tenant: Cluster) -> Iterator[None]:
    """Change all objects in turn, until the block ends; at least once before it begins."""
    enough, once = threading.Event(), threading.Event()

    def go_on() -> None:
        turn = 0
        while not enough.is_set():
            turn += 1
            for name in OBJECTS:
                change(tenant, name, turn)
            once.set()

    working = threading.Thread(target=go_on)
    working.start()
    try:
        assert once.wait(60)
        yield
    finally:
        enough.set()
        working.join()


@pytest.mark.parametrize("change", [edit, pause])
def test_nobody_keeps_a_bucket_from_who_may_adopt_it_by_edits_of_older_objects(
    whole_cluster: Cluster,
    make_namespace: Callable[[], str],
    emulator: Emulator,
    run_operator: RunOperator,
    change: Callable[[Cluster, str, int], None],
) -> None:
    """For example in the moment in which a bucket moves from one namespace to another."""
    tenant, adopter = (whole_cluster.within(make_namespace()) for _ in range(2))
    emulator.control.add_bucket("archive")
    watched = [tenant.namespace, adopter.namespace]
    run_operator(watch_namespaces=watched, trusted_namespaces=[adopter.namespace])
    tenant.apply(*(a_bucket(name, bucketName="archive") for name in OBJECTS))
    for name in OBJECTS:
        tenant.until(BUCKET, name, "Stalled", "BucketExists")

    with again_and_again(change, tenant):
        adopter.apply(a_bucket("archive", adoptionPolicy="IfExists"))
        seen = adopter.ready(BUCKET, "archive")

    assert seen["status"]["provenance"] == "Adopted"
    assert emulator.control.count(*CHANGING) == 0
