"""The rules that a schema cannot say, each once: as CEL for the CRD and as Python for the operator.

The two halves of a :class:`Rule` stand side by side so that they are changed together;
``tests/cluster/operator/test_crds.py`` runs one table of manifests through both. A
:class:`Transition` compares with the object as it was, which only the apiserver can: the operator
pins names and account in ``status`` instead (docs/policies.md, "What is pinned").

Rules hang on the lowest node that they can: the apiserver lets an unchanged node pass a rule that
was tightened later, and a rule on the root would then block even the removal of a finalizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from amove_operator.models.bucket import BucketSpec
from amove_operator.models.key_spec import KeySpec

IPV4_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"

Spec = TypeVar("Spec", BucketSpec, KeySpec)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Spec]):
    """Something that must hold for one object by itself.

    ``at`` is the node of the schema that ``cel`` calls ``self`` (``""`` is the root, ``[]`` the
    items of a list); ``field`` is the field to blame, below that node.
    """

    at: str
    cel: str
    message: str
    holds: Callable[[str, Spec], bool]
    field: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """Something that must hold between an object and what it was."""

    at: str
    cel: str
    message: str
    field: str = ""


def looks_like_ipv4(name: str) -> bool:
    """Whether ``name`` is four numbers with dots between: S3 takes it for an address."""
    return re.fullmatch(IPV4_PATTERN, name) is not None


# Written out with has(): `self.?x == oldSelf.?x` says the same, but the apiserver cannot tell how
# long an optional is and refuses the rule as too costly.
def immutable(field: str, advice: str) -> Transition:
    """That ``field`` of the spec is the same before and after, given or not."""
    return Transition(
        at="spec",
        cel=f"has(self.{field}) == has(oldSelf.{field})"
        f" && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        message=f"spec.{field} is immutable, and may be neither added nor removed: {advice}",
        field=f".{field}",
    )


def same_or_default(new: str, old: str, field: str, default: str) -> str:
    """CEL: that ``field`` is the same before and after; left out, it counts as ``default``."""
    now, then = _has(new, field), _has(old, field)
    return (
        f"({now}) ? ({then} ? {new}.{field} == {old}.{field} : {new}.{field} == {default})"
        f" : (!({then}) || {old}.{field} == {default})"
    )


def _has(base: str, field: str) -> str:
    names = field.split(".")
    return " && ".join(f"has({base}.{'.'.join(names[: depth + 1])})" for depth in range(len(names)))


def parse_faults(error: ValidationError, at: str = "") -> list[str]:
    """Why an object could not be read, in sentences that name the field like the rules' own.

    ``at`` is the path of what was read, such as ``spec``, where that was only a part.
    Only seen where the installed CRD is older than the operator: the apiserver refuses the same.
    Values are left out, as they may come from a template that holds something private.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return [f"{_path(at, fault['loc'])}: {fault['msg']}" for fault in faults]


def _path(base: str, parts: tuple[int | str, ...]) -> str:
    """``("spec", "bucketNames", 0)`` below nothing as ``spec.bucketNames[0]``."""
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return f"{base}{''.join(steps)}".removeprefix(".")
