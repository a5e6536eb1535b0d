"""``Kube``: every read and write of Kubernetes that the operator does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from amove_operator.errors import Conflict, KubeRefused, KubeUnavailable
from amove_operator.kube import patches
from amove_operator.kube.connection import find_access
from amove_operator.kube.events import EventLog
from amove_operator.kube.failures import Gone, NamespaceTerminating, NotServed, secret_texts
from amove_operator.kube.listing import OnItem, each_item, list_version
from amove_operator.kube.nesting import read_as_deep_as_the_server
from amove_operator.kube.transport import (
    FIELD_MANAGER,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    Request,
    Transport,
    namespace_path,
    path_of,
    secret_path,
)
from amove_operator.kube.views import ObjectReference, SecretView
from amove_operator.models import GROUP, VERSION, ObjectMeta
from amove_operator.models.fence import FENCE
from amove_operator.models.refs import Kind, Ref


def _objects_path(kind: Kind, namespace: str | None) -> str:
    """The path of a namespace's objects of one kind, or of all namespaces'."""
    where = ("namespaces", namespace) if namespace else ()
    return path_of("apis", GROUP, VERSION, *where, kind.plural)


def _object_path(ref: Ref) -> str:
    """The path of one object of ours."""
    return _objects_path(ref.kind, ref.namespace) + path_of(ref.name)


class Kube:
    """Typed, fenced access to one cluster.

    ``namespace``: our own. ``gate``: called right before every write except Events and the
    Lease; raises NotLeading. ``field_manager``: the name under which the API server notes what we
    wrote. ``emit_event`` is :meth:`EventLog.emit`.
    Every method raises KubeUnavailable when the API server gives no usable answer and
    KubeRefused when it refuses; writes raise Conflict when the object is not the one that was
    read (changed, replaced or gone).
    """

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str,
        gate: Callable[[], None] | None = None,
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        self.transport = transport
        self.namespace = namespace
        self.gate = gate
        self.field_manager = field_manager
        self.emit_event = EventLog(transport).emit

    @classmethod
    async def connect(cls, context: str | None = None) -> Kube:
        """Find the cluster by KUBECONFIG or from inside a pod; no request is sent yet.

        Raises SettingsError when neither is there.
        """
        read_as_deep_as_the_server()
        access = await find_access(context=context)
        return cls(Transport(access), namespace=access.namespace)

    @property
    def host(self) -> str:
        """The API server's address, for a person."""
        return str(self.transport.configuration.host)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.transport.close()

    # -- the cluster ---------------------------------------------------------------------------

    @property
    def skew_seconds(self) -> float | None:
        """Local clock minus the server's as of its last answer; None before the first."""
        return self.transport.skew_seconds

    async def cluster_uid(self) -> str:
        """The UID of namespace kube-system, which names the cluster."""
        body = await self.transport.call(Request("GET", namespace_path("kube-system")))
        return str(body["metadata"]["uid"])

    async def missing_crds(self) -> list[str]:
        """Plurals of our kinds that the cluster does not serve. Needs no role: discovery."""
        try:
            body = await self.transport.call(Request("GET", path_of("apis", GROUP, VERSION)))
        except NotServed:
            return [kind.plural for kind in Kind]
        served = {resource.get("name") for resource in body.get("resources") or ()}
        return [kind.plural for kind in Kind if kind.plural not in served]

    async def namespace_terminating(self, namespace: str) -> bool:
        """Whether ``namespace`` is being deleted, or gone."""
        body = await self._get(namespace_path(namespace))
        return body is None or "deletionTimestamp" in body["metadata"]

    async def namespace_gone(self, namespace: str) -> bool:
        """Whether there is no such namespace."""
        return await self._get(namespace_path(namespace)) is None

    async def fence(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The fence's policy and binding as they are now."""
        admission = path_of("apis", "admissionregistration.k8s.io", "v1")
        policy = await self._get(admission + path_of("validatingadmissionpolicies", FENCE))
        binding = await self._get(admission + path_of("validatingadmissionpolicybindings", FENCE))
        return policy, binding

    # -- our own kinds -------------------------------------------------------------------------

    async def each_object(self, kind: Kind, take: OnItem, namespace: str | None = None) -> str:
        """Hand each object of ``kind`` (of one namespace) to ``take``; the list's version.

        Page by page, so that the cluster's objects are never in memory together. Complete where
        it does not raise; a list that had to begin anew shows some of them twice.
        """
        return await each_item(self.transport, _objects_path(kind, namespace), take)

    async def list_version(self, kind: Kind, namespace: str) -> str:
        """The version that a list of that namespace has now, whatever is in it."""
        request = Request("GET", _objects_path(kind, namespace), {"limit": "1"})
        return list_version(await self.transport.call(request), request)

    async def get_object(self, ref: Ref) -> dict[str, Any] | None:
        """The object as it is now; None only when the API server says that there is none."""
        return await self._get(_object_path(ref))

    async def add_finalizer(self, ref: Ref, meta: ObjectMeta) -> dict[str, Any]:
        """Append our finalizer to the very version that ``meta`` shows; the new object."""
        path, body = _object_path(ref), patches.adding_finalizer(meta)
        return await self._write("PATCH", path, body, content=JSON_PATCH)

    async def remove_finalizer(self, ref: Ref, meta: ObjectMeta) -> None:
        """Remove only our finalizer from the very version that ``meta`` shows, every copy of it.

        An object that is gone, or never had it, needs nothing.
        """
        if not meta.finalized_by_us:
            return
        path, body = _object_path(ref), patches.removing_finalizer(meta)
        try:
            while body:
                left = await self._write("PATCH", path, body, content=JSON_PATCH)
                body = patches.removing_copies(left["metadata"])
        except _Vanished:
            return

    async def write_status(
        self, ref: Ref, resource_version: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Send the difference of two statuses; the new object, or None when there is none."""
        if not (difference := patches.merge_difference(old, new)):
            return None
        body = {"metadata": {"resourceVersion": resource_version}, "status": difference}
        path = _object_path(ref) + path_of("status")
        return await self._write("PATCH", path, body, content=MERGE_PATCH)

    # -- Secrets -------------------------------------------------------------------------------

    async def read_secret(self, namespace: str, name: str) -> SecretView | None:
        """The Secret as it is now (a quorum read), or None when there is none."""
        body = await self._get(secret_path(namespace, name))
        return None if body is None else SecretView.parse(body)

    async def create_secret(
        self, manifest: Mapping[str, Any], *, dry_run: bool = False
    ) -> SecretView:
        """Create what ``manifest`` (with metadata.namespace and data in base64) says.

        Raises Conflict when a Secret of that name exists, NamespaceTerminating when nothing
        can be created there any more.
        """
        path = namespace_path(manifest["metadata"]["namespace"]) + path_of("secrets")
        body = {"apiVersion": "v1", "kind": "Secret", **manifest}
        values = secret_texts(manifest)
        try:
            answer = await self._write("POST", path, body, dry_run=dry_run, values=values)
        except _Vanished as error:  # only the namespace can be absent
            raise NamespaceTerminating(str(error), status=404) from None
        return SecretView.parse(answer)

    async def patch_secret(
        self,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        uid: str,
        resource_version: str,
        dry_run: bool = False,
    ) -> SecretView:
        """Merge ``patch`` into exactly the Secret that was read; never creates one.

        A merge patch and not an apply: what a POST wrote belongs to another kind of manager,
        so that an apply would leave old data keys behind. In a merge patch null removes a key.
        """
        same = {"uid": uid, "resourceVersion": resource_version}
        body = {**patch, "metadata": {**patch.get("metadata", {}), **same}}
        answer = await self._write(
            "PATCH",
            secret_path(namespace, name),
            body,
            content=MERGE_PATCH,
            dry_run=dry_run,
            values=secret_texts(patch),
        )
        return SecretView.parse(answer)

    async def delete_secret(self, namespace: str, name: str, *, uid: str) -> bool:
        """Delete the Secret of this uid; False when there is none. Another uid: Conflict."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._write("DELETE", secret_path(namespace, name), body)
        except _Vanished:
            return False
        return True

    # -- the operator itself -------------------------------------------------------------------

    async def own_deployment(self, pod_name: str | None = None) -> ObjectReference | None:
        """The Deployment that runs us, for Events about the operator itself.

        By DEPLOYMENT_NAME, else by the name of our pod (default: POD_NAME), which is the
        Deployment's with two parts added: so no role to read pods is needed. None when there
        is none or it may not be read.
        """
        pod_name = pod_name or os.environ.get("POD_NAME", "")
        name = os.environ.get("DEPLOYMENT_NAME") or pod_name.rpartition("-")[0].rpartition("-")[0]
        if not name:
            return None
        path = path_of("apis", "apps", "v1", "namespaces", self.namespace, "deployments", name)
        with suppress(KubeRefused, KubeUnavailable):
            if (found := await self._get(path)) is not None:
                uid = found["metadata"]["uid"]
                return ObjectReference("apps/v1", "Deployment", self.namespace, name, uid)
        return None

    # -- requests ------------------------------------------------------------------------------

    async def _get(self, path: str) -> dict[str, Any] | None:
        try:
            body = await self.transport.call(Request("GET", path))
        except Gone as error:
            if error.status != 404 or error.named != path.rpartition("/")[2]:
                raise KubeUnavailable(f"no word of whether there is {path}: {error}") from None
            return None
        if "metadata" not in body:
            raise KubeUnavailable(f"the answer to {path} is not an object of the API server")
        return body

    async def _write(
        self,
        method: str,
        path: str,
        body: object,
        *,
        content: str = JSON,
        dry_run: bool = False,
        values: Sequence[str] = (),
    ) -> dict[str, Any]:
        query = {"fieldManager": self.field_manager} | ({"dryRun": "All"} if dry_run else {})
        request = Request(method, path, query, body, content=content, values=values)
        try:
            return await self.transport.call(request, gate=self.gate)
        except Gone as error:
            if error.status != 404:
                raise
            raise _Vanished(str(error)) from None


class _Vanished(Conflict):
    """The object to write is gone."""
