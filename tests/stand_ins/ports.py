"""What the controllers need of Kubernetes and of the Amove API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from amove_operator.amove import (
    AmoveClient,
    BreakerState,
    BucketAddress,
    CloudAccount,
    IssuedKey,
    NewKey,
    Observed,
)
from amove_operator.core.key_list import RemoteKey
from amove_operator.kube import Kube
from amove_operator.kube.events import EventType
from amove_operator.kube.views import ObjectReference, SecretView
from amove_operator.models import BucketFlags, ObjectMeta
from amove_operator.models.refs import Kind, Ref

Body = dict[str, Any]


class KubePort(Protocol):
    """The part of Kube that the controllers use."""

    @property
    def skew_seconds(self) -> float | None: ...
    async def namespace_terminating(self, namespace: str, /) -> bool: ...
    async def namespace_gone(self, namespace: str, /) -> bool: ...
    async def each_object(
        self, kind: Kind, take: Callable[[Body], None], namespace: str | None, /
    ) -> str: ...
    async def list_version(self, kind: Kind, namespace: str, /) -> str: ...
    async def get_object(self, ref: Ref, /) -> Body | None: ...
    async def add_finalizer(self, ref: Ref, meta: ObjectMeta, /) -> Body: ...
    async def remove_finalizer(self, ref: Ref, meta: ObjectMeta, /) -> None: ...
    async def write_status(
        self, ref: Ref, version: str, old: Mapping[str, Any], new: Mapping[str, Any], /
    ) -> Body | None: ...
    async def read_secret(self, namespace: str, name: str, /) -> SecretView | None: ...
    async def create_secret(
        self, manifest: Mapping[str, Any], /, *, dry_run: bool = False
    ) -> SecretView: ...
    async def patch_secret(
        self,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        /,
        *,
        uid: str,
        resource_version: str,
        dry_run: bool = False,
    ) -> SecretView: ...
    async def delete_secret(self, namespace: str, name: str, /, *, uid: str) -> bool: ...
    async def emit_event(
        self, regarding: ObjectReference, /, *, type: EventType, reason: str, message: str
    ) -> None: ...


class BreakerPort(Protocol):
    """The part of the client's breaker that the controllers read."""

    @property
    def state(self) -> BreakerState: ...


class AmovePort(Protocol):
    """The part of AmoveClient that the controllers use."""

    @property
    def breaker(self) -> BreakerPort: ...
    async def cloud_accounts(self) -> tuple[CloudAccount, ...]: ...
    async def bucket_status(self, where: BucketAddress, /) -> BucketFlags: ...
    async def create_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None, /
    ) -> None: ...
    async def update_bucket(
        self, where: BucketAddress, flags: BucketFlags, observed: Observed | None = None, /
    ) -> None: ...
    async def delete_bucket(self, where: BucketAddress, /) -> None: ...
    async def get_storage_keys(self) -> tuple[RemoteKey, ...]: ...
    async def create_storage_key(self, new: NewKey, /) -> IssuedKey: ...
    async def delete_storage_key(self, key_id: str, /) -> None: ...


def as_kube(stand_in: KubePort) -> Kube:
    """The stand-in where the real one is asked for."""
    return cast(Kube, stand_in)


def as_client(stand_in: AmovePort) -> AmoveClient:
    """The stand-in where the real one is asked for."""
    return cast(AmoveClient, stand_in)


if TYPE_CHECKING:

    def _real(kube: Kube, client: AmoveClient) -> tuple[KubePort, AmovePort]:
        """With this, mypy finds a Protocol that the real ones have moved away from."""
        return kube, client
