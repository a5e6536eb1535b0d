"""A pass over a bucket comes to its end whatever a call answers, however long the answer took.

An observation is acted on for five seconds. A call that takes longer outlives it, and what was
concluded before the call may be judged differently after it: each answer is met at both speeds,
and from each history that a bucket can have.
"""

from __future__ import annotations

import logging
from itertools import product

import pytest

from amove_operator.amove import FRESH_SECONDS
from amove_operator.errors import (
    AlreadyExists,
    ApiError,
    AuthFailed,
    NotEmpty,
    NotFound,
    Rejected,
    ServerFault,
    Throttled,
    TransportFault,
)
from amove_operator.models import BucketFlags
from tests.unit.bucket_cluster import BucketCluster, on_cluster

SETTLED = {"Ready": ("True", "Available"), "Synced": ("True", "Settled")}
ERRORS: dict[str, ApiError] = {
    "throttled": Throttled("429", maybe_done=False, status=429),
    "refused connection": TransportFault("refused", maybe_done=False),
    "no answer": TransportFault("time-out"),
    "server fault": ServerFault("500", status=500),
    "credentials refused": AuthFailed("401"),
    "refused": Rejected("MOON_PHASE", "not today"),
    "exists": AlreadyExists("DUPLICATE", "it exists"),
    "not found": NotFound("NOT_FOUND", "no such bucket"),
    "not empty": NotEmpty("DEFAULT", "not empty"),
}
OLD = ("lost", "drifted", "going")
HISTORIES = ("new", "appears meanwhile", *OLD)
SPEEDS = {"at once": 0.0, "late": FRESH_SECONDS + 1}
MINUTES = 10
# A pass of each kind takes a handful; back-offs grow, so ten minutes hold few passes.
MOST_CALLS, MOST_WRITES = 60, 60


async def bring_about(cluster: BucketCluster, history: str, answers: ApiError, late: float) -> None:
    """A bucket with that history, whose writes are answered like that from now on."""
    service = cluster.service
    ref = cluster.apply("trusted", "media", deletionPolicy="Delete") if history in OLD else None
    if ref is not None:
        await cluster.passes()
        assert cluster.says(ref) == SETTLED
    for call in ("create", "update", "delete"):
        service.failing[call, "media"] = answers
        service.slow[call, "media"] = late
    match history:
        case "new":
            cluster.apply("trusted", "media", deletionPolicy="Delete")
        case "appears meanwhile":
            cluster.apply("trusted", "media", deletionPolicy="Delete")
            cluster.loop.call_later(late / 2, service.buckets.setdefault, "media", BucketFlags())
        case "lost":
            del service.buckets["media"]
        case "drifted":
            service.buckets["media"] = BucketFlags(public=True)
        case "going" if ref is not None:
            cluster.delete(ref)
    await cluster.resync()


@pytest.mark.parametrize(
    ("history", "answer", "speed"),
    [pytest.param(*each, id=", ".join(each)) for each in product(HISTORIES, ERRORS, SPEEDS)],
)
def test_a_pass_ends_and_is_not_repeated_in_haste(
    history: str, answer: str, speed: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        calls, writes = len(cluster.service.calls), cluster.kube.writes
        await bring_about(cluster, history, ERRORS[answer], SPEEDS[speed])
        await cluster.passes(MINUTES * 60)
        assert len(cluster.service.calls) - calls < MOST_CALLS
        assert cluster.kube.writes - writes < MOST_WRITES

    with caplog.at_level(logging.ERROR):
        on_cluster(scenario)
    assert [each.getMessage() for each in caplog.records] == []
