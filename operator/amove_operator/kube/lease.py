"""Leader election by compare-and-swap on one Lease.

The client library's own election cannot be used (docs/kubernetes.md, "Leader election").

The proof that two processes never both pass :meth:`LeaseElection.check`: a leader counts from the
*start* of its last successful request and stops after ``renew_deadline``; another takes the Lease
only after it has itself watched one unchanged record for ``lease_duration``, which began after
that request. Only spans of local monotonic clocks are compared, never times of two machines, so
clocks may be wrong but must not run at rates that differ by a third.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from amove_operator.core.history import is_older, number
from amove_operator.errors import (
    Conflict,
    HistoryWentBack,
    KubeRefused,
    KubeUnavailable,
    NotLeading,
)
from amove_operator.kube.client import Kube
from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import FIELD_MANAGER, Request, path_of
from amove_operator.times import microtime

_REQUEST_SECONDS = 5.0
_LOG_EVERY = 60.0
_GRANT = "; grant get, create and update of Leases there, or correct AMOVE_LEASE_NAMESPACE"

log = logging.getLogger(__name__)


class _Outcome(Enum):
    OURS = "ours"
    OTHERS = "another's"
    UNKNOWN = "unknown"


class LeaseElection:
    """One candidate. ``identity`` must be of this process alone (:func:`unique_identity`).

    ``leading_since``: monotonic seconds at which this process took the Lease; None before that
    and after its loss. ``unreadable``: why the last try to read or write it failed.
    ``standing_by``: who held it when it was last read, where that was somebody else.
    ``nobody_led_meanwhile``: it was won from the very state in which :meth:`note_free` found it.
    """

    leading_since: float | None = None
    nobody_led_meanwhile: bool = False
    unreadable: str | None = None
    standing_by: str | None = None

    def __init__(
        self,
        kube: Kube,
        *,
        name: str = "amove-operator",
        namespace: str,
        identity: str,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not lease_duration > renew_deadline > retry_period > 0:
            raise ValueError("a Lease needs: duration > renew deadline > retry period > 0")
        self.identity = identity
        self._kube = kube
        self._leases = path_of(
            "apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases"
        )
        self._name = name
        self._duration = lease_duration
        self._deadline = renew_deadline
        self._retry = retry_period
        self._clock = clock
        self._renewed = float("-inf")
        self._lease: dict[str, Any] | None = None
        self._annotations: dict[str, str] = {}
        self._seen = ("", "")
        self._free_at: tuple[str, str] | None = None
        self._unchanged_since = clock()
        self._logged = ""
        self._logged_at = float("-inf")

    def check(self) -> None:
        """Raise NotLeading unless the last renewal's request began within the renew deadline."""
        if self.leading_since is None:
            raise NotLeading("this process does not hold the Lease")
        age = self._clock() - self._renewed
        if age >= self._deadline:
            raise NotLeading(f"the Lease was last renewed {age:.1f} s ago")

    def renewed_at(self) -> float:
        """When the last successful renewal was begun (monotonic)."""
        return self._renewed

    def annotation(self, name: str) -> str | None:
        """What the Lease says under that name: a word from one leader to the next."""
        metadata = (self._lease or {}).get("metadata") or {}
        return {**(metadata.get("annotations") or {}), **self._annotations}.get(name)

    def annotate(self, name: str, value: str) -> None:
        """Say so on the Lease, with the next renewal or the release."""
        self._annotations[name] = value

    async def note_free(self) -> None:
        """Note the version of a Lease that nobody holds: any holder in between would change it.

        A holder that is silent may still act, and is not nobody.
        """
        try:
            await self._read()
        except (KubeUnavailable, KubeRefused):
            return
        self._free_at = None if self._spec.get("holderIdentity") else self._seen

    async def run(self, on_lead: Callable[[], None], on_loss: Callable[[], None]) -> None:
        """Wait for the Lease, call ``on_lead``, renew; call ``on_loss`` and return on its loss.

        A Lease that is older than it was counts as lost, also by who only waits for it: all that is
        known is of a history that is no more.
        Cancelling is the clean stop: the Lease is released, so that another takes it at once.
        Stop all work first.
        """
        try:
            await self._win()
            log.info("this process leads: %s", self.identity)
            on_lead()
            await self._keep()
        except asyncio.CancelledError:
            await self._release()
            raise
        except HistoryWentBack as error:
            log.critical("%s", error)
            self.leading_since = None
        log.error("the Lease is lost: %s stops", self.identity)
        on_loss()

    async def step(self) -> bool:
        """One try to take or renew the Lease; whether this process leads then."""
        outcome = await self._attempt()
        if self.leading_since is None:
            if outcome is _Outcome.OURS:
                self.leading_since = self._clock()
        elif outcome is _Outcome.OTHERS or self._clock() - self._renewed >= self._deadline:
            self.leading_since = None
        return self.leading_since is not None

    async def _win(self) -> None:
        while True:
            if await self.step():
                return
            await asyncio.sleep(self._retry * random.uniform(1.0, 1.2))  # noqa: S311 - no secret

    async def _keep(self) -> None:
        leads = True
        while leads:
            await asyncio.sleep(self._retry)
            left = self._renewed + self._deadline - self._clock()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    leads = await self.step()
            except TimeoutError:
                leads = False
        self.leading_since = None

    async def _attempt(self) -> _Outcome:
        try:
            outcome = await self._try()
            # A conflict while leading may be our own renewal whose answer was lost.
            if outcome is _Outcome.UNKNOWN and self.leading_since is not None:
                outcome = await self._try()
        except HistoryWentBack:
            raise
        except (KubeUnavailable, KubeRefused) as error:
            hint = _GRANT if isinstance(error, KubeRefused) and error.status == 403 else ""
            message = f"the Lease {self._name} could not be read or written: {error}{hint}"
            self._log_once(logging.WARNING, message, again=_LOG_EVERY)
            self.unreadable = message
            return _Outcome.UNKNOWN
        self.unreadable = None
        return outcome

    def _stand_by(self) -> None:
        holder = self._spec.get("holderIdentity")
        message = self.standing_by = f"standing by: the Lease {self._name} is held by {holder}"
        self._log_once(logging.INFO, message, again=float("inf"))

    def _log_once(self, level: int, message: str, *, again: float) -> None:
        """Log what is new at once, and the same ``again`` seconds later: it is tried all along."""
        if message != self._logged or self._clock() - self._logged_at >= again:
            self._logged, self._logged_at = message, self._clock()
            log.log(level, "%s", message)

    async def _try(self) -> _Outcome:
        started = self._clock()
        if self.leading_since is None or self._lease is None:
            await self._read()
            if not self._free():
                self._stand_by()
                return _Outcome.OTHERS
        before = self._seen
        try:
            self._note(await self._write(self._claimed()))
        except Conflict:
            self._lease = None
            return _Outcome.UNKNOWN
        if self.leading_since is None:
            self.nobody_led_meanwhile = before == self._free_at
        self._renewed, self.standing_by = started, None
        return _Outcome.OURS

    async def _read(self) -> None:
        request = Request("GET", self._leases + path_of(self._name))
        try:
            self._note(await self._kube.transport.call(request, urgent_seconds=_REQUEST_SECONDS))
        except Gone:
            self._lease = None
            self._seen = ("", "")

    def _note(self, lease: dict[str, Any]) -> None:
        seen = lease["metadata"].get("uid", ""), lease["metadata"]["resourceVersion"]
        if seen[0] == self._seen[0] and is_older(seen[1], number(self._seen[1])):
            raise HistoryWentBack(f"the Lease {self._name}", seen[1], self._seen[1])
        self._lease = lease
        # Any change counts as a sign of life. The time is taken after the answer: later is safer.
        if seen != self._seen:
            self._seen = seen
            self._unchanged_since = self._clock()

    @property
    def _spec(self) -> dict[str, Any]:
        """Of the Lease as last seen; empty where there was none."""
        return (self._lease or {}).get("spec") or {}

    def _free(self) -> bool:
        if self._spec.get("holderIdentity") in (None, "", self.identity):
            return True
        duration = max(float(self._spec.get("leaseDurationSeconds") or 0), self._duration)
        return self._clock() - self._unchanged_since >= duration

    def _claimed(self) -> dict[str, Any]:
        now = microtime(datetime.now(UTC))
        base = self._lease or {"metadata": {"name": self._name}}
        metadata = dict(base["metadata"])
        if self._annotations:
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **self._annotations}
        spec = dict(self._spec)
        if spec.get("holderIdentity") != self.identity:
            # As client-go counts: the first holder is no transition.
            count = spec.get("leaseTransitions") or 0
            spec["leaseTransitions"] = count + 1 if self._lease is not None else 0
            spec["acquireTime"] = now
        spec["holderIdentity"] = self.identity
        spec["leaseDurationSeconds"] = max(1, round(self._duration))
        spec["renewTime"] = now
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        return {**base, **kind, "metadata": metadata, "spec": spec}

    async def _write(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Create, or replace exactly what was seen (its uid and resourceVersion are inside)."""
        fresh = "resourceVersion" not in lease["metadata"]
        method, path = "POST" if fresh else "PUT", "" if fresh else path_of(self._name)
        request = Request(method, self._leases + path, {"fieldManager": FIELD_MANAGER}, lease)
        return await self._kube.transport.call(request, urgent_seconds=_REQUEST_SECONDS)

    async def _release(self) -> None:
        leading, self.leading_since = self.leading_since is not None, None
        try:
            if leading and not await self._emptied():
                # The renewal that was cut off may have arrived: then our version is outdated.
                await self._read()
                await self._emptied()
        except (KubeUnavailable, KubeRefused) as error:
            log.warning("the Lease %s was not released: %s", self._name, error)

    async def _emptied(self) -> bool:
        """Whether the Lease names nobody, or somebody else, any more."""
        if self._spec.get("holderIdentity") != self.identity:
            return self._lease is not None
        lease = self._claimed()
        lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            self._note(await self._write(lease))
        except Conflict:
            return False
        return True
