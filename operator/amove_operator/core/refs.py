"""Names of our objects: which kind, which namespace, which name."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The two kinds, by their Kubernetes name."""

    BUCKET = "AmoveBucket"
    KEY = "AmoveStorageKey"

    @property
    def plural(self) -> str:
        """The resource name in URLs and roles: ``amovebuckets``."""
        return f"{self.value.lower()}s"


class Ref(NamedTuple):
    """One object of ours, as a key of caches and queues."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
