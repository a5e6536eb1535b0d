"""Kubernetes in memory: exact enough for the real controllers, with faults on request.

Only what they use: the real API server is the cluster tests'. Every effect asks :class:`Fate`
first, which can end the process before or after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from amove_operator.errors import Conflict, KubeRefused, KubeUnavailable
from amove_operator.kube import patches
from amove_operator.kube.events import EventType
from amove_operator.kube.views import ObjectReference, SecretView
from amove_operator.models import FINALIZER, ObjectMeta
from amove_operator.models.refs import Kind, Ref
from tests.stand_ins.fate import Fate, after
from tests.stand_ins.ports import Body
from tests.stand_ins.time import Time

T = TypeVar("T")


class InMemoryKube:
    """The API server: CRs and Secrets by namespace and name.

    ``closed``: namespaces without our role. ``gone``: namespaces that went.
    ``writes``: how often a status was written. ``events``: the reasons of the Events.
    """

    field_manager = "amove-operator"

    def __init__(self, time: Time, fate: Fate) -> None:
        self.crs: dict[Ref, Body] = {}
        self.secrets: dict[tuple[str, str], Body] = {}
        self.closed: set[str] = set()
        self.gone: set[str] = set()
        self.writes = 0
        self.events: list[str] = []
        self.to_be_checked: set[str] = set()
        self._time, self._fate, self._version = time, fate, 0

    @property
    def skew_seconds(self) -> float:
        """Local clock minus ours."""
        return self._time.jumped.total_seconds()

    def version(self) -> str:
        """A new resourceVersion, also good as a part of a UID."""
        self._version += 1
        return str(self._version)

    def _effect(self, done: Callable[[], T]) -> T:
        word = self._fate.next()
        if word == "unanswered, not done":
            raise KubeUnavailable("no answer")
        if word == "refused":
            raise KubeRefused("refused by a webhook", status=403)
        result = done()
        if word == "unanswered, done":
            raise KubeUnavailable("no answer")
        after(word)
        return result

    def _own(self, ref: Ref, version: str) -> Body:
        body = self.crs.get(ref)
        if body is None or body["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified")
        return body

    def touch(self, body: Body) -> Body:
        """Stamp a new version, as of a write by somebody else; a copy for the caller."""
        body["metadata"]["resourceVersion"] = self.version()
        body["metadata"].pop("managedFields", None)
        return copy.deepcopy(body)

    def _written(self, secret: Body) -> None:
        """Stamp what the operator writes as its own."""
        self.touch(secret)
        data: Body = {f"f:{name}": {} for name in secret.get("data", ())}
        ours = {"manager": self.field_manager, "fieldsV1": {"f:data": {".": {}, **data}}}
        secret["metadata"]["managedFields"] = [ours]

    async def each_object(
        self, kind: Kind, take: Callable[[Body], None], namespace: str | None
    ) -> str:
        if namespace in self.closed | self.gone:
            raise KubeRefused("may not be listed", status=403)
        version = self.version()
        shown = [
            copy.deepcopy(body)
            for ref, body in self.crs.items()
            if ref.kind is kind and namespace in (None, ref.namespace)
        ]
        await self.answered(kind)
        for body in shown:
            take(body)
        return version

    async def answered(self, _kind: Kind) -> None:
        """The answer to a list is on its way."""

    async def list_version(self, _kind: Kind, namespace: str) -> str:
        if namespace in self.closed | self.gone:
            raise KubeRefused("may not be listed", status=403)
        return self.version()

    async def get_object(self, ref: Ref) -> Body | None:
        return copy.deepcopy(self.crs.get(ref))

    async def add_finalizer(self, ref: Ref, meta: ObjectMeta) -> Body:
        def done() -> Body:
            body = self._own(ref, meta.resource_version)
            body["metadata"]["finalizers"] = [FINALIZER]
            return self.touch(body)

        return self._effect(done)

    async def remove_finalizer(self, ref: Ref, meta: ObjectMeta) -> None:
        def done() -> None:
            self._own(ref, meta.resource_version)
            del self.crs[ref]

        self._effect(done)

    async def write_status(
        self, ref: Ref, version: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Body | None:
        if not (difference := patches.merge_difference(old, new)):
            return None

        def done() -> Body:
            body = self._own(ref, version)
            body["status"] = merged(body.get("status"), difference)
            self.writes += 1
            return self.touch(body)

        return self._effect(done)

    async def namespace_terminating(self, _namespace: str) -> bool:
        return False

    async def namespace_gone(self, namespace: str) -> bool:
        return namespace in self.gone

    async def emit_event(
        self, _regarding: ObjectReference, *, type: EventType, reason: str, message: str
    ) -> None:
        self.events.append(reason)
        if reason == "RevokeUnconfirmed":
            self.to_be_checked.update(message.split())

    async def read_secret(self, namespace: str, name: str) -> SecretView | None:
        if self._fate.next() in ("unanswered, done", "unanswered, not done", "refused"):
            raise KubeUnavailable("no answer")
        body = self.secrets.get((namespace, name))
        return None if body is None else SecretView.parse(copy.deepcopy(body))

    async def create_secret(
        self, manifest: Mapping[str, Any], *, dry_run: bool = False
    ) -> SecretView:
        def done() -> SecretView:
            where = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
            if where in self.secrets:
                raise Conflict("exists")
            body = copy.deepcopy(dict(manifest))
            body["metadata"]["uid"] = f"secret-{self.version()}"
            self._written(body)
            if not dry_run:
                self.secrets[where] = body
            return SecretView.parse(copy.deepcopy(body))

        return self._effect(done)

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
        def done() -> SecretView:
            found = self.secrets.get((namespace, name), {"metadata": {}})
            meta = found["metadata"]
            if (meta.get("uid"), meta.get("resourceVersion")) != (uid, resource_version):
                raise Conflict("the object has been modified")
            body: Body = merged(copy.deepcopy(found), dict(patch))
            self._written(body)
            if not dry_run:
                self.secrets[namespace, name] = body
            return SecretView.parse(copy.deepcopy(body))

        return self._effect(done)

    async def delete_secret(self, namespace: str, name: str, *, uid: str) -> bool:
        def done() -> bool:
            found = self.secrets.get((namespace, name))
            if found is not None and found["metadata"]["uid"] != uid:
                raise Conflict("another uid")
            return self.secrets.pop((namespace, name), None) is not None

        return self._effect(done)


def merged(old: Any, patch: Any) -> Any:
    """What a JSON merge patch makes of a value; the value itself may change."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    old = old if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            old.pop(name, None)
        else:
            old[name] = merged(old.get(name), value)
    return old
