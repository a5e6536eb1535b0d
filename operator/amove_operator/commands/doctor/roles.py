"""Which rights the operator needs with its settings; the chart's roles give them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.kube.diagnosis import Access
from amove_operator.models import GROUP
from amove_operator.models.fence import FENCE
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings

_ADMISSION = "admissionregistration.k8s.io"
_LEASES = "coordination.k8s.io"
_EVENTS = "events.k8s.io"
_SECRETS = ("get", "list", "watch", "create", "patch", "delete")


def needed_rights(settings: Settings, own_namespace: str) -> list[Access]:
    """All of them, cluster-wide ones first. ``own_namespace``: where the operator runs.

    Left out is what it uses only where it is given: to read its own Deployment.
    """
    return [
        *_of_cluster(settings, own_namespace),
        *(right for where in settings.watch_namespaces or ("",) for right in _of_tenant(where)),
        Access("create", _EVENTS, "events", own_namespace),
        *_of_lease(settings, own_namespace),
    ]


def _of_cluster(settings: Settings, own_namespace: str) -> Iterator[Access]:
    yield Access("get", "", "namespaces", name="kube-system")
    for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        yield Access("get", _ADMISSION, kind, name=FENCE)
    for namespace in settings.watch_namespaces or (own_namespace,):
        yield Access("get", "", "namespaces", name=namespace)
        for kind in Kind:
            # What the fence asks for: in the whole cluster, by the namespace's name.
            yield Access("attest", GROUP, f"{kind.plural}/status", name=namespace)
    if settings.watch_namespaces:  # a namespace that goes may lose its role before its objects
        for kind in Kind:
            yield from (Access(verb, GROUP, kind.plural) for verb in ("get", "patch"))


def _of_tenant(namespace: str) -> Iterator[Access]:
    for kind in Kind:
        for verb in ("get", "list", "watch", "patch"):
            yield Access(verb, GROUP, kind.plural, namespace)
        for verb in ("get", "patch"):
            yield Access(verb, GROUP, f"{kind.plural}/status", namespace)
    yield from (Access(verb, "", "secrets", namespace) for verb in _SECRETS)
    yield Access("create", _EVENTS, "events", namespace)


def _of_lease(settings: Settings, own_namespace: str) -> Iterator[Access]:
    if not settings.leader_election:
        return
    namespace = settings.lease_namespace or own_namespace
    yield Access("create", _LEASES, "leases", namespace)
    for verb in ("get", "update"):
        yield Access(verb, _LEASES, "leases", namespace, settings.lease_name)
