"""From 0.1.0 on the CRDs only ever add: who wrote a manifest for an earlier version can use it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_operator.models.fence import FENCE_VERSION, VERSION_ANNOTATION
from tests.upgrade.additive import Schema, breaches

ROOT = Path(__file__).parents[2]
TODAY = ROOT / "deploy/crds"
RELEASES = sorted(Path(__file__).parent.glob("v*_*_*/crds"))
DEFINITIONS = sorted(path.name for path in TODAY.glob("storage.amove.io_*.yaml"))


def read(path: Path) -> Schema:
    found: Schema = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.parent.name)
def test_todays_definitions_take_all_that_an_earlier_release_took(release: Path, name: str) -> None:
    assert breaches(read(release / name), read(TODAY / name)) == []


@pytest.mark.parametrize("release", RELEASES, ids=lambda folder: folder.parent.name)
def test_a_release_had_these_definitions_and_a_fence_that_is_no_later(release: Path) -> None:
    there = {path.name for path in release.glob("storage*.yaml")}
    assert there <= set(DEFINITIONS), "a kind went"
    policy = read(release / "amove-fence-policy.yaml")
    assert int(policy["metadata"]["annotations"][VERSION_ANNOTATION]) <= FENCE_VERSION


OLD: Schema = {
    "spec": {
        "group": "g",
        "scope": "Namespaced",
        "names": {"kind": "K", "shortNames": ["k"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "subresources": {"status": {}},
                "selectableFields": [{"jsonPath": ".a"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "a": {"type": "string", "maxLength": 9, "enum": ["x", "y"]},
                            "b": {"type": "array", "items": {"type": "string", "pattern": "^a"}},
                            "c": {"type": "integer", "nullable": True, "default": 1},
                        },
                        "x-kubernetes-validations": [{"rule": "true"}],
                    }
                },
            }
        ],
    }
}


def changed(change: Callable[[Any, Any], object]) -> list[str]:
    """What is said of a copy after the change: of its spec, and of its schema."""
    new = deepcopy(OLD)
    change(new["spec"], new["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    return breaches(OLD, new)


BREAKING: dict[str, Callable[[Any, Any], object]] = {
    ".a: went": lambda _, s: s["properties"].pop("a"),
    ".c: type changed": lambda _, s: s["properties"]["c"].update(type="string"),
    ".c: default changed": lambda _, s: s["properties"]["c"].update(default=2),
    ".c: nullable went": lambda _, s: s["properties"]["c"].pop("nullable"),
    ".c: minimum takes less": lambda _, s: s["properties"]["c"].update(minimum=0),
    ".a: maxLength takes less": lambda _, s: s["properties"]["a"].update(maxLength=8),
    ".a: enum takes less": lambda _, s: s["properties"]["a"].update(enum=["x"]),
    ".c: enum takes less": lambda _, s: s["properties"]["c"].update(enum=[1]),
    ".b[]: pattern changed": lambda _, s: s["properties"]["b"]["items"].update(pattern="^b"),
    ".a: pattern changed": lambda _, s: s["properties"]["a"].update(pattern="^b"),
    ".b[]: went": lambda _, s: s["properties"]["b"].pop("items"),
    ".: a is required now": lambda _, s: s.update(required=["a"]),
    ".: a rule is new: false": lambda _, s: s["x-kubernetes-validations"].append({"rule": "false"}),
    ".: anyOf changed": lambda _, s: s.update(anyOf=[{"required": ["a"]}]),
    "v1: not served any more": lambda d, _: d["versions"][0].update(served=False),
    "v1: a subresource went": lambda d, _: d["versions"][0].pop("subresources"),
    ".a: not selectable any more": lambda d, _: d["versions"][0].pop("selectableFields"),
    "spec.scope: changed": lambda d, _: d.update(scope="Cluster"),
    "spec.names.shortNames: changed": lambda d, _: d["names"].update(shortNames=["q"]),
}


@pytest.mark.parametrize("said", BREAKING)
def test_what_takes_less_than_before_is_named(said: str) -> None:
    assert changed(BREAKING[said]) == [said]


ADDING: dict[str, Callable[[Any, Any], object]] = {
    "a field": lambda _, s: s["properties"].update(d={"type": "string", "pattern": "^d"}),
    "a wider bound": lambda _, s: s["properties"]["a"].update(maxLength=10),
    "no bound": lambda _, s: s["properties"]["a"].pop("maxLength"),
    "one more value": lambda _, s: s["properties"]["a"].update(enum=["x", "y", "z"]),
    "any value": lambda _, s: s["properties"]["a"].pop("enum"),
    "no pattern": lambda _, s: s["properties"]["b"]["items"].pop("pattern"),
    "a rule less": lambda _, s: s.pop("x-kubernetes-validations"),
    "a description": lambda _, s: s.update(description="more"),
    "a short name": lambda d, _: d["names"]["shortNames"].append("q"),
    "a version": lambda d, _: d["versions"].append({**d["versions"][0], "name": "v2"}),
}


@pytest.mark.parametrize("what", ADDING)
def test_what_only_adds_is_let_pass(what: str) -> None:
    assert changed(ADDING[what]) == []
