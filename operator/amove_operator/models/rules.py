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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from amove_operator.models.bucket import BUCKET_NAME_PATTERN, BucketSpec
from amove_operator.models.key import MAX_TEXT_BYTES, KeySpec
from amove_operator.models.shared import SUBDOMAIN, parse_duration

IPV4_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"
QUALIFIED_NAME_PATTERN = rf"^({SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$"
# Kubernetes refuses ".", ".." and whatever starts with "..": they would be paths in a volume.
TEMPLATE_KEY_PATTERN = r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*$"
# Labels and annotations that others act on: one of Argo CD's makes a Secret a cluster login.
RESERVED_METADATA_PATTERN = (
    r"^([^/]*\.)?(kubernetes\.io|k8s\.io|helm\.sh"
    r"|argocd\.argoproj\.io|toolkit\.fluxcd\.io|storage\.amove\.io)/"
)
RESERVED_TYPE_PATTERN = r"^([^/]*\.)?(kubernetes\.io|k8s\.io|helm\.sh)/"

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


def is_bucket_name(name: str) -> bool:
    """Whether S3's naming rules allow ``name``."""
    return (
        3 <= len(name) <= 63
        and re.fullmatch(BUCKET_NAME_PATTERN, name) is not None
        and not _looks_like_ipv4(name)
    )


def _looks_like_ipv4(name: str) -> bool:
    return re.fullmatch(IPV4_PATTERN, name) is not None


def _qualified(keys: Iterable[str] | None) -> bool:
    return all(
        re.fullmatch(QUALIFIED_NAME_PATTERN, key) and key.find("/") <= 253 for key in keys or ()
    )


def _unreserved(keys: Iterable[str] | None) -> bool:
    return not any(re.match(RESERVED_METADATA_PATTERN, key) for key in keys or ())


def _template_keys(template: Mapping[str, str] | None) -> bool:
    return all(
        re.fullmatch(TEMPLATE_KEY_PATTERN, key) and len(key) <= 253 for key in template or ()
    )


def _template_texts(template: Mapping[str, str] | None) -> bool:
    return all(len(text.encode()) <= MAX_TEXT_BYTES for text in (template or {}).values())


def _template_holds_the_secret(template: Mapping[str, str] | None) -> bool:
    """Whether a text has the placeholder; after an odd dollar it is only the words of it.

    The blank keeps what stands on both sides of a ``$$`` from becoming one word.
    """
    texts = () if template is None else template.values()
    return template is None or any("${secretKey}" in text.replace("$$", " ") for text in texts)


def _type_unreserved(_name: str, spec: KeySpec) -> bool:
    return re.match(RESERVED_TYPE_PATTERN, spec.secret.type or "") is None


def _one_scope(_name: str, spec: KeySpec) -> bool:
    scopes = (spec.bucket_refs, spec.bucket_names, spec.all_buckets)
    return sum(scope is not None for scope in scopes) == 1


def _interval_beyond_grace(_name: str, spec: KeySpec) -> bool:
    interval, grace = spec.rotation.interval, spec.rotation.grace_period
    return interval is None or parse_duration(interval) > parse_duration(grace)


# Written out with has(): `self.?x == oldSelf.?x` says the same, but the apiserver cannot tell how
# long an optional is and refuses the rule as too costly.
def _same(field: str) -> str:
    return (
        f"has(self.{field}) == has(oldSelf.{field})"
        f" && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    )


def _same_or_default(new: str, old: str, field: str, default: str) -> str:
    """That ``field`` is the same before and after, where it counts as ``default`` when left out."""
    now, then = _has(new, field), _has(old, field)
    return (
        f"({now}) ? ({then} ? {new}.{field} == {old}.{field} : {new}.{field} == {default})"
        f" : (!({then}) || {old}.{field} == {default})"
    )


def _has(base: str, field: str) -> str:
    names = field.split(".")
    return " && ".join(f"has({base}.{'.'.join(names[: depth + 1])})" for depth in range(len(names)))


BUCKET_RULES: tuple[Rule[BucketSpec], ...] = (
    Rule(
        at="",
        # The characters need no look here: the apiserver has held them to a DNS name already.
        cel=(
            "has(self.spec.bucketName) || (self.metadata.name.size() >= 3"
            " && self.metadata.name.size() <= 63"
            f" && !self.metadata.name.matches(r'{IPV4_PATTERN}'))"
        ),
        field=".spec.bucketName",
        message=(
            "metadata.name cannot serve as the bucket's name: write spec.bucketName with 3 to 63 "
            "of a-z, 0-9, dot and hyphen, and not an IPv4 address"
        ),
        holds=lambda name, spec: spec.bucket_name is not None or is_bucket_name(name),
    ),
    Rule(
        at="spec.bucketName",
        cel=f"!self.matches(r'{IPV4_PATTERN}')",
        message="spec.bucketName looks like an IPv4 address: write a name with a letter in it",
        holds=lambda _name, spec: not _looks_like_ipv4(spec.bucket_name or ""),
    ),
    Rule(
        at="spec",
        cel="!self.?objectLockEnabled.orValue(false) || self.?versioningEnabled.orValue(true)",
        field=".versioningEnabled",
        message=(
            "spec.objectLockEnabled needs versioning: write spec.versioningEnabled: true or leave "
            "it out"
        ),
        holds=lambda _name, spec: (
            spec.object_lock_enabled is not True or spec.versioning_enabled is not False
        ),
    ),
)

BUCKET_TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        at="",
        cel=_same_or_default("self.spec", "oldSelf.spec", "bucketName", "self.metadata.name"),
        field=".spec.bucketName",
        message="spec.bucketName (default: metadata.name) is immutable: create another AmoveBucket",
    ),
    Transition(
        at="spec",
        cel=_same("cloudAccountId"),
        field=".cloudAccountId",
        message=(
            "spec.cloudAccountId is immutable, and may be neither added nor removed: create "
            "another AmoveBucket"
        ),
    ),
    Transition(
        at="spec",
        cel=_same("objectLockEnabled"),
        field=".objectLockEnabled",
        message=(
            "spec.objectLockEnabled is immutable, and may be neither added nor removed: object "
            "lock is chosen when a bucket is made"
        ),
    ),
)


def _metadata_rules(
    field: str, keys_of: Callable[[KeySpec], Mapping[str, str] | None]
) -> tuple[Rule[KeySpec], Rule[KeySpec]]:
    """The two rules on the keys of ``spec.secret.labels`` and ``spec.secret.annotations``."""
    at = f"spec.secret.{field}"
    return (
        Rule(
            at=at,
            cel=(
                f"self.all(key, key.matches(r'{QUALIFIED_NAME_PATTERN}')"
                " && key.indexOf('/') <= 253)"
            ),
            message=(
                f"{at} has a malformed key: write name or domain/name, the name with at most 63 "
                "of A-Z, a-z, 0-9, dot, hyphen and underscore"
            ),
            holds=lambda _name, spec: _qualified(keys_of(spec)),
        ),
        Rule(
            at=at,
            cel=f"!self.exists(key, key.matches(r'{RESERVED_METADATA_PATTERN}'))",
            message=(
                f"{at} may not use the domains kubernetes.io, k8s.io, helm.sh, argocd.argoproj.io, "
                "toolkit.fluxcd.io and storage.amove.io: write keys of your own domain"
            ),
            holds=lambda _name, spec: _unreserved(keys_of(spec)),
        ),
    )


KEY_RULES: tuple[Rule[KeySpec], ...] = (
    Rule(
        at="spec",
        cel="[has(self.bucketRefs), has(self.bucketNames), has(self.allBuckets)]"
        ".exists_one(given, given)",
        message=(
            "write exactly one of spec.bucketRefs, spec.bucketNames and spec.allBuckets: true"
        ),
        holds=_one_scope,
    ),
    Rule(
        at="spec.bucketNames[]",
        cel=f"!self.matches(r'{IPV4_PATTERN}')",
        message=(
            "spec.bucketNames has an entry that looks like an IPv4 address: write names with a "
            "letter in them"
        ),
        holds=lambda _name, spec: not any(map(_looks_like_ipv4, spec.bucket_names or ())),
    ),
    Rule(
        at="spec.rotation",
        cel="!has(self.interval) || duration(self.interval) > duration(self.gracePeriod)",
        field=".interval",
        message=(
            "spec.rotation.interval must be longer than spec.rotation.gracePeriod (default 1h): "
            "lengthen the one or shorten the other"
        ),
        holds=_interval_beyond_grace,
    ),
    Rule(
        at="spec.secret",
        cel="!(has(self.format) && has(self.template))",
        field=".template",
        message="spec.secret.format and spec.secret.template exclude each other: write one of them",
        holds=lambda _name, spec: spec.secret.format is None or spec.secret.template is None,
    ),
    Rule(
        at="spec.secret.template",
        cel=f"self.all(key, key.size() <= 253 && key.matches(r'{TEMPLATE_KEY_PATTERN}'))",
        message=(
            "spec.secret.template has a key that no Secret can have: write at most 253 of A-Z, "
            "a-z, 0-9, dot, hyphen and underscore, not starting with two dots"
        ),
        holds=lambda _name, spec: _template_keys(spec.secret.template),
    ),
    Rule(
        at="spec.secret.template",
        cel=f"self.all(key, bytes(self[key]).size() <= {MAX_TEXT_BYTES})",
        message=(
            "spec.secret.template has a text of more than 4 KiB: write a shorter one, or spread it "
            "over several keys"
        ),
        holds=lambda _name, spec: _template_texts(spec.secret.template),
    ),
    Rule(
        at="spec.secret.template",
        cel="self.exists(key, self[key].replace('$$', ' ').contains('${secretKey}'))",
        message=(
            "spec.secret.template has ${secretKey} in none of its texts: write it into one, since "
            "nobody can use the key without it ($${secretKey} is only its name)"
        ),
        holds=lambda _name, spec: _template_holds_the_secret(spec.secret.template),
    ),
    *_metadata_rules("labels", lambda spec: spec.secret.labels),
    *_metadata_rules("annotations", lambda spec: spec.secret.annotations),
    Rule(
        at="spec.secret.type",
        cel=f"!self.matches(r'{RESERVED_TYPE_PATTERN}')",
        message=(
            "spec.secret.type may not be of kubernetes.io, k8s.io or helm.sh: write Opaque or a "
            "type of your own domain"
        ),
        holds=_type_unreserved,
    ),
)

KEY_TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        at="",
        cel=_same_or_default("self.spec", "oldSelf.spec", "secret.name", "self.metadata.name"),
        field=".spec.secret.name",
        message=(
            "spec.secret.name (default: metadata.name) is immutable: create another AmoveStorageKey"
        ),
    ),
    Transition(
        at="spec",
        cel=_same_or_default("self", "oldSelf", "secret.type", "'Opaque'"),
        field=".secret.type",
        message=(
            "spec.secret.type (default: Opaque) is immutable, as a Secret's type is: create "
            "another AmoveStorageKey"
        ),
    ),
    Transition(
        at="spec",
        cel=_same("cloudAccountId"),
        field=".cloudAccountId",
        message=(
            "spec.cloudAccountId is immutable, and may be neither added nor removed: create "
            "another AmoveStorageKey"
        ),
    ),
)


def spec_faults_bucket(name: str, spec: BucketSpec) -> list[str]:
    """What is wrong with the spec of the AmoveBucket called ``name``, a sentence each."""
    return [rule.message for rule in BUCKET_RULES if not rule.holds(name, spec)]


def spec_faults_key(name: str, spec: KeySpec) -> list[str]:
    """What is wrong with the spec of the AmoveStorageKey called ``name``, a sentence each."""
    return [rule.message for rule in KEY_RULES if not rule.holds(name, spec)]


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
