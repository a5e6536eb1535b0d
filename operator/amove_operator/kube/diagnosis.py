"""What ``doctor`` asks of the API server, and nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import Request, Transport, path_of
from amove_operator.models import GROUP, VERSION
from amove_operator.models.refs import Kind

_REVIEWS = path_of("apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_SELF = path_of("apis", "authentication.k8s.io", "v1", "selfsubjectreviews")
_OPENAPI = path_of("openapi", "v3", "apis", GROUP, VERSION)


class Access(NamedTuple):
    """One right. ``resource`` may have a subresource: ``amovebuckets/status``.

    ``namespace`` empty: in all namespaces, or of what is in none. ``name`` empty: of any name.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f" {self.name}" if self.name else "")
        return f"{what} in {self.namespace}" if self.namespace else what


async def is_allowed(transport: Transport, access: Access) -> bool:
    """Whether we have that right, by the API server's own word (SelfSubjectAccessReview)."""
    resource, _, subresource = access.resource.partition("/")
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = await transport.call(Request("POST", _REVIEWS, body=body))
    return (answer.get("status") or {}).get("allowed") is True


async def own_user(transport: Transport) -> str:
    """The name under which the API server knows us."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await transport.call(Request("POST", _SELF, body=body))
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "unknown")


async def read_lease(transport: Transport, namespace: str, name: str) -> dict[str, Any] | None:
    """The Lease as it is now; None where there is none."""
    leases = path_of("apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases", name)
    try:
        return await transport.call(Request("GET", leases))
    except Gone:
        return None


async def served_schemas(transport: Transport) -> dict[Kind, Mapping[str, Any]]:
    """The schemas of our kinds as the API server publishes them; needs no role."""
    answer = await transport.call(Request("GET", _OPENAPI))
    schemas = ((answer.get("components") or {}).get("schemas") or {}).values()
    found: dict[Kind, Mapping[str, Any]] = {}
    for schema in schemas:
        for each in schema.get("x-kubernetes-group-version-kind") or ():
            if each.get("kind") in list(Kind) and each.get("version") == VERSION:
                found[Kind(each["kind"])] = schema
    return found
