"""The CRDs on a real apiserver: what is taken, what is refused and how, and what kubectl shows.

Every verdict comes from ``kubectl … --dry-run=server``, many manifests to a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import ValidationError

from amove_operator.models import (
    AmoveBucket,
    AmoveStorageKey,
    KeyStatus,
    spec_faults_bucket,
    spec_faults_key,
)
from amove_operator.models.bucket_rules import BUCKET_RULES, BUCKET_TRANSITIONS
from amove_operator.models.crds import crds
from amove_operator.models.key_rules import KEY_RULES, KEY_TRANSITIONS
from amove_operator.models.rules import Rule
from controlplane.launcher import ControlPlane
from tests.specs.tables import PLAIN_KEY, ROWS, SPECS, Manifest, Row, manifest

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
NAMESPACE = "crd-tests"
ACCOUNT = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Kubectl:
    """kubectl in the tests' namespace."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def __call__(self, *args: str, manifests: Sequence[Manifest] = (), check: bool = True) -> str:
        """What it prints on stdout and stderr together."""
        text = yaml.safe_dump_all(manifests, allow_unicode=True)
        done = self._plane.kubectl(*args, f"--namespace={NAMESPACE}", input=text, check=check)
        return done.stdout + done.stderr

    def verdicts(self, verb: str, manifests: Sequence[Manifest]) -> dict[str, str]:
        """``Kind/name`` → what the apiserver has against the manifest, or an empty text."""
        said = self(
            verb, "--dry-run=server", "--validate=false", "--filename=-",
            manifests=manifests, check=False,
        )  # fmt: skip
        return {key(each): _complaint(said, each) for each in manifests}


def key(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _complaint(said: str, manifest: Manifest) -> str:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    refused = re.search(rf'^.*{kind}\S* "{re.escape(name)}" is invalid: (.*)$', said, re.M)
    if refused:
        return refused[1]
    # Neither taken nor refused: the batch itself went wrong.
    assert re.search(rf"^{kind.lower()}\S*/{re.escape(name)} \w+ ", said, re.M), said
    return ""


@pytest.fixture(scope="module")
def kubectl(plane: ControlPlane) -> Iterator[Kubectl]:
    """In a namespace of these tests' own, and nothing left for an operator that sees them all."""
    plane.kubectl("create", "namespace", NAMESPACE)
    asked = Kubectl(plane)
    yield asked
    asked("delete", "amovebuckets,amovestoragekeys", "--all")
    plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def row_verdicts(kubectl: Kubectl) -> dict[str, str]:
    return kubectl.verdicts("create", [row.written for row in ROWS])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.it)
def test_the_apiserver_judges_a_spec_as_the_operator_does(
    row: Row, row_verdicts: dict[str, str]
) -> None:
    assert_verdict(row_verdicts[key(row.written)], row.refused)


def assert_verdict(complaint: str, refused: str | None) -> None:
    if refused is None:
        assert complaint == ""
    else:
        assert refused in complaint


def test_both_say_the_same_sentence_where_a_rule_is_broken(row_verdicts: dict[str, str]) -> None:
    told = set()
    for row in ROWS:
        for sentence in _sentences(row.written):
            assert sentence in row_verdicts[key(row.written)]
            told.add(sentence)
    rules: list[Rule[Any]] = [*BUCKET_RULES, *KEY_RULES]
    # One says in words what a pattern says in signs, by which the models refuse it before.
    (worded,) = (rule.message for rule in rules if "30d as 720h" in rule.message)
    assert any(worded in verdict for verdict in row_verdicts.values())
    assert told | {worded} == {rule.message for rule in rules}


def _sentences(written: Manifest) -> list[str]:
    """What the operator's rules say; nothing where the models cannot even read the object."""
    try:
        if written["kind"] == "AmoveBucket":
            bucket = AmoveBucket.model_validate(written)
            return spec_faults_bucket(bucket.metadata.name, bucket.spec)
        storage_key = AmoveStorageKey.model_validate(written)
        return spec_faults_key(storage_key.metadata.name, storage_key.spec)
    except ValidationError:
        return []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_taken_in_any_namespace(path: Path, kubectl: Kubectl) -> None:
    kubectl("apply", "--dry-run=server", "--validate=strict", f"--filename={path}")


class Change(NamedTuple):
    """A row of tests/specs/changes.yaml."""

    it: str
    before: Manifest
    after: Manifest
    refused: str | None


def changes() -> Iterator[Change]:
    text = (SPECS / "changes.yaml").read_text(encoding="utf-8")
    for kind, table in yaml.safe_load(text).items():
        plain = PLAIN_KEY if kind == "AmoveStorageKey" else {}
        for number, row in enumerate(table):
            before, after = (
                _named(manifest(kind, f"change-{number}", plain | row[when]))
                for when in ("before", "after")
            )
            yield Change(row["it"], before, after, row.get("refused"))


def _named(written: Manifest) -> Manifest:
    named: Manifest = json.loads(json.dumps(written).replace("NAME", written["metadata"]["name"]))
    return named


CHANGES = list(changes())


@pytest.fixture(scope="module")
def change_verdicts(kubectl: Kubectl) -> dict[str, str]:
    kubectl("create", "--filename=-", manifests=[change.before for change in CHANGES])
    return kubectl.verdicts("replace", [change.after for change in CHANGES])


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.it)
def test_the_apiserver_judges_a_change(change: Change, change_verdicts: dict[str, str]) -> None:
    assert_verdict(change_verdicts[key(change.after)], change.refused)


def test_what_must_not_change_is_refused_in_the_words_of_its_rule(
    change_verdicts: dict[str, str],
) -> None:
    said = "\n".join(change_verdicts.values())
    transitions = (*BUCKET_TRANSITIONS, *KEY_TRANSITIONS)
    assert [rule.message for rule in transitions if rule.message not in said] == []


CONDITION = {
    "type": "Ready",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-31T12:00:00Z",
    "reason": "AllGood",
    "message": "",
}
BUCKET_STATUS = {"bucketName": "remote-photos", "conditions": [CONDITION], "observedGeneration": 1}
KEY_STATUS = {
    "key": {
        "id": "k-1",
        "name": "remote-reader-1",
        "accessKey": "AKIA",
        "serial": 1,
        "issuedAt": "2026-01-31T12:00:00Z",
        "cloudAccountId": ACCOUNT,
        "region": "us-east-1",
        "storageDn": "s3.example.org",
        "permission": "Read",
    },
    "binding": {"name": "reader-secret"},
    "nextRotation": "2026-03-02T12:00:00Z",
    "conditions": [CONDITION],
    "observedGeneration": 1,
}


@pytest.fixture(scope="module")
def shown(kubectl: Kubectl) -> None:
    """A bucket and a key whose status tells everything that a column shows."""
    pair = [
        manifest("AmoveBucket", "shown-photos", {}),
        manifest("AmoveStorageKey", "shown-reader", PLAIN_KEY),
    ]
    kubectl("create", "--filename=-", manifests=pair)
    for target, status in (("abkt/shown-photos", BUCKET_STATUS), ("akey/shown-reader", KEY_STATUS)):
        patch = json.dumps({"status": status})
        kubectl("patch", target, "--subresource=status", "--type=merge", f"--patch={patch}")


@pytest.mark.usefixtures("shown")
def test_kubectl_get_shows_the_columns_of_a_bucket(kubectl: Kubectl) -> None:
    header, line = kubectl("get", "abkt", "shown-photos").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "BUCKET", "AGE"]
    assert line.split()[:4] == ["shown-photos", "True", "AllGood", "remote-photos"]


@pytest.mark.usefixtures("shown")
def test_kubectl_get_shows_the_columns_of_a_key(kubectl: Kubectl) -> None:
    header, line = kubectl("get", "akey", "shown-reader").splitlines()
    assert header.split() == [
        "NAME", "READY", "REASON", "KEY", "SECRET", "PERMISSION", "NEXT-ROTATION", "AGE",
    ]  # fmt: skip
    assert line.split()[:7] == [
        "shown-reader", "True", "AllGood", "remote-reader-1", "reader-secret", "Read",
        "2026-03-02T12:00:00Z",
    ]  # fmt: skip


@pytest.mark.usefixtures("shown")
def test_kubectl_get_amove_shows_both_kinds(kubectl: Kubectl) -> None:
    everything = kubectl("get", "amove")
    assert "amovebucket.storage.amove.io/shown-photos" in everything
    assert "amovestoragekey.storage.amove.io/shown-reader" in everything


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["spec"]["names"]["kind"])
def test_kubectl_explain_knows_the_fields(crd: dict[str, Any], kubectl: Kubectl) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        explained = kubectl("explain", f"{crd['spec']['names']['plural']}.{part}")
        told = " ".join(explained.split())
        for name, field in schema["properties"][part]["properties"].items():
            assert name in told
            assert field["description"] in told


def test_a_new_object_has_not_been_observed_whatever_its_manifest_says(kubectl: Kubectl) -> None:
    written = manifest("AmoveBucket", "fresh", {}) | {"status": {"provenance": "Adopted"}}
    kubectl("create", "--validate=false", "--filename=-", manifests=[written])
    assert _live(kubectl, "abkt", "fresh")["status"] == {"observedGeneration": -1}


def test_a_plain_edit_does_not_reach_the_status(kubectl: Kubectl) -> None:
    kubectl("create", "--filename=-", manifests=[manifest("AmoveBucket", "edited", {})])
    patch = json.dumps({"status": {"provenance": "Adopted"}})
    kubectl("patch", "abkt/edited", "--type=merge", f"--patch={patch}")
    assert _live(kubectl, "abkt", "edited")["status"] == {"observedGeneration": -1}


def test_only_what_was_written_and_the_named_defaults_are_stored(kubectl: Kubectl) -> None:
    pair = [
        manifest("AmoveBucket", "stored", {"public": None, "colour": "red"}),
        manifest("AmoveStorageKey", "stored", PLAIN_KEY | {"rotation": {"interval": "720h"}}),
        manifest("AmoveStorageKey", "stored-plainly", PLAIN_KEY | {"secret": {"colour": "red"}}),
    ]
    kubectl("create", "--validate=false", "--filename=-", manifests=pair)
    assert _live(kubectl, "abkt", "stored")["spec"] == {
        "deletionPolicy": "Retain",
        "adoptionPolicy": "Never",
        "managementPolicy": "Manage",
    }
    assert _live(kubectl, "akey", "stored")["spec"] == PLAIN_KEY | {
        "deletionPolicy": "Delete",
        "rotation": {"interval": "720h", "gracePeriod": "1h"},
    }
    assert _live(kubectl, "akey", "stored-plainly")["spec"] == PLAIN_KEY | {
        "deletionPolicy": "Delete",
        "secret": {},
    }


def test_a_misspelt_field_is_refused_by_name(kubectl: Kubectl) -> None:
    written = manifest("AmoveBucket", "misspelt", {"versioning": True})
    said = kubectl("create", "--dry-run=server", "--filename=-", manifests=[written], check=False)
    assert 'unknown field "spec.versioning"' in said


def test_a_status_that_the_models_write_is_stored_unchanged(kubectl: Kubectl) -> None:
    kubectl("create", "--filename=-", manifests=[manifest("AmoveStorageKey", "written", PLAIN_KEY)])
    status = KeyStatus.model_validate(KEY_STATUS).to_kube()
    patch = json.dumps({"status": status})
    kubectl("patch", "akey/written", "--subresource=status", "--type=merge", f"--patch={patch}")
    assert _live(kubectl, "akey", "written")["status"] == status


def _live(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", kind, name, "--output=json"))
    return found
