"""The rules of an ``AmoveStorageKey`` that a schema cannot say (see ``rules``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from amove_operator.models import rules
from amove_operator.models.key_spec import MAX_TEXT_BYTES, KeySpec
from amove_operator.models.shared import DURATION_PATTERN, SUBDOMAIN, parse_duration

QUALIFIED_NAME_PATTERN = rf"^({SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$"
# Kubernetes refuses ".", ".." and whatever starts with "..": they would be paths in a volume.
TEMPLATE_KEY_PATTERN = r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*$"
# Labels and annotations that others act on: one of Argo CD's makes a Secret a cluster login.
RESERVED_METADATA_PATTERN = (
    r"^([^/]*\.)?(kubernetes\.io|k8s\.io|helm\.sh"
    r"|argocd\.argoproj\.io|toolkit\.fluxcd\.io|storage\.amove\.io)/"
)
RESERVED_TYPE_PATTERN = r"^([^/]*\.)?(kubernetes\.io|k8s\.io|helm\.sh)/"


def _type_unreserved(_name: str, spec: KeySpec) -> bool:
    return not re.match(RESERVED_TYPE_PATTERN, spec.secret.type or "")


def _metadata_rules(
    field: str, keys_of: Callable[[KeySpec], Mapping[str, str] | None]
) -> tuple[rules.Rule[KeySpec], rules.Rule[KeySpec]]:
    """The two rules on the keys of ``spec.secret.labels`` and ``spec.secret.annotations``."""
    at = f"spec.secret.{field}"
    return (
        rules.Rule(
            at=at,
            cel=(
                f"self.all(key, key.matches(r'{QUALIFIED_NAME_PATTERN}')"
                " && key.indexOf('/') <= 253)"
            ),
            message=(
                f"{at} has a malformed key: write name or domain/name, the name with at most 63 "
                "of A-Z, a-z, 0-9, dot, hyphen and underscore"
            ),
            holds=lambda _name, spec: all(
                re.fullmatch(QUALIFIED_NAME_PATTERN, key) and key.find("/") <= 253
                for key in keys_of(spec) or ()
            ),
        ),
        rules.Rule(
            at=at,
            cel=f"!self.exists(key, key.matches(r'{RESERVED_METADATA_PATTERN}'))",
            message=(
                f"{at} may not use the domains kubernetes.io, k8s.io, helm.sh, argocd.argoproj.io, "
                "toolkit.fluxcd.io and storage.amove.io: write keys of your own domain"
            ),
            holds=lambda _name, spec: (
                not any(re.match(RESERVED_METADATA_PATTERN, key) for key in keys_of(spec) or ())
            ),
        ),
    )


KEY_RULES: tuple[rules.Rule[KeySpec], ...] = (
    rules.Rule(
        at="spec",
        cel="[has(self.bucketRefs), has(self.bucketNames), has(self.allBuckets)]"
        ".exists_one(given, given)",
        message=(
            "write exactly one of spec.bucketRefs, spec.bucketNames and spec.allBuckets: true"
        ),
        holds=lambda _name, spec: (
            [spec.bucket_refs, spec.bucket_names, spec.all_buckets].count(None) == 2
        ),
    ),
    rules.Rule(
        at="spec.bucketNames[]",
        cel=f"!self.matches(r'{rules.IPV4_PATTERN}')",
        message=(
            "spec.bucketNames has an entry that looks like an IPv4 address: write names with a "
            "letter in them"
        ),
        holds=lambda _name, spec: not any(map(rules.looks_like_ipv4, spec.bucket_names or ())),
    ),
    rules.Rule(
        at="spec.rotation",
        # The pattern says the same in signs; this says what to write instead of 30d.
        cel=f"(!has(self.interval) || self.interval.matches(r'{DURATION_PATTERN}'))"
        f" && self.gracePeriod.matches(r'{DURATION_PATTERN}')",
        message=(
            "spec.rotation takes durations of h, m, s and ms, the largest first, such as 720h or "
            "1h30m: write days as hours, 30d as 720h"
        ),
        holds=lambda _name, spec: all(
            re.fullmatch(DURATION_PATTERN, each)
            for each in (spec.rotation.interval, spec.rotation.grace_period)
            if each is not None
        ),
    ),
    rules.Rule(
        at="spec.rotation",
        cel="!has(self.interval) || duration(self.interval) > duration(self.gracePeriod)",
        field=".interval",
        message=(
            "spec.rotation.interval must be longer than spec.rotation.gracePeriod (default 1h): "
            "lengthen the one or shorten the other"
        ),
        holds=lambda _name, spec: (
            spec.rotation.interval is None
            or parse_duration(spec.rotation.interval) > parse_duration(spec.rotation.grace_period)
        ),
    ),
    rules.Rule(
        at="spec.secret",
        cel="!(has(self.format) && has(self.template))",
        field=".template",
        message="spec.secret.format and spec.secret.template exclude each other: write one of them",
        holds=lambda _name, spec: spec.secret.format is None or spec.secret.template is None,
    ),
    rules.Rule(
        at="spec.secret.template",
        cel=f"self.all(key, key.size() <= 253 && key.matches(r'{TEMPLATE_KEY_PATTERN}'))",
        message=(
            "spec.secret.template has a key that no Secret can have: write at most 253 of A-Z, "
            "a-z, 0-9, dot, hyphen and underscore, not starting with two dots"
        ),
        holds=lambda _name, spec: all(
            re.fullmatch(TEMPLATE_KEY_PATTERN, key) and len(key) <= 253
            for key in spec.secret.template or ()
        ),
    ),
    rules.Rule(
        at="spec.secret.template",
        cel=f"self.all(key, bytes(self[key]).size() <= {MAX_TEXT_BYTES})",
        message=(
            "spec.secret.template has a text of more than 4 KiB: write a shorter one, or spread it "
            "over several keys"
        ),
        holds=lambda _name, spec: all(
            len(text.encode()) <= MAX_TEXT_BYTES for text in (spec.secret.template or {}).values()
        ),
    ),
    rules.Rule(
        at="spec.secret.template",
        # "$${secretKey}" is only the placeholder's name. The blank keeps what stands on both sides
        # of a "$$" apart: "${secret$$Key}" has no placeholder, and would have one without it.
        cel="self.exists(key, self[key].replace('$$', ' ').contains('${secretKey}'))",
        message=(
            "spec.secret.template has ${secretKey} in none of its texts: write it into one, since "
            "nobody can use the key without it ($${secretKey} is only its name)"
        ),
        holds=lambda _name, spec: (
            spec.secret.template is None
            or any(
                "${secretKey}" in text.replace("$$", " ") for text in spec.secret.template.values()
            )
        ),
    ),
    *_metadata_rules("labels", lambda spec: spec.secret.labels),
    rules.Rule(
        at="spec.secret.labels",
        # Helm asks for no type: by this label alone a Secret is a release to it, whose objects
        # `helm uninstall` deletes with the rights of whoever runs it.
        cel="!('owner' in self && self['owner'] == 'helm')",
        message=(
            "spec.secret.labels may not have owner: helm, by which Helm finds its releases: write "
            "another value, or a key of your own domain"
        ),
        holds=lambda _name, spec: (spec.secret.labels or {}).get("owner") != "helm",
    ),
    *_metadata_rules("annotations", lambda spec: spec.secret.annotations),
    rules.Rule(
        at="spec.secret.type",
        cel=f"!self.matches(r'{RESERVED_TYPE_PATTERN}')",
        message=(
            "spec.secret.type may not be of kubernetes.io, k8s.io or helm.sh: write Opaque or a "
            "type of your own domain"
        ),
        holds=_type_unreserved,
    ),
)

KEY_TRANSITIONS: tuple[rules.Transition, ...] = (
    rules.Transition(
        at="",
        cel=rules.same_or_default("self.spec", "oldSelf.spec", "secret.name", "self.metadata.name"),
        field=".spec.secret.name",
        message=(
            "spec.secret.name (default: metadata.name) is immutable: create another AmoveStorageKey"
        ),
    ),
    rules.Transition(
        at="spec",
        cel=rules.same_or_default("self", "oldSelf", "secret.type", "'Opaque'"),
        field=".secret.type",
        message=(
            "spec.secret.type (default: Opaque) is immutable, as a Secret's type is: create "
            "another AmoveStorageKey"
        ),
    ),
    rules.immutable("cloudAccountId", "create another AmoveStorageKey"),
)


def spec_faults_key(name: str, spec: KeySpec) -> list[str]:
    """What is wrong with the spec of the AmoveStorageKey called ``name``, a sentence each."""
    return [rule.message for rule in KEY_RULES if not rule.holds(name, spec)]
