"""What is handed out of this package instead of raw Kubernetes objects."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from amove_operator.models.refs import Ref
from amove_operator.models.shared import API_VERSION, OwnerReference


@dataclass(frozen=True, slots=True)
class SecretView:
    """One Secret as read. ``data`` is decoded and never shown by ``repr``."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    type: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner_references: tuple[OwnerReference, ...]
    data: Mapping[str, bytes] = field(repr=False)
    deleting: bool

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> SecretView:
        """Read a ``v1`` Secret as the API server answers it."""
        meta = body.get("metadata") or {}
        owners = meta.get("ownerReferences") or ()
        return cls(
            namespace=meta.get("namespace", ""),
            name=meta.get("name", ""),
            uid=meta.get("uid", ""),
            resource_version=meta.get("resourceVersion", ""),
            type=body.get("type", "Opaque"),
            labels=meta.get("labels") or {},
            annotations=meta.get("annotations") or {},
            owner_references=tuple(OwnerReference.model_validate(owner) for owner in owners),
            data={key: _decoded(value) for key, value in (body.get("data") or {}).items()},
            deleting="deletionTimestamp" in meta,
        )


def _decoded(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "")
    except binascii.Error:  # cannot happen with a real API server; must never break a reconcile
        return b""


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def to(cls, ref: Ref, uid: str) -> ObjectReference:
        """A reference to one of our own objects."""
        return cls(API_VERSION, ref.kind.value, ref.namespace, ref.name, uid)

    def to_kube(self) -> dict[str, str]:
        """As an ``ObjectReference`` of the Events API."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
