"""What forbids this process to lead: a fence that does not stand, and another operator's writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from amove_operator.app.alarms import Alarms
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.controllers.shared.leadership import Leadership
from amove_operator.controllers.shared.store import Store
from amove_operator.core.overlap import other_operator
from amove_operator.engine.slices import in_slices
from amove_operator.kube import AlwaysLeading, FenceWatch, LeaseElection
from amove_operator.models import GROUP
from amove_operator.models.fence import AWAY, was_away
from amove_operator.models.refs import Kind

_log = logging.getLogger(__name__)
_FENCE_NOTE = f"{GROUP}/fence-uid"
_ROUNDING = timedelta(seconds=2)
"""managedFields know whole seconds only, and the server's clock is known to half of one."""


class Ending(Enum):
    """Why one life of the operator ended."""

    STOPPED = "it was asked to stop"
    LOST = "the Lease was lost, or a part of it died"
    WENT_BACK = "the API server's history went back: nothing that is known is true"
    ANEW = "the fence does not stand any more: begin again from what the cluster then shows"
    OVERLAP = "another operator writes to its objects: rest until a person has parted the two"


@dataclass
class LeadGuard:
    """Whether this process may lead; it ends the life that may not any more.

    ``end`` ends the life.
    """

    fence: FenceWatch
    election: LeaseElection | AlwaysLeading
    alarms: Alarms
    end: Callable[[Ending], None]
    _leadership: Leadership = field(default_factory=Leadership)
    _overlap: str | None = None
    _relies_on_fence: bool = False
    _since: datetime = field(init=False)

    @property
    def leads(self) -> bool:
        """Whether it acts."""
        return self._leadership.leading

    def why_not(self) -> str | None:
        """Why this process may not lead, and what to do; None when it may."""
        return self._overlap or self.fence.why_not()

    def runs_without_fence(self) -> str | None:
        """What is wrong with the fence where that is not required; None when nothing is."""
        fault = None if self.fence.required else self.fence.fault()
        return fault and f"{fault} (AMOVE_REQUIRE_FENCE=false)"

    # -- the fence ---------------------------------------------------------------------------------

    async def stand_behind_fence(self) -> None:
        """Wait until the fence stands; from then on its absence ends this life."""
        await self.fence.stand()
        self._relies_on_fence = True

    def on_fence_read(self) -> None:
        """The fence was read. What was begun behind one ends with it: nothing is kept."""
        if self.leads:
            self._note_fence()
        if self._relies_on_fence and (why := self.fence.why_not()) is not None:
            what = "does not lead any more" if self.leads else "may not lead"
            _log.error("this process %s: %s", what, why)
            self._relies_on_fence = False
            self.end(Ending.ANEW)

    def _note_fence(self, *, has_older_status: bool = False) -> None:
        """Write down, for the next leader, the fence relied on; alarm where the last was another.

        For example somebody deletes the fence, forges a status, and installs the fence again, all
        while no operator runs: the new fence has another UID than the Lease says.
        """
        before = self._noted or (AWAY if has_older_status else None)
        now = (self.fence.identity if self.fence.stands else None) or AWAY
        if before != now:
            self.election.annotate(_FENCE_NOTE, now)
            self.fence.noted = now
        if was_away(before, now):
            self.alarms.fence_was_away()

    @property
    def _noted(self) -> str | None:
        """The fence that the last leader relied on, as far as anybody knows."""
        return self.election.annotation(_FENCE_NOTE) or self.fence.noted

    async def _has_older_status(self, store: Store) -> bool:
        """Whether some status is older than the fence, and a Lease without a note proves little.

        Definitions that came without a fence, a former release with a fence of its own, another
        Lease. Without a Lease nothing can be noted, and each start would raise the alarm.
        """
        made_at = self.fence.made_at
        if made_at is None or isinstance(self.election, AlwaysLeading):
            return False
        async for item in in_slices(store):
            one = store.find(item.uid)
            if one is None or one.status.owner_uid != item.uid:
                continue
            if (one.metadata.creation_timestamp or made_at) <= made_at:
                return True
        return False

    # -- the lead ----------------------------------------------------------------------------------

    async def on_lease_won(self, clock_skew: float) -> None:
        """Note by the API server's clock since when nobody else writes, and read the fence anew.

        A standby has read the fence up to 30 s ago. The leader may have let go of the Lease just
        because the fence went away: the standby would then lead without one.
        """
        self._since = datetime.now(UTC) - timedelta(seconds=clock_skew) + _ROUNDING
        await self.fence.check()
        self.on_fence_read()

    async def begin(self, d: Dependencies) -> None:
        """This process acts from now on; the store is true, as of a moment after the Lease."""
        has_older_status = self._noted is None and await self._has_older_status(d.store)
        self._leadership = d.leadership
        self._note_fence(has_older_status=has_older_status)

    def check_overlap(self, kind: Kind, metadata: Mapping[str, Any], manager: str) -> None:
        """End this life where another release's operator wrote to the object since we lead.

        ``manager``: the field manager under which we write ourselves.

        Two operators on one object undo each other: one deletes the Secret that the other wrote.
        So neither begins again by itself.
        """
        if not self.leads or self._overlap is not None:
            return
        entries = metadata.get("managedFields") or ()
        created = datetime.fromisoformat(metadata["creationTimestamp"])
        if (lease := other_operator(entries, manager, self._since, created)) is None:
            return
        self._overlap = (
            f"the status of {kind.value} {metadata.get('namespace')}/{metadata['name']} is written "
            f"by another operator as well, that of Lease {lease}: give each release namespaces of "
            "its own (AMOVE_WATCH_NAMESPACES), then restart this one"
        )
        _log.error("this process does not lead any more: %s", self._overlap)
        self.end(Ending.OVERLAP)
