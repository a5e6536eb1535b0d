"""Every short walk of one bucket through a service that errs for a moment.

The real reconciler on a virtual clock takes each sequence of moves there is. A *flap* is a time
shorter than five seconds in which the service does not find a bucket that is there. Whatever else
happens in it or after it, because of a flap nothing is created, missing or let go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest

from amove_operator.core.buckets import deletion, plan
from amove_operator.core.buckets import steps as bucket_steps
from amove_operator.core.buckets.snapshot import BucketSnapshot
from amove_operator.errors import NotFound, TransportFault
from amove_operator.models import BucketFlags
from tests.unit.bucket_cluster import BucketCluster, on_cluster

NAME = "media"
SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
FLAP = 4.9


class Broken(AssertionError):
    """A walk came to what must never be."""


class Walk:
    """One AmoveBucket with policy Delete, and what happened to its bucket."""

    def __init__(self, cluster: BucketCluster, *, adopted: bool) -> None:
        self.cluster, self.adopted = cluster, adopted
        self.lost = self.deleted = self.created_in_vain = False
        self.flaps_until = 0.0

    async def begin(self) -> None:
        service = self.cluster.service
        if self.adopted:
            service.buckets[NAME] = BucketFlags()
        policy = "IfExists" if self.adopted else "Never"
        self.ref = self.cluster.apply(
            "trusted", NAME, adoptionPolicy=policy, deletionPolicy="Delete"
        )
        await self.cluster.passes(1)
        assert self.cluster.says(self.ref) == SETTLED
        create = service.create_bucket

        async def create_bucket(*given: Any) -> None:
            self.created_in_vain = self.created_in_vain or NAME in service.buckets
            await create(*given)

        service.create_bucket = create_bucket  # type: ignore[method-assign, assignment]

    async def flap(self) -> None:
        """It is not found from now on, and is looked at; never twice without a time between."""
        cluster, now = self.cluster, self.cluster.loop.time()
        if now > self.flaps_until + FLAP:
            self.flaps_until = now + FLAP
            failing = cluster.service.failing
            for call in ("status", "delete"):
                failing[call, NAME] = NotFound("NOT_FOUND", "no such bucket")
                cluster.loop.call_later(FLAP, failing.pop, (call, NAME), None)
        await self.look()

    async def look(self) -> None:
        """A person asks for another observation."""
        if self.ref in self.cluster.kube.crs:
            self.cluster.annotate(self.ref, reconcile_requested_at=str(self.cluster.loop.time()))
        await self.cluster.passes(1)

    async def wait(self) -> None:
        await self.cluster.passes(6)

    async def restart(self) -> None:
        await self.cluster.restart()
        await self.cluster.passes(1)

    async def lose(self) -> None:
        """Somebody deletes the bucket at the service."""
        self.lost = self.cluster.service.buckets.pop(NAME, None) is not None or self.lost
        await self.cluster.passes(0.5)

    async def delete(self) -> None:
        if not self.deleted:
            self.deleted = True
            self.cluster.delete(self.ref)
        await self.cluster.passes(0.5)

    async def delete_unanswered(self) -> None:
        """The object is deleted, and for two seconds no delete reaches the service."""
        failing = self.cluster.service.failing
        failing["delete", NAME] = TransportFault("delete_bucket: time-out")
        self.cluster.loop.call_later(2, failing.pop, ("delete", NAME), None)
        await self.delete()

    def check(self) -> None:
        """What must hold after each move."""
        if self.created_in_vain:
            raise Broken("a create of a bucket that is there")
        there = NAME in self.cluster.service.buckets
        if self.ref not in self.cluster.kube.crs:
            if there:
                raise Broken("let go of a bucket that is there")
            return
        if self.cluster.provenance(self.ref) != ("Adopted" if self.adopted else "Created"):
            raise Broken("a bucket of ours is ours no more")
        if not self.lost and not self.deleted:
            if self.cluster.says(self.ref)["Ready"] != ("True", "Available"):
                raise Broken("a bucket that is there is not ready")
            if "Stalled" in self.cluster.says(self.ref):
                raise Broken("a bucket that is there is reported as missing")

    async def end(self) -> None:
        """Given time, all is well."""
        await self.cluster.passes(200)
        await self.look()
        await self.cluster.passes(20)
        self.check()
        if self.deleted:
            assert self.cluster.kube.crs == {}
            assert self.cluster.service.buckets == {}
        elif self.lost and self.adopted:
            assert self.cluster.says(self.ref)["Stalled"] == ("True", "BucketMissing")
        else:
            assert self.cluster.says(self.ref) == SETTLED


Move = Callable[[Walk], Awaitable[None]]
MOVES: tuple[Move, ...] = (
    Walk.flap,
    Walk.look,
    Walk.wait,
    Walk.restart,
    Walk.lose,
    Walk.delete,
    Walk.delete_unanswered,
)


def walk(moves: tuple[Move, ...], *, adopted: bool) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        one = Walk(cluster, adopted=adopted)
        await one.begin()
        for move in moves:
            await move(one)
            one.check()
        await one.end()

    try:
        on_cluster(scenario, resync="10m")
    except AssertionError as error:
        error.add_note(", ".join(move.__name__ for move in moves))
        raise


def walks(length: int) -> list[tuple[Move, ...]]:
    """Those with a flap in them: without one there is nothing to see here."""
    return [moves for moves in product(MOVES, repeat=length) if Walk.flap in moves]


@pytest.mark.parametrize("adopted", [False, True], ids=["created", "adopted"])
def test_because_of_a_flap_nothing_is_created_missing_or_let_go(adopted: bool) -> None:
    for moves in walks(3):
        walk(moves, adopted=adopted)


@pytest.mark.long
@pytest.mark.parametrize("adopted", [False, True], ids=["created", "adopted"])
def test_in_longer_walks_too(adopted: bool) -> None:
    for moves in walks(4):
        walk(moves, adopted=adopted)


def test_without_a_second_observation_a_walk_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: BucketSnapshot) -> bucket_steps.BucketStep | None:
        return None

    monkeypatch.setattr(plan, "report_absent_once", nothing)
    with pytest.raises(Broken, match="a create of a bucket that is there"):
        walk((Walk.flap,), adopted=False)
    with pytest.raises(Broken, match="not ready"):
        walk((Walk.flap,), adopted=True)


def test_without_a_second_observation_a_deletion_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def let_go(snapshot: BucketSnapshot) -> bucket_steps.BucketStep | None:
        return bucket_steps.RemoveFinalizer() if snapshot.absent else None

    monkeypatch.setattr(deletion, "let_go_of_absent", let_go)
    with pytest.raises(Broken, match="let go of a bucket that is there"):
        walk((Walk.flap, Walk.delete), adopted=False)
