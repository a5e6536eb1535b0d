"""What of a CustomResourceDefinition's change breaks who used the version before.

``breaches(old, new)`` names each field that went, changed its type or takes less than it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

# What a value must not be above or below: a bound that is new or nearer takes less.
_AT_MOST = ("maximum", "maxLength", "maxItems", "maxProperties")
_AT_LEAST = ("minimum", "minLength", "minItems", "minProperties")
# What may not change at all: whether another pattern or rule takes less, nobody can tell.
_SAME = (
    "type", "format", "pattern", "default", "multipleOf", "uniqueItems", "exclusiveMaximum",
    "exclusiveMinimum", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
)  # fmt: skip
_ALLOWED_MORE = ("nullable", "x-kubernetes-preserve-unknown-fields")
_COMBINED = ("allOf", "anyOf", "oneOf", "not")


def breaches(old: Schema, new: Schema) -> list[str]:
    """Of two CustomResourceDefinitions: each breach as ``path: what``; none where it only adds."""
    return list(_of_definition(old["spec"], new["spec"]))


def _of_definition(old: Schema, new: Schema) -> Iterator[str]:
    for field in ("group", "scope"):
        if old[field] != new[field]:
            yield f"spec.{field}: changed"
    for field, value in old["names"].items():
        now = new["names"].get(field)
        if not (set(value) <= set(now or ()) if isinstance(value, list) else now == value):
            yield f"spec.names.{field}: changed"
    served = {version["name"]: version for version in new["versions"] if version["served"]}
    for version in old["versions"]:
        name = version["name"]
        if name not in served:
            yield f"{name}: not served any more"
            continue
        if version.get("subresources", {}).keys() - served[name].get("subresources", {}).keys():
            yield f"{name}: a subresource went"
        selectable = [field["jsonPath"] for field in served[name].get("selectableFields", ())]
        for field in version.get("selectableFields", ()):
            if field["jsonPath"] not in selectable:
                yield f"{field['jsonPath']}: not selectable any more"
        schemas = (one["schema"]["openAPIV3Schema"] for one in (version, served[name]))
        yield from _of_schema("", *schemas)


def _of_schema(path: str, old: Schema, new: Schema) -> Iterator[str]:
    at = path or "."
    yield from (f"{at}: {what}" for what in _tightened(old, new))
    properties = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name in properties:
            yield from _of_schema(f"{path}.{name}", schema, properties[name])
        else:
            yield f"{path}.{name}: went"
    for name, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(old.get(name), dict):
            if isinstance(new.get(name), dict):
                yield from _of_schema(path + mark, old[name], new[name])
            else:
                yield f"{path}{mark}: went"


def _tightened(old: Schema, new: Schema) -> Iterator[str]:
    for names, nearer in ((_AT_MOST, int.__lt__), (_AT_LEAST, int.__gt__)):
        for name in names:
            if name in new and (name not in old or nearer(new[name], old[name])):
                yield f"{name} takes less"
    yield from (f"{name} changed" for name in _SAME if _changed(name, old, new))
    yield from (f"{name} went" for name in _ALLOWED_MORE if old.get(name) and not new.get(name))
    for name in _COMBINED:
        if name in new and new[name] != old.get(name):
            yield f"{name} changed"
    if "enum" in new and not set(old.get("enum", ("",))) <= set(new["enum"]):
        yield "enum takes less"
    for name in new.get("required", ()):
        if name not in old.get("required", ()):
            yield f"{name} is required now"
    rules = [one["rule"] for one in old.get("x-kubernetes-validations", ())]
    for one in new.get("x-kubernetes-validations", ()):
        if one["rule"] not in rules:
            yield f"a rule is new: {one['rule']}"


def _changed(name: str, old: Schema, new: Schema) -> bool:
    """A bound that went takes more; a default or a type that comes or goes is another meaning."""
    if name in ("pattern", "multipleOf", "exclusiveMaximum", "exclusiveMinimum", "uniqueItems"):
        return name in new and new[name] != old.get(name)
    return bool(new.get(name) != old.get(name))
