"""Leader election on the real API server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from amove_operator.errors import NotLeading
from amove_operator.kube import Kube, LeaseElection
from controlplane.launcher import ControlPlane
from tests.patience import PATIENCE

MICROTIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


class Candidate:
    """One process of ours, with what it was told."""

    def __init__(self, election: LeaseElection) -> None:
        self.election = election
        self.led = asyncio.Event()
        self.lost = asyncio.Event()
        self.task = asyncio.create_task(election.run(self.led.set, self.lost.set))

    @property
    def leads(self) -> bool:
        try:
            self.election.check()
        except NotLeading:
            return False
        return True

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


Entering = Callable[..., Candidate]


@pytest.fixture
async def enter(kube: Kube, namespace: str) -> AsyncIterator[Entering]:
    """Let a candidate take part; long spans unless asked for, so that nothing expires by load."""
    candidates: list[Candidate] = []

    def start(identity: str, *, duration: float = 60.0, deadline: float = 40.0) -> Candidate:
        election = LeaseElection(
            kube,
            namespace=namespace,
            identity=identity,
            lease_duration=duration,
            renew_deadline=deadline,
            retry_period=0.2,
        )
        candidates.append(Candidate(election))
        return candidates[-1]

    yield start
    for candidate in candidates:
        await candidate.stop()


async def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Look again and again, since nothing tells of a change of the Lease."""
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.1)


async def within(seconds: float, event: asyncio.Event) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


def lease(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    got = plane.kubectl("get", "lease", "amove-operator", "-n", namespace, "-o", "json")
    spec: dict[str, Any] = json.loads(got.stdout)["spec"]
    return spec


def write(plane: ControlPlane, namespace: str, **spec: object) -> None:
    """Write the Lease as somebody else."""
    plane.kubectl(
        *("patch", "lease", "amove-operator", "-n", namespace),
        *("--type=merge", "-p", json.dumps({"spec": spec})),
    )


async def test_of_two_candidates_one_leads_and_a_clean_stop_hands_over(
    plane: ControlPlane, namespace: str, enter: Entering
) -> None:
    one, two = enter("one"), enter("two")
    done, _ = await asyncio.wait(
        [asyncio.create_task(one.led.wait()), asyncio.create_task(two.led.wait())],
        timeout=PATIENCE,
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert len(done) == 1
    first, second = (one, two) if one.leads else (two, one)
    renewed = lease(plane, namespace)["renewTime"]
    await until(lambda: lease(plane, namespace)["renewTime"] != renewed)
    assert first.leads
    assert not second.leads
    assert not second.led.is_set()

    await first.stop()
    assert not first.leads
    assert not first.lost.is_set(), "a clean stop is no loss"
    # Long before the 60 s of the record are over.
    await within(PATIENCE, second.led)
    assert second.leads
    spec = lease(plane, namespace)
    assert spec["holderIdentity"] == second.election.identity
    assert spec["leaseTransitions"] == 1


async def test_the_record_is_what_other_tools_expect(
    plane: ControlPlane, namespace: str, enter: Entering
) -> None:
    one = enter("one")
    await within(PATIENCE, one.led)
    spec = lease(plane, namespace)
    assert spec["holderIdentity"] == "one"
    assert spec["leaseDurationSeconds"] == 60
    assert spec["leaseTransitions"] == 0
    assert re.fullmatch(MICROTIME, spec["acquireTime"])
    assert re.fullmatch(MICROTIME, spec["renewTime"])
    await one.stop()
    released = lease(plane, namespace)
    assert released.get("holderIdentity", "") == ""
    assert released["leaseDurationSeconds"] == 1


async def test_the_lease_of_a_dead_process_is_taken_after_its_duration(
    plane: ControlPlane, namespace: str, enter: Entering
) -> None:
    first = enter("first")
    await within(PATIENCE, first.led)
    await first.stop()
    # A time of the far future: only our own watching of the record counts.
    write(
        plane,
        namespace,
        holderIdentity="dead",
        leaseDurationSeconds=1,
        renewTime="2099-01-01T00:00:00.000000Z",
    )
    heir = enter("heir", duration=2.0, deadline=1.5)
    await within(PATIENCE, heir.led)
    assert lease(plane, namespace)["holderIdentity"] == "heir"


async def test_a_leader_that_cannot_renew_stops(plane: ControlPlane, enter: Entering) -> None:
    one = enter("one", duration=3.0, deadline=2.0)
    await within(PATIENCE, one.led)
    plane.stop_apiserver()
    try:
        await within(PATIENCE, one.lost)
        with pytest.raises(NotLeading):
            one.election.check()
        assert one.election.leading_since is None
        await one.task  # run() has returned
    finally:
        plane.start_apiserver()


async def test_a_leader_whose_lease_another_holds_stops_at_once(
    plane: ControlPlane, namespace: str, enter: Entering
) -> None:
    one = enter("one")
    await within(PATIENCE, one.led)
    # A PUT of ours may come between read and write: take until it holds.
    async with asyncio.timeout(PATIENCE):
        while not one.lost.is_set():
            write(plane, namespace, holderIdentity="usurper")
            await asyncio.sleep(0.5)
    assert not one.leads
    assert lease(plane, namespace)["holderIdentity"] == "usurper"


async def test_a_leader_goes_on_when_somebody_edits_or_deletes_the_lease(
    plane: ControlPlane, namespace: str, enter: Entering
) -> None:
    one = enter("one")
    await within(PATIENCE, one.led)
    for spoil in (
        ("annotate", "lease", "amove-operator", "-n", namespace, "example.com/a=b"),
        ("delete", "lease", "amove-operator", "-n", namespace),
    ):
        before = lease(plane, namespace)["renewTime"]
        plane.kubectl(*spoil)
        await until(partial(renewed_by, plane, namespace, "one", before))
    assert one.leads
    assert not one.lost.is_set()


def renewed_by(plane: ControlPlane, namespace: str, identity: str, before: str) -> bool:
    got = plane.kubectl(
        *("get", "lease", "amove-operator", "-n", namespace),
        *("-o", "jsonpath={.spec.holderIdentity} {.spec.renewTime}"),
        check=False,
    )
    holder, _, renewed = got.stdout.partition(" ")
    return holder == identity and renewed > before
