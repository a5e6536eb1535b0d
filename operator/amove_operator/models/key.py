"""``AmoveStorageKey``: an access key at the Amove service and its Secret."""

from __future__ import annotations

from functools import cached_property

from amove_operator.models.key_spec import KeySpec
from amove_operator.models.key_status import CurrentKey, KeyStatus, RetiringKey
from amove_operator.models.refs import Kind
from amove_operator.models.shared import KubeObject


class AmoveStorageKey(KubeObject):
    """AmoveStorageKey is an access key of the Amove storage service, kept in a Secret."""

    KIND = Kind.KEY
    spec: KeySpec
    """The key as it should be."""
    status: KeyStatus = KeyStatus()
    """What the operator saw and did. Written by it alone."""

    @cached_property
    def proven(self) -> KeyStatus:
        """``status`` if it was written for this very object; else its conditions alone.

        A backup or a copy carries the status of another object along: with it a new object would
        revoke the other one's keys.
        """
        ours = self.status.owner_uid == self.metadata.uid
        return self.status if ours else KeyStatus(conditions=self.status.conditions)

    @property
    def secret_name(self) -> str:
        """The Secret's name: immutable by the CRD's rules."""
        return self.spec.secret.name or self.metadata.name

    @property
    def named_keys(self) -> tuple[CurrentKey | RetiringKey, ...]:
        """The keys that proven status names: the current one and the retiring ones.

        None for an object without our finalizer whose deletion was asked for: its keys were
        revoked. One that lives all the same (by ``Retain``, or since an admin took the finalizer
        off) is found in the key list.
        """
        if self.metadata.let_go:
            return ()
        current = self.proven.key
        return (*(() if current is None else (current,)), *self.proven.retiring)

    @property
    def reached_buckets(self) -> frozenset[str]:
        """The bucket names that the key's live keys reach, by proven status."""
        return frozenset(name for one in self.named_keys for name in one.buckets)
