"""Names of our objects: which kind, which namespace, which name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The two kinds, by their Kubernetes name."""

    BUCKET = "AmoveBucket"
    KEY = "AmoveStorageKey"

    @property
    def plural(self) -> str:
        """The resource name in URLs and roles: ``amovebuckets``."""
        return f"{self.value.lower()}s"


class Ref(NamedTuple):
    """The name of one object of ours."""

    kind: Kind
    namespace: str
    name: str

    @classmethod
    def of(cls, kind: Kind, metadata: Mapping[str, Any]) -> Ref:
        """The name of the object of that kind which has that metadata."""
        return cls(kind, metadata.get("namespace", ""), metadata["name"])

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class ObjectId(NamedTuple):
    """One very object, as the item of queues and indexes; its name may be used again."""

    ref: Ref
    uid: str

    def __str__(self) -> str:
        return f"{self.ref} ({self.uid})"
