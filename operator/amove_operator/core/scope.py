"""What a key may do: its scope, and whether one scope takes something away from another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from amove_operator.core.naming import digest
from amove_operator.models.key import CurrentKey, Permission

_RIGHTS: dict[Permission, frozenset[str]] = {
    "Read": frozenset("r"),
    "Write": frozenset("w"),
    "ReadWrite": frozenset("rw"),
}
ALL = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """Account, place, permission and bucket names; ``buckets`` is sorted and distinct.

    A key of every bucket has ``all_buckets`` and no names.
    """

    account: str
    region: str
    storage_dn: str
    permission: Permission
    buckets: tuple[str, ...]
    all_buckets: bool = False

    @classmethod
    def of(
        cls,
        account: str,
        region: str,
        storage_dn: str,
        permission: Permission,
        buckets: Iterable[str],
    ) -> Scope:
        """The scope of the named buckets, in whatever order and number they were named."""
        return cls(account, region, storage_dn, permission, tuple(sorted(set(buckets))))

    @classmethod
    def everything(
        cls, account: str, region: str, storage_dn: str, permission: Permission
    ) -> Scope:
        """The scope of every bucket on the storage."""
        return cls(account, region, storage_dn, permission, (), all_buckets=True)

    @property
    def text(self) -> str:
        """What :attr:`digest` is the digest of: enough to read the scope back."""
        names: object = ALL if self.all_buckets else self.buckets
        return json.dumps([self.account, self.region, self.storage_dn, self.permission, names])

    @property
    def digest(self) -> str:
        """``scope8`` of the remote name."""
        return digest(self.text, 8)

    @classmethod
    def proven(cls, text: str, scope8: str) -> Scope | None:
        """The scope that ``text`` tells, if it has that digest: anybody may have written it."""
        return cls.read(text) if digest(text, 8) == scope8 else None

    @classmethod
    def read(cls, text: str) -> Scope | None:
        """The scope that :attr:`text` stands for; ``None`` where it is the text of none."""
        try:
            account, region, storage_dn, permission, names = json.loads(text)
            everything = names == ALL
            scope = cls(
                account,
                region,
                storage_dn,
                permission,
                () if everything else tuple(names),
                everything,
            )
            words = all(isinstance(word, str) for word in (account, region, storage_dn, *names))
            return scope if words and permission in _RIGHTS and scope.text == text else None
        except (ValueError, TypeError, RecursionError):
            return None

    def covers(self, other: Scope) -> bool:
        """Whether everything that ``other`` may do, this scope may do too."""
        if (self.account, self.storage_dn) != (other.account, other.storage_dn):
            return False
        if not _RIGHTS[other.permission] <= _RIGHTS[self.permission]:
            return False
        if self.all_buckets:
            return True
        return not other.all_buckets and set(other.buckets) <= set(self.buckets)


def scope_of(key: CurrentKey) -> Scope:
    """The scope recorded in status: an empty bucket list means every bucket."""
    if not key.buckets:
        return Scope.everything(key.cloud_account_id, key.region, key.storage_dn, key.permission)
    return Scope.of(key.cloud_account_id, key.region, key.storage_dn, key.permission, key.buckets)


def takes_away(wanted: Scope, scope8: str, buckets: Iterable[str]) -> bool:
    """Whether ``wanted`` narrows a key of which only the digest and the buckets are known.

    The permission is found by trying the three; a key of which nothing can be proved counts
    as narrowed, so that no wide key outlives a narrower wish.
    """
    if scope8 == wanted.digest:
        return False
    names = tuple(buckets)
    for permission in _RIGHTS:
        place = (wanted.account, wanted.region, wanted.storage_dn, permission)
        guess = Scope.of(*place, names) if names else Scope.everything(*place)
        if guess.digest == scope8:
            return not wanted.covers(guess)
    return True
