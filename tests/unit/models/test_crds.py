"""The CRDs are what the models say, in the dialect of Kubernetes, and bounded throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, Field

from amove_operator.models.bucket_rules import BUCKET_RULES, BUCKET_TRANSITIONS
from amove_operator.models.crds import (
    CRD_KINDS,
    CrdKind,
    crd_files,
    crds,
    crds_yaml,
    schema_of,
    write_crds,
)
from amove_operator.models.fence import fence
from amove_operator.models.key_rules import KEY_RULES, KEY_TRANSITIONS
from amove_operator.models.rules import Rule, Transition

REPOSITORY = Path(__file__).parents[3]
DEPLOYED = REPOSITORY / "deploy" / "crds"
ALL_RULES: list[Rule[Any] | Transition] = [
    *BUCKET_RULES, *BUCKET_TRANSITIONS, *KEY_RULES, *KEY_TRANSITIONS,
]  # fmt: skip


def definitions() -> list[Any]:
    return [pytest.param(crd, id=crd["spec"]["names"]["kind"]) for crd in crds()]


def root_schema(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema with its path, such as ``spec.bucketRefs[].name``."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".removeprefix("."))
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from nodes(schema[word], f"{path}[]")


def fields(crd: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes below spec and status: the rest is Kubernetes' own."""
    found = dict(nodes(root_schema(crd)))
    return {path: node for path, node in found.items() if path.startswith(("spec", "status"))}


@pytest.mark.parametrize("name", crd_files())
def test_the_deployed_file_is_what_the_models_say(name: str) -> None:
    deployed = (DEPLOYED / name).read_text(encoding="utf-8")
    assert deployed == crd_files()[name], f"deploy/crds/{name} is out of date: run `make crds`"


def test_nothing_else_is_deployed() -> None:
    assert {path.name for path in DEPLOYED.iterdir()} == set(crd_files())


def test_the_files_are_called_after_what_is_in_them() -> None:
    assert list(crd_files()) == [
        "storage.amove.io_amovebuckets.yaml",
        "storage.amove.io_amovestoragekeys.yaml",
        "amove-fence-policy.yaml",
        "amove-fence-binding.yaml",
    ]


def test_writing_makes_the_folder_and_all_files(tmp_path: Path) -> None:
    written = write_crds(tmp_path / "new" / "crds")
    assert {path.name: path.read_text(encoding="utf-8") for path in written} == crd_files()


def test_the_stream_holds_both_definitions_and_the_fence() -> None:
    assert list(yaml.safe_load_all(crds_yaml())) == [*crds(), *fence()]


def test_the_kinds_have_the_names_of_the_contract() -> None:
    names = {crd["metadata"]["name"]: crd["spec"]["names"] for crd in crds()}
    assert names == {
        "amovebuckets.storage.amove.io": {
            "kind": "AmoveBucket",
            "listKind": "AmoveBucketList",
            "plural": "amovebuckets",
            "singular": "amovebucket",
            "shortNames": ["abkt"],
            "categories": ["amove"],
        },
        "amovestoragekeys.storage.amove.io": {
            "kind": "AmoveStorageKey",
            "listKind": "AmoveStorageKeyList",
            "plural": "amovestoragekeys",
            "singular": "amovestoragekey",
            "shortNames": ["akey"],
            "categories": ["amove"],
        },
    }


@pytest.mark.parametrize("crd", definitions())
def test_one_namespaced_version_is_served_with_a_status_subresource(crd: dict[str, Any]) -> None:
    (version,) = crd["spec"]["versions"]
    assert (crd["spec"]["group"], crd["spec"]["scope"]) == ("storage.amove.io", "Namespaced")
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize("crd", definitions())
def test_every_field_is_bounded(crd: dict[str, Any]) -> None:
    unbounded = [path for path, node in fields(crd).items() if not is_bounded(node)]
    assert unbounded == []


def is_bounded(node: dict[str, Any]) -> bool:
    match node["type"]:
        case "string":
            return "maxLength" in node or "enum" in node or node.get("format") == "date-time"
        case "integer":
            return "minimum" in node and node.get("format") in ("int32", "int64")
        case "array":
            return "maxItems" in node
        case "object":
            return "additionalProperties" not in node or "maxProperties" in node
        case kind:
            return bool(kind == "boolean")


@pytest.mark.parametrize("crd", definitions())
def test_every_field_is_explained(crd: dict[str, Any]) -> None:
    silent = [
        path
        for path, node in fields(crd).items()
        if not path.endswith("[]") and not node.get("description", "").endswith(".")
    ]
    assert silent == []


@pytest.mark.parametrize("crd", definitions())
def test_only_words_of_the_dialect_are_used(crd: dict[str, Any]) -> None:
    foreign = {"title", "$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "propertyNames"}
    assert [path for path, node in fields(crd).items() if foreign & set(node)] == []


def test_only_these_fields_have_defaults() -> None:
    by_kind = [
        {path: node["default"] for path, node in fields(crd).items() if "default" in node}
        for crd in crds()
    ]
    assert by_kind == [
        {
            "spec.deletionPolicy": "Retain",
            "spec.adoptionPolicy": "Never",
            "spec.managementPolicy": "Manage",
            "status": {"observedGeneration": -1},
        },
        {
            "spec.deletionPolicy": "Delete",
            "spec.rotation.gracePeriod": "1h",
            "status": {"observedGeneration": -1},
        },
    ]


@pytest.mark.parametrize("crd", definitions())
def test_conditions_are_merged_by_their_type(crd: dict[str, Any]) -> None:
    conditions = fields(crd)["status.conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("crd", definitions())
def test_a_spec_is_required_and_a_status_is_not(crd: dict[str, Any]) -> None:
    assert root_schema(crd)["required"] == ["spec"]


@pytest.mark.parametrize("kind", CRD_KINDS, ids=lambda kind: kind.name)
def test_every_rule_stands_at_its_node(kind: CrdKind) -> None:
    schema = next(root_schema(crd) for crd in crds() if crd["spec"]["names"]["kind"] == kind.name)
    written = {
        (path, validation["rule"])
        for path, node in nodes(schema)
        for validation in node.get("x-kubernetes-validations", ())
    }
    assert written == {(rule.at, rule.cel) for rule in kind.rules}


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.message[:60])
def test_a_message_names_the_field_and_says_what_to_do(rule: Rule[Any] | Transition) -> None:
    blamed = (rule.at.removesuffix("[]") + rule.field).removeprefix(".").split(".")
    assert ".".join(blamed[:2]) in rule.message
    assert any(verb in rule.message for verb in ("write ", "create ", "lengthen ", "chosen "))


def test_the_columns_are_those_of_the_contract() -> None:
    columns = [
        [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
        for crd in crds()
    ]
    assert columns == [
        ["Ready", "Reason", "Bucket", "Age"],
        ["Ready", "Reason", "Key", "Secret", "Permission", "Next-Rotation", "Age"],
    ]


def test_what_a_crd_cannot_say_is_an_error_and_not_a_surprise() -> None:
    class Odd(BaseModel):
        count: Annotated[int, Field(multiple_of=3)]

    with pytest.raises(ValueError, match="multipleOf"):
        schema_of(Odd)


def test_a_choice_of_types_is_an_error_too() -> None:
    class Either(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match="anyOf"):
        schema_of(Either)
