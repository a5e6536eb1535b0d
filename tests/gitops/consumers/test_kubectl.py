"""What a person with kubectl does: apply, diff, wait, get, explain, describe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator
from tests.gitops.consumers.argocd import APPLY

pytestmark = [pytest.mark.gitops, pytest.mark.usefixtures("operator")]

PLURALS = ("amovebuckets", "amovestoragekeys")
CRDS = Path(__file__).parents[3] / "deploy" / "crds"
SENTENCE = 12
"""So many characters has the shortest description that says anything."""


def declared(name: str) -> list[Manifest]:
    """A bucket with an empty spec and a key for it."""
    return [a_bucket(name), a_key(name, bucketRefs=refs(name))]


@pytest.fixture(scope="module")
def photos(team: Cluster, operator: Operator) -> str:
    """A bucket and a key of this name, applied as Argo CD applies, and waited for."""
    del operator
    team.kubectl("apply", *APPLY, "-f", "-", given=declared("photos"))
    team.kubectl("wait", "--for=condition=Ready", "abkt/photos", "akey/photos", "--timeout=120s")
    return "photos"


def test_wait_returns_when_the_secret_can_be_used(team: Cluster, photos: str) -> None:
    assert team.secret(photos)["BUCKET_NAME"] == photos


def test_get_amove_shows_both_kinds_with_what_matters(team: Cluster, photos: str) -> None:
    lines = team.kubectl("get", "amove").splitlines()
    bucket, key = (
        next(one for one in lines if one.startswith(f"{kind}."))
        for kind in ("amovebucket", "amovestoragekey")
    )
    assert f"/{photos}" in bucket
    assert "True" in bucket
    assert "True" in key
    assert "ReadWrite" in key


@pytest.mark.parametrize("server_side", [True, False])
def test_a_diff_is_empty_after_the_operators_work(
    team: Cluster, photos: str, *, server_side: bool
) -> None:
    options = APPLY if server_side else ()
    # Raises where there is a difference: kubectl diff then ends with 1.
    assert team.kubectl("diff", *options, "-f", "-", given=declared(photos)) == ""


def test_an_apply_of_the_same_changes_nothing_at_all(team: Cluster, photos: str) -> None:
    before = [team.found(BUCKET, photos), team.found(KEY, photos)]
    team.kubectl("apply", *APPLY, "-f", "-", given=declared(photos))
    assert [team.found(BUCKET, photos), team.found(KEY, photos)] == before


def test_another_field_manager_meets_no_conflict(team: Cluster, photos: str) -> None:
    theirs = [
        a_bucket(photos, versioningEnabled=True, deletionPolicy="Delete"),
        a_key(photos, bucketRefs=refs(photos), rotation={"gracePeriod": "2h"}),
    ]
    # Raises where there is a conflict.
    team.kubectl("apply", "--server-side", "--field-manager=kustomize", "-f", "-", given=theirs)
    team.ready(BUCKET, photos)
    team.ready(KEY, photos)


def test_of_spec_and_metadata_the_operator_owns_its_finalizer_alone(
    team: Cluster, photos: str
) -> None:
    for kind in (BUCKET, KEY):
        managers = team.found(kind, photos)["metadata"]["managedFields"]
        ours = [one for one in managers if "amove-operator" in one["manager"]]
        assert ours
        fields = [
            (part, name)
            for one in ours
            for part, below in one["fieldsV1"].items()
            for name in below
            if part != "f:status"
        ]
        assert fields == [("f:metadata", "f:finalizers")], kind


def test_describe_tells_the_story_of_a_bucket_and_of_a_key(team: Cluster, photos: str) -> None:
    bucket = team.kubectl("describe", "abkt", photos)
    assert re.search(r"Normal +Created .*Created bucket photos", bucket), bucket
    key = team.kubectl("describe", "akey", photos)
    assert re.search(r"Normal +Issued ", key), key
    for told in (bucket, key):
        assert re.search(r"Type: +Ready", told)
        assert re.search(r"Reason: +Settled", told)


def test_describe_says_what_is_wrong_and_what_to_do(team: Cluster, photos: str) -> None:
    wrong = {"template": {"conf": "${secretKey} ${password}"}}
    team.apply(a_key("wrong", bucketRefs=refs(photos), secret=wrong))
    team.until(KEY, "wrong", "Stalled", "InvalidTemplate")
    told = team.kubectl("describe", "akey", "wrong")
    assert re.search(r"Warning +InvalidTemplate +.*password", told), told


# ---------------------------------------------------------------- explain


@pytest.fixture(scope="module")
def schemas(team: Cluster) -> dict[str, Any]:
    """By kind: its schema, as the API server publishes it and kubectl explain reads it."""
    raw = team.kubectl("get", "--raw", "/openapi/v3/apis/storage.amove.io/v1alpha1")
    named = json.loads(raw)["components"]["schemas"]
    return {kind: named[f"io.amove.storage.v1alpha1.{kind}"] for kind in (BUCKET, KEY)}


def described(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """(path, description) of each field of spec and status, below them too."""
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield where, field.get("description", "")
        yield from described(field, where)
        yield from described(field.get("items", {}), f"{where}[]")


@pytest.mark.parametrize("kind", [BUCKET, KEY])
def test_every_field_has_a_sentence_for_kubectl_explain(schemas: dict[str, Any], kind: str) -> None:
    found = {
        where: text
        for part in ("spec", "status")
        for where, text in described({"properties": {part: schemas[kind]["properties"][part]}}, "")
    }
    assert len(found) > 20
    poor = {w: text for w, text in found.items() if len(text) < SENTENCE or text[-1] not in ".)"}
    assert poor == {}
    assert schemas[kind]["description"]


def delivered(plural: str) -> dict[str, Any]:
    """The schema as deploy/crds has it: what the API server publishes may lack a part of it."""
    file = CRDS / f"storage.amove.io_{plural}.yaml"
    (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


@pytest.mark.parametrize("plural", PLURALS)
def test_explain_shows_every_field_and_its_sentence(team: Cluster, plural: str) -> None:
    schema = delivered(plural)["properties"]["spec"]
    shown = team.kubectl("explain", f"{plural}.spec", "--recursive")
    names = {where.rsplit(".", 1)[1] for where, _ in described(schema, "")}
    assert {name for name in names if not re.search(rf"^ +{name}\t", shown, re.M)} == set()
    for name, field in schema["properties"].items():
        told = " ".join(team.kubectl("explain", f"{plural}.spec.{name}").split())
        assert " ".join(field["description"].split()) in told


def test_the_descriptions_stand_in_the_delivered_definitions_too() -> None:
    for plural in PLURALS:
        found = dict(described(delivered(plural), ""))
        poor = [where for where, text in found.items() if not text and where != ".metadata"]
        assert poor == []
