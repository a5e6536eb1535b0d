"""Bounds on what tenants write, on a real API server: refused, or told on the object itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from amove_emulator import Emulator
from amove_operator.kube.nesting import read_as_deep_as_the_server
from amove_operator.models.crds import crds
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import (
    BUCKET,
    GROUP,
    KEY,
    Manifest,
    a_bucket,
    a_key,
    condition,
    eventually,
    refs,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_of, lives_alone, mints

# The manifest that took 840 MiB at every look.
BOMB = a_key(
    "bomb",
    bucketRefs=[{"name": f"{'r' * 62}.{'r' * 62}.{'r' * 62}.{'r' * 61}{n:02}"} for n in range(64)],
    secret={"template": {f"key-{number}": "${buckets}" * 1638 for number in range(32)}},
)
_DEEPEST = 9_990
"""Go reads JSON down to a depth of 10,000."""
LARGE = {f"example.com/label-{number}": "x" * 63 for number in range(7_000)}


def refused(cluster: Cluster, manifest: Manifest) -> str:
    """What the API server has against an object; empty where it takes it (and does not keep it)."""
    done = cluster.plane.kubectl(
        "create", "--dry-run=server", f"--namespace={cluster.namespace}", "--filename=-",
        input=json.dumps(manifest), check=False,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def test_the_template_bomb_is_refused_with_the_limits_that_it_breaks(cluster: Cluster) -> None:
    said = refused(cluster, BOMB)
    assert "spec.secret.template: Too many: 32: must have at most 16 items" in said
    assert "4096" in said


def test_a_result_over_64_kib_within_all_limits_of_the_fields_is_an_invalid_template(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    names = [f"{'b' * 58}{number:05}" for number in range(64)]
    texts = {f"key-{n}": "${secretKey}" + "${buckets}" * 408 for n in range(16)}
    cluster.apply(a_key("grows", bucketRefs=refs(*names), secret={"template": texts}))
    seen = cluster.until(KEY, "grows", "Stalled", "InvalidTemplate")
    assert "64 KiB" in condition(seen, "Stalled")["message"]
    assert mints(emulator) == 0


@contextmanager
def _former_crd(cluster: Cluster) -> Iterator[None]:
    """The CRD as it was in the first release, which bounded less; afterwards today's again."""
    (now,) = (crd for crd in crds() if crd["spec"]["names"]["kind"] == KEY)
    former = json.loads(json.dumps(now))
    schema = former["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    template = schema["properties"]["spec"]["properties"]["secret"]["properties"]["template"]
    template["maxProperties"] = 32
    template["additionalProperties"]["maxLength"] = 16384
    del template["x-kubernetes-validations"][1:]
    _replace(cluster, former)
    eventually(lambda: not refused(cluster, BOMB), what="the former limits")
    yield
    _replace(cluster, now)
    eventually(lambda: refused(cluster, BOMB), what="today's limits")


def _replace(cluster: Cluster, crd: Manifest) -> None:
    cluster.plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(crd)
    )


def test_objects_of_former_limits_are_stalled_with_what_to_change_and_can_be_let_go(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    smaller = json.loads(json.dumps(BOMB))
    smaller["metadata"]["name"] = "smaller"
    del smaller["spec"]["secret"]["template"]["key-31"]
    del smaller["spec"]["secret"]["template"]["key-30"]
    with _former_crd(cluster):
        cluster.apply(BOMB, smaller)
    operator = run_operator()
    seen = cluster.until(KEY, "smaller", "Stalled", "InvalidSpec")
    assert "spec.secret.template" in condition(seen, "Stalled")["message"]
    assert condition(seen, "Ready")["status"] == "False"
    cluster.until(KEY, "bomb", "Stalled", "ObjectTooLarge")
    for name in ("smaller", "bomb"):
        cluster.delete(KEY, name)
        cluster.gone(KEY, name)
    assert operator.running
    assert mints(emulator) == 0


def test_a_key_that_grows_too_large_says_so_keeps_its_key_and_heals(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("reader", bucketRefs=refs("photos")))
    cluster.ready(KEY, "reader")
    cluster.patch(KEY, "reader", {"metadata": {"labels": LARGE}})
    seen = cluster.until(KEY, "reader", "Stalled", "ObjectTooLarge")
    assert condition(seen, "Ready")["reason"] == "ObjectTooLarge"
    assert "512 KiB" in condition(seen, "Stalled")["message"]
    assert lives_alone(emulator, seen)
    cluster.patch(KEY, "reader", {"metadata": {"labels": None}})
    assert lives_alone(emulator, cluster.ready(KEY, "reader"))
    assert mints(emulator) == 1


def test_a_deletion_of_what_is_too_large_goes_by_its_policy_and_by_what_status_names(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(
        a_bucket("kept-by-default", bucketName="kept-bucket"),
        a_bucket("going", bucketName="gone-bucket", deletionPolicy="Delete"),
        a_key("reader", bucketRefs=refs("kept-by-default"), secret={"name": "elsewhere"}),
    )
    key = cluster.ready(KEY, "reader")
    cluster.ready(BUCKET, "going")
    every = ((KEY, "reader"), (BUCKET, "going"), (BUCKET, "kept-by-default"))
    for kind, name in every:
        others = {"finalizers": [*(f"example.com/{n}" for n in range(9)), OURS], "labels": LARGE}
        cluster.patch(kind, name, {"metadata": others})
        cluster.until(kind, name, "Stalled", "ObjectTooLarge")
        cluster.patch(kind, name, {"metadata": {"finalizers": ["example.com/left", OURS]}})
    for kind, name in every:
        cluster.delete(kind, name)
        eventually(partial(_let_go, cluster, kind, name), what=f"{name} let go")
        cluster.patch(kind, name, {"metadata": {"finalizers": None}})
    assert live_of(emulator, key) == []
    assert cluster.get("Secret", "elsewhere") is None
    assert set(emulator.control.buckets()) == {"kept-bucket"}


OURS = "storage.amove.io/finalizer"


def _let_go(cluster: Cluster, kind: str, name: str) -> bool:
    left: list[str] = cluster.found(kind, name)["metadata"]["finalizers"]
    return left == ["example.com/left"]


def test_an_annotation_that_is_too_long_is_not_acted_on_and_the_object_says_so(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(a_bucket("photos"), a_key("reader", bucketRefs=refs("photos")))
    cluster.ready(KEY, "reader")
    cluster.ready(BUCKET, "photos")
    cluster.annotate(KEY, "reader", rotate_requested_at="x" * 261_900)
    cluster.annotate(BUCKET, "photos", reconcile_requested_at="x" * 257)
    told = {KEY: ("reader", "rotate-requested-at"), BUCKET: ("photos", "reconcile-requested-at")}
    for kind, (name, annotation) in told.items():

        def says(kind: str = kind, name: str = name, annotation: str = annotation) -> bool:
            message = condition(cluster.found(kind, name), "Synced").get("message", "")
            return f"storage.amove.io/{annotation}" in message and "256" in message

        eventually(says, what=f"{kind} {name} tells of its annotation")
        assert condition(cluster.found(kind, name), "Ready")["status"] == "True"
    assert mints(emulator) == 1
    cluster.annotate(KEY, "reader", rotate_requested_at="now")
    eventually(lambda: mints(emulator) == 2, what="the rotation asked for within the bound")


def test_dates_that_a_tenant_wrote_on_her_secret_keep_no_status_from_being_written(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator()
    cluster.apply(
        a_bucket("photos"),
        a_key(
            "reader",
            bucketRefs=refs("photos"),
            rotation={"interval": "720h", "gracePeriod": "0s"},
        ),
    )
    cluster.ready(KEY, "reader")
    retiring = json.dumps({"00000000-0000-0000-0000-000000000000": "9999-12-31T23:59:59Z"})
    for date in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"):
        cluster.annotate("Secret", "reader", issued_at=date, retiring=retiring)
        cluster.annotate(KEY, "reader", rotate_requested_at=date[:4])
        before = cluster.found(KEY, "reader")["status"]["key"]["id"]
        another_key(cluster, KEY, "reader", before)
        seen = cluster.ready(KEY, "reader")
        assert seen["status"]["nextRotation"] < "2100"


@pytest.fixture
def nested_is_read() -> Iterator[None]:
    """This process reads such objects as well, until the test's namespace is gone."""
    before = sys.getrecursionlimit()
    read_as_deep_as_the_server()
    yield
    sys.setrecursionlimit(before)


def test_objects_nested_as_deep_as_the_api_server_takes_them_stop_nobody(
    nested_is_read: None, cluster: Cluster, run_operator: RunOperator
) -> None:
    """Python by itself reads JSON down to a tenth of that; whoever lists others would read it."""
    for manifest in _nested("listed"):
        _create_nested(cluster, manifest)
    run_operator()
    cluster.until(BUCKET, "listed", "Ready")
    cluster.until(KEY, "listed", "Ready")
    for manifest in _nested("watched"):
        _create_nested(cluster, manifest)
    cluster.until(BUCKET, "watched", "Ready")
    cluster.until(KEY, "watched", "Ready")


def _nested(name: str) -> tuple[Manifest, ...]:
    """All that is listed and watched: a bucket, a key, and a Secret that says to be ours."""
    labels = {f"{GROUP}/managed": "true"}
    metadata = {"name": f"of-nobody-{name}", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    return secret, a_bucket(name), a_key(name, bucketRefs=refs(name))


def _create_nested(cluster: Cluster, manifest: Manifest) -> None:
    """With managed fields that nobody set: a server keeps them as they are, and for ever."""
    fields = '{"f:a":' * _DEEPEST + "{}" + "}" * _DEEPEST
    manager = {"manager": "test", "operation": "Update", "apiVersion": manifest["apiVersion"]}
    managed = [{**manager, "fieldsType": "FieldsV1", "fieldsV1": "@"}]
    metadata = {**manifest["metadata"], "managedFields": managed}
    text = json.dumps({**manifest, "metadata": metadata}).replace('"@"', fields)
    cluster.create_text(manifest["kind"], text)
