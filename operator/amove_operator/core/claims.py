"""One bucket name has one AmoveBucket, whatever the account. Pure.

Keys reach buckets by name, so two objects of one name would share their keys (docs/policies.md,
"One name, one AmoveBucket").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Claimant:
    """An AmoveBucket that wants a name. ``proven``: provenance or intent in its own status."""

    namespace: str
    name: str
    uid: str
    created: datetime | None
    proven: bool
    stalled: bool = False


def claim_holder(claimants: Iterable[Claimant]) -> Claimant | None:
    """Who has the name: provenance or intent wins, then the oldest, then the UID.

    A claimant that is stalled and proves nothing has no claim.
    """
    entitled = [one for one in claimants if one.proven or not one.stalled]
    return min(
        entitled, key=lambda one: (not one.proven, one.created or _LAST, one.uid), default=None
    )
