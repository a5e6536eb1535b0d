"""What a key may do: its scope, and whether one scope takes something away from another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from amove_operator.core.naming import names_digest
from amove_operator.models import Permission, ScopeField
from amove_operator.models.key_status import IssuedScope

_RIGHTS: dict[Permission, frozenset[str]] = {
    "Read": frozenset("r"),
    "Write": frozenset("w"),
    "ReadWrite": frozenset("rw"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Account, place, permission and bucket names; ``buckets`` is sorted and distinct.

    A key of every bucket has ``all_buckets`` and no names. ``issued_for``: by which field of the
    spec the names were asked for, if not by ``bucketRefs``; it makes no other scope.
    """

    account: str
    region: str
    storage_dn: str
    permission: Permission
    buckets: tuple[str, ...]
    all_buckets: bool = False
    issued_for: ScopeField | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        account: str,
        region: str,
        storage_dn: str,
        permission: Permission,
        buckets: Iterable[str],
        issued_for: ScopeField | None = None,
    ) -> Scope:
        """The scope of the named buckets, in whatever order and number they were named."""
        names = tuple(sorted(set(buckets)))
        return cls(account, region, storage_dn, permission, names, issued_for=issued_for)

    @classmethod
    def everything(
        cls, account: str, region: str, storage_dn: str, permission: Permission
    ) -> Scope:
        """The scope of every bucket on the storage."""
        place = (account, region, storage_dn, permission)
        return cls(*place, buckets=(), all_buckets=True, issued_for="allBuckets")

    @classmethod
    def recorded(cls, record: IssuedScope) -> Scope | None:
        """The scope that status records; ``None`` for a dead key, which has none any more."""
        place = (record.cloud_account_id, record.region, record.storage_dn, record.permission)
        if record.issued_for == "allBuckets":
            return cls.everything(*place)
        return cls.of(*place, record.buckets, record.issued_for) if record.buckets else None

    @property
    def record(self) -> IssuedScope:
        """The scope as status records it."""
        return IssuedScope(
            cloud_account_id=self.account,
            region=self.region,
            storage_dn=self.storage_dn,
            permission=self.permission,
            issued_for=self.issued_for,
            buckets=self.buckets,
        )

    @property
    def names9(self) -> str:
        """The digest of the bucket names that goes into the remote name."""
        return names_digest(None if self.all_buckets else self.buckets)

    def covers(self, other: Scope) -> bool:
        """Whether everything that ``other`` may do, this scope may do too."""
        if (self.account, self.storage_dn) != (other.account, other.storage_dn):
            return False
        if not _RIGHTS[other.permission] <= _RIGHTS[self.permission]:
            return False
        within = not other.all_buckets and set(other.buckets) <= set(self.buckets)
        return self.all_buckets or within


def takes_away(wanted: Scope, held: Scope | None) -> bool:
    """Whether ``wanted`` lacks something that a replaced key may do: it makes room for a new one.

    For example a key to ``a`` and ``b``, where the spec names only ``a`` now: it is revoked before
    its grace ends. A key whose scope is not known counts as such, or one to every bucket could
    outlive a spec that names one.
    """
    return held is None or not wanted.covers(held)
