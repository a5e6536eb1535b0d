"""Specs that break one thing each: made from the CRD's schema, for every field and every bound."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from amove_operator.models.crds import crds
from tests.specs.tables import PLAIN_KEY, ROWS, Row, manifest

Schema = dict[str, Any]

WRONG_TYPES: dict[str, tuple[object, ...]] = {
    "string": (7, {"a": "b"}, ["a"]),
    "boolean": ("true", 7),
    "array": ("photos", {"name": "photos"}),
    "object": ("photos", ["photos"]),
}
HOSTILE_TEXTS = ("a\nb: c", "../a", "a b", "${secretKey}", "ä", "a\u202eb", "A" * 64 + "!")
"""None of them matches any pattern of ours."""
SAMPLES = {
    "spec.bucketRefs[]": {"name": "photos"},
    "spec.bucketNames[]": "photos",
    "spec.secret.template[]": "${secretKey}",
    "spec.secret.labels[]": "a",
    "spec.secret.annotations[]": "a",
}
"""What is valid below a list or a map."""
SCOPES = ("bucketRefs", "bucketNames", "allBuckets")


def spec_schema(kind: str) -> Schema:
    """What the CRD of that kind says of the spec."""
    crd = next(each for each in crds() if each["spec"]["names"]["kind"] == kind)
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def plain_spec(kind: str) -> dict[str, Any]:
    """One that is taken."""
    return copy.deepcopy(PLAIN_KEY) if kind == "AmoveStorageKey" else {}


def hostile_rows() -> list[Row]:
    """One row for each field and bound of both schemas, and those of the tables that break a rule.

    ``refused`` is the field to blame.
    """
    made = [row for kind in ("AmoveBucket", "AmoveStorageKey") for row in _of_kind(kind)]
    numbered = [
        Row(it, {**written, "metadata": {"name": f"hostile-{number}"}}, refused)
        for number, (it, written, refused) in enumerate(made)
    ]
    return [*numbered, *(row for row in ROWS if row.refused is not None)]


def _of_kind(kind: str) -> Iterator[Row]:
    for path, node in _nodes(spec_schema(kind), "spec"):
        for what, value in _broken(path, node):
            spec = _with(plain_spec(kind), path.split(".")[1:], value)
            yield Row(f"{kind} {path}: {what}", manifest(kind, "", spec), path.split("[")[0])


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every node with its path, such as ``spec.bucketRefs[].name``; the root last."""
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _nodes(schema[word], f"{path}[]")
    yield path, schema


def _broken(path: str, node: Schema) -> Iterator[tuple[str, object]]:
    """Values that break one bound of this node each, with a word for each."""
    for value in WRONG_TYPES[node["type"]]:
        yield f"is no {node['type']} but {value!r}", value
    if node["type"] == "string":
        yield from _broken_texts(node)
    if node["type"] == "array":
        sample = SAMPLES[f"{path}[]"]
        yield "has none", []
        yield "has too many", [sample] * (node["maxItems"] + 1)
        yield "has a null", [sample, None]
    if "additionalProperties" in node:
        sample = SAMPLES[f"{path}[]"]
        yield "has too many", {f"key-{n}": sample for n in range(node["maxProperties"] + 1)}
    for name in node.get("required", ()):
        if path != "spec":
            yield f"lacks {name}", {}


def _broken_texts(node: Schema) -> Iterator[tuple[str, object]]:
    if "enum" in node:
        yield "is another word", "Other"
        yield "is in other letters", node["enum"][0].lower()
    if node.get("minLength"):
        yield "is empty", ""
    if "maxLength" in node:
        yield "is too long", "a" * (node["maxLength"] + 1)
    if "pattern" in node:
        for text in HOSTILE_TEXTS:
            yield f"is {text[:12]!r}", text


def _with(spec: dict[str, Any], path: list[str], value: object) -> Any:
    """The spec with that value at the path; of a scope, without the others."""
    if not path:
        return value
    name, *rest = path
    if name.removesuffix("[]") in SCOPES:
        spec = {key: one for key, one in spec.items() if key not in SCOPES}
    if not name.endswith("[]"):
        return {**spec, name: _with(spec.get(name, {}), rest, value)}
    name = name.removesuffix("[]")
    below: object = _with({}, rest, value)
    return {**spec, name: [below] if name.startswith("bucket") else {"key": below}}
