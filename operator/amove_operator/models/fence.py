"""The fence: one admission policy that keeps what proves ownership from whoever may not write it.

RBAC cannot do it: a role with ``resources: ["*"]`` reaches every status. The right ``attest`` can,
since it is asked for cluster-wide with the namespace as the resource's name: no Role and no
RoleBinding gives it, however wide, and a ClusterRole can give it for some namespaces only.

Here is the one source of both objects, and of what counts as weaker than they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from amove_operator.models.keeping import KEPT
from amove_operator.models.shared import FINALIZER, GROUP, VERSION
from amove_operator.times import parse_time

Manifest = Mapping[str, Any]

FENCE = "amove-fence"
"""Name of the policy and of its binding."""
AWAY = "away"
"""In place of an identity: no fence stood."""
FENCE_VERSION = 1
VERSION_ANNOTATION = f"{GROUP}/fence-version"
"""Goes up with every change of what is refused: an operator wants its own or a later one."""

_ADMISSION = "admissionregistration.k8s.io/v1"
_OPERATIONS = ("CREATE", "UPDATE")
_RESOURCES = ("amovebuckets", "amovebuckets/status", "amovestoragekeys", "amovestoragekeys/status")
_VARIABLES = {
    # Asked only where the answer counts: a variable is evaluated at its first use.
    "attests": (
        f"authorizer.group('{GROUP}').resource(request.resource.resource).subresource('status')"
        ".name(request.namespace).check('attest').allowed()"
    ),
    # The main resource's requests have no subResource at all.
    "ofStatus": "has(request.subResource) && request.subResource == 'status'",
    "letGo": (
        "request.operation == 'UPDATE' && has(oldObject.metadata.finalizers) && "
        f"oldObject.metadata.finalizers.exists(one, one == '{FINALIZER}') && "
        "!(has(object.metadata.finalizers) && "
        f"object.metadata.finalizers.exists(one, one == '{FINALIZER}'))"
    ),
    # Anybody may send managedFields along, and the operator reads there who wrote status.
    "statusWriters": (
        "has(object.metadata.managedFields) ? object.metadata.managedFields.filter("
        "one, has(one.subresource) && one.subresource == 'status') : []"
    ),
    "statusWritersBefore": (
        "request.operation == 'UPDATE' && has(oldObject.metadata.managedFields) ? "
        "oldObject.metadata.managedFields.filter("
        "one, has(one.subresource) && one.subresource == 'status') : []"
    ),
}
_VALIDATIONS = (
    (
        "(!variables.ofStatus && !(request.operation == 'CREATE' && has(object.status))) || "
        "variables.attests",
        "The status proves whose a bucket or key is: it is written only by who holds the right "
        f"'attest' on its status (API group {GROUP}) by a ClusterRoleBinding, with this namespace "
        "as resource name or with none.",
    ),
    (
        "!variables.letGo || (has(oldObject.metadata.deletionTimestamp) && variables.attests)",
        f"The finalizer {FINALIZER} is taken off by the operator alone, once the object is being "
        "deleted: without it live keys would be left behind. To be rid of the object, delete it. "
        "With kubectl replace, and with an apply that once set finalizers or is forced, keep "
        "metadata.finalizers as they are.",
    ),
    (
        # Entries may go: where there are more than ten, the API server puts the oldest together.
        # Who holds the right may bring along those of an earlier object, as a restore does, and no
        # others: a GitOps controller with all rights applies what a tenant wrote.
        "variables.ofStatus || "
        "variables.statusWriters.all(one, one in variables.statusWritersBefore || "
        "(variables.attests && has(one.time) && "
        "timestamp(one.time) < timestamp(object.metadata.creationTimestamp)))",
        "The entries of metadata.managedFields that tell who wrote the status are kept by the "
        "API server: leave metadata.managedFields out.",
    ),
)


def fence() -> tuple[dict[str, Any], dict[str, Any]]:
    """The ValidatingAdmissionPolicy and its binding, ready for YAML or JSON."""
    policy = {
        **_head("ValidatingAdmissionPolicy"),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": ["*"],
                        "operations": list(_OPERATIONS),
                        "resources": list(_RESOURCES),
                    }
                ]
            },
            "variables": [
                {"name": name, "expression": expression} for name, expression in _VARIABLES.items()
            ],
            "validations": [
                {"expression": expression, "message": message, "reason": "Forbidden"}
                for expression, message in _VALIDATIONS
            ],
        },
    }
    binding = {
        **_head("ValidatingAdmissionPolicyBinding"),
        "spec": {"policyName": FENCE, "validationActions": ["Deny"]},
    }
    return policy, binding


def _head(kind: str) -> dict[str, Any]:
    annotations = {VERSION_ANNOTATION: str(FENCE_VERSION), **KEPT}
    metadata = {"name": FENCE, "annotations": annotations}
    return {"apiVersion": _ADMISSION, "kind": kind, "metadata": metadata}


def weakness(policy: Manifest | None, binding: Manifest | None) -> str | None:
    """Why what stands in the cluster guards less than :func:`fence`; None when it does not.

    What a later version refuses cannot be judged here: of it only the frame is compared.
    """
    if policy is None:
        return f"there is no ValidatingAdmissionPolicy {FENCE}"
    if binding is None:
        return f"there is no ValidatingAdmissionPolicyBinding {FENCE}"
    return next(chain(_faults_of_policy(policy), _faults_of_binding(binding)), None)


def _faults_of_policy(policy: Manifest) -> Iterator[str]:
    spec = policy.get("spec") or {}
    version = _version(policy)
    if version < FENCE_VERSION:
        yield f"its {VERSION_ANNOTATION} is {version}, and this operator needs {FENCE_VERSION}"
    if spec.get("failurePolicy", "Fail") != "Fail":
        yield f"its failurePolicy is {spec['failurePolicy']}, not Fail"
    if spec.get("matchConditions"):
        yield "its matchConditions leave requests out"
    if spec.get("paramKind"):
        yield "it depends on parameters (paramKind)"
    constraints = spec.get("matchConstraints") or {}
    if narrowed := _narrowed(constraints):
        yield f"its matchConstraints.{narrowed} leaves requests out"
    rules = constraints.get("resourceRules") or ()
    for resource in _RESOURCES:
        for operation in _OPERATIONS:
            if not any(_covers(rule, resource, operation) for rule in rules):
                yield f"it does not match {operation} of {resource}"
    if version == FENCE_VERSION:
        yield from _changed_expressions(spec)


def _changed_expressions(spec: Manifest) -> Iterator[str]:
    there = {one.get("name"): one.get("expression") for one in spec.get("variables") or ()}
    for name, expression in _VARIABLES.items():
        if there.get(name) != expression:
            yield f"its variable {name} is not this operator's"
    refused = {one.get("expression") for one in spec.get("validations") or ()}
    if any(expression not in refused for expression, _ in _VALIDATIONS):
        yield "its validations are not this operator's"


def _faults_of_binding(binding: Manifest) -> Iterator[str]:
    spec = binding.get("spec") or {}
    if spec.get("policyName") != FENCE:
        yield f"its binding is of policy {spec.get('policyName')}"
    if "Deny" not in (spec.get("validationActions") or ()):
        yield "its binding does not deny (validationActions)"
    if spec.get("paramRef"):
        yield "its binding depends on parameters (paramRef)"
    matched = spec.get("matchResources") or {}
    if narrowed := _narrowed(matched, "resourceRules"):
        yield f"its binding's matchResources.{narrowed} leaves requests out"


def _narrowed(match: Manifest, *also: str) -> str | None:
    """The field by which a match leaves out what its rules admit. An empty selector takes all."""
    fields = (*also, "namespaceSelector", "objectSelector", "excludeResourceRules")
    return next((field for field in fields if match.get(field)), None)


def _covers(rule: Manifest, resource: str, operation: str) -> bool:
    def admits(field: str, *wanted: str) -> bool:
        listed: Sequence[str] = rule.get(field) or ()
        return any(one in listed for one in ("*", *wanted))

    # "*" alone means every resource, and no subresource.
    wide = ("*/*",) if "/" in resource else ("*", "*/*")
    return (
        admits("apiGroups", GROUP)
        and admits("apiVersions", VERSION)
        and admits("operations", operation)
        and any(one in (rule.get("resources") or ()) for one in (resource, *wide))
        and not rule.get("resourceNames")
        and rule.get("scope", "*") in ("*", "Namespaced")
    )


def _version(policy: Manifest) -> int:
    annotations = (policy.get("metadata") or {}).get("annotations") or {}
    text = str(annotations.get(VERSION_ANNOTATION, ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def identity(policy: Manifest, binding: Manifest) -> str:
    """Which two objects they are: made anew under the same names they are others."""
    return f"{policy['metadata']['uid']} {binding['metadata']['uid']}"


def was_away(noted: str | None, now: str) -> bool:
    """Whether status was open to whoever has a role between two leaders, or two reads of one.

    For example an admin deleted the fence and made it anew while no leader ran: whatever status
    says since may be forged. ``noted``: the identity that the leader before relied on, AWAY, or
    None where nobody has noted anything yet.
    """
    return noted is not None and now not in (AWAY, noted)


def made_at(*manifests: Manifest) -> datetime:
    """Since when all of them are there, by the API server's clock."""
    return _latest(one["metadata"]["creationTimestamp"] for one in manifests)


def last_changed(*manifests: Manifest) -> datetime:
    """When one of them was last written, by the API server's clock.

    The server's own notes in status do not count: they come a moment after every change.
    """
    metadata = [one["metadata"] for one in manifests]
    entries = chain.from_iterable(meta.get("managedFields") or () for meta in metadata)
    written = (entry.get("time") for entry in entries if not entry.get("subresource"))
    return _latest(chain((meta["creationTimestamp"] for meta in metadata), written))


def _latest(moments: Iterable[str | None]) -> datetime:
    return max(filter(None, map(parse_time, moments)))
