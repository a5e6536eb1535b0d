"""The two CustomResourceDefinitions, made from the pydantic models and the rules of each kind.

With them goes, wherever they go, the fence (``fence``): the kinds are not safe without it.

A structural schema is a small dialect of what pydantic writes: no references, no ``anyOf``, no
titles, ``null`` only by absence. Everything that has no place in that dialect is an error here
rather than a surprise at ``kubectl apply``. Written to ``deploy/crds/`` by ``make crds``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from amove_operator.models.bucket import AmoveBucket
from amove_operator.models.bucket_rules import BUCKET_RULES, BUCKET_TRANSITIONS
from amove_operator.models.fence import FENCE, fence
from amove_operator.models.keeping import KEPT
from amove_operator.models.key import AmoveStorageKey
from amove_operator.models.key_rules import KEY_RULES, KEY_TRANSITIONS
from amove_operator.models.rules import Rule, Transition
from amove_operator.models.shared import GROUP, VERSION

Schema = dict[str, Any]

_HEADER = "# Made by `make crds` from operator/amove_operator/{}: change that, not this.\n"
_INT32_MAX = 2**31 - 1
# JSON Schema words that are dropped because they say nothing to Kubernetes; a map's key names are
# held by CEL instead.
_DROPPED = frozenset({"title", "propertyNames"})
# In the order in which they are written: what a reader looks for first stands first.
_KEPT = (
    "description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum",
    "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "default", "required",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "properties", "items",
    "additionalProperties",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CrdKind:
    """What a CRD says beside its schema. A column is (name, JSONPath) or (name, JSONPath, type)."""

    model: type[BaseModel]
    plural: str
    short: str
    columns: tuple[tuple[str, ...], ...]
    rules: Sequence[Rule[Any] | Transition]

    @property
    def name(self) -> str:
        """The kind's name, such as AmoveBucket."""
        return self.model.__name__


_READY = '.status.conditions[?(@.type=="Ready")]'
_AGE = ("Age", ".metadata.creationTimestamp", "date")
CRD_KINDS = (
    CrdKind(
        model=AmoveBucket,
        plural="amovebuckets",
        short="abkt",
        columns=(
            ("Ready", f"{_READY}.status"),
            ("Reason", f"{_READY}.reason"),
            ("Bucket", ".status.bucketName"),
            _AGE,
        ),
        rules=(*BUCKET_RULES, *BUCKET_TRANSITIONS),
    ),
    CrdKind(
        model=AmoveStorageKey,
        plural="amovestoragekeys",
        short="akey",
        columns=(
            ("Ready", f"{_READY}.status"),
            ("Reason", f"{_READY}.reason"),
            ("Key", ".status.key.name"),
            ("Secret", ".status.binding.name"),
            ("Permission", ".spec.permission"),
            # A string: kubectl shows a date as an age, which for a date to come is "<invalid>".
            ("Next-Rotation", ".status.nextRotation"),
            _AGE,
        ),
        rules=(*KEY_RULES, *KEY_TRANSITIONS),
    ),
)


def crds() -> list[dict[str, Any]]:
    """Both definitions (apiextensions.k8s.io/v1), buckets first, ready for YAML or JSON."""
    return [_definition(kind) for kind in CRD_KINDS]


def crds_yaml() -> str:
    """Both definitions and the fence as one YAML stream, the same text for the same models."""
    return "".join(f"---\n{_text(each)}" for each in (*crds(), *fence()))


def crd_files() -> dict[str, str]:
    """File name → contents, as they stand in deploy/crds/: both definitions, then the fence."""
    kinds = {
        f"{GROUP}_{kind.plural}.yaml": _HEADER.format("models") + _text(_definition(kind))
        for kind in CRD_KINDS
    }
    policy, binding = (_HEADER.format("models/fence.py") + _text(each) for each in fence())
    return {**kinds, f"{FENCE}-policy.yaml": policy, f"{FENCE}-binding.yaml": binding}


def write_crds(directory: Path) -> list[Path]:
    """Write :func:`crd_files` into ``directory``, made if need be. OSError where it cannot be."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in crd_files().items():
        path = directory / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _text(definition: Mapping[str, Any]) -> str:
    return yaml.safe_dump(definition, sort_keys=False, width=100, allow_unicode=True)


def _definition(kind: CrdKind) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "annotations": dict(KEPT)},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["amove"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": (*type_, "string")[0], "jsonPath": path}
                        for name, path, *type_ in kind.columns
                    ],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def _root_schema(kind: CrdKind) -> Schema:
    whole = schema_of(kind.model)
    spec, status = whole["properties"]["spec"], whole["properties"]["status"]
    # Nothing reads as ready before the first reconcile (kstatus compares the generations).
    status["default"] = {"observedGeneration": -1}
    root: Schema = {
        "description": whole["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    for rule in kind.rules:
        blamed = {"fieldPath": rule.field} if rule.field else {}
        validation = {"rule": rule.cel, "message": rule.message, **blamed}
        _node(root, rule.at).setdefault("x-kubernetes-validations", []).append(validation)
    return root


def schema_of(model: type[BaseModel]) -> Schema:
    """``model`` as a structural schema. ValueError for what Kubernetes' dialect cannot say."""
    source = model.model_json_schema(by_alias=True)
    return _structural(source, source.pop("$defs", {}))


def _node(root: Schema, path: str) -> Schema:
    """The schema at ``path``, such as ``spec.bucketNames[]``; the root for an empty one."""
    node = root
    for name in path.split(".") if path else ():
        node = node["properties"][name.removesuffix("[]")]
        if name.endswith("[]"):
            node = node["items"]
    return node


def _structural(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """``node`` in Kubernetes' dialect.

    Of the defaults only words are kept: empty lists, objects and ``false`` would write into
    objects what nobody asked for.
    """
    result: Schema = {}
    for word, value in _flattened(node, definitions).items():
        match word:
            case "properties":
                result[word] = {
                    name: _structural(child, definitions) for name, child in value.items()
                }
            case "items" | "additionalProperties":
                result[word] = _structural(value, definitions)
            case "const":
                result["enum"] = [value]
            case "description":
                result[word] = " ".join(value.split())
            case "default":
                if isinstance(value, str) and value:
                    result[word] = value
            case _ if word in _KEPT:
                result[word] = value
            case _ if word not in _DROPPED:
                raise ValueError(f"a CRD cannot say {word}: {value!r}")
    if result.get("type") == "integer":
        result["format"] = "int32" if result.get("maximum", 2**63) <= _INT32_MAX else "int64"
    return {word: result[word] for word in _KEPT if word in result}


def _flattened(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """``node`` with its reference put in and its ``… | None`` undone: absence says that."""
    while "$ref" in node or "anyOf" in node:
        rest = {word: value for word, value in node.items() if word not in ("$ref", "anyOf")}
        if "$ref" in node:
            inner = definitions[node["$ref"].removeprefix("#/$defs/")]
        else:
            choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
            if len(choices) != 1:
                raise ValueError(f"a CRD cannot say anyOf: {choices!r}")
            inner = choices[0]
        node = inner | rest
    return node
