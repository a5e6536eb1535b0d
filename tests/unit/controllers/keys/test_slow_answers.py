"""A pass over a key comes to its end whatever a call answers, however long the answer took.

The counterpart of the buckets' test of that name: a key list ages, a Secret changes, and what was
concluded before a call is judged again after it.
"""

from __future__ import annotations

import logging
from itertools import product

import pytest

from amove_operator.errors import (
    ApiError,
    AuthFailed,
    IncompleteListing,
    NotFound,
    Rejected,
    ServerFault,
    Throttled,
    TransportFault,
)
from tests.unit.bucket_cluster import BucketCluster, on_cluster

ERRORS: dict[str, ApiError] = {
    "throttled": Throttled("429", maybe_done=False, status=429),
    "refused connection": TransportFault("refused", maybe_done=False),
    "no answer": TransportFault("time-out"),
    "server fault": ServerFault("500", status=500),
    "credentials refused": AuthFailed("401"),
    "refused": Rejected("MOON_PHASE", "not today"),
    "not found": NotFound("NOT_FOUND", "no such key"),
    "half a list": IncompleteListing("the pages do not add up"),
}
CALLS = ("create key", "delete key", "list")
HISTORIES = ("new", "rotating", "its Secret gone", "going")
SPEEDS = {"at once": 0.0, "late": 61.0}
MINUTES = 20
MOST_WRITES, MOST_CALLS, MOST_CREATES = 120, 120, 20


async def bring_about(cluster: BucketCluster, history: str) -> None:
    """A key with that history, from now on."""
    if history == "new":
        cluster.apply_key("team", "app", "media")
        return
    (key,) = (ref for ref in cluster.kube.crs if ref.name == "app")
    match history:
        case "rotating":
            cluster.annotate(key, rotate_requested_at="now")
        case "its Secret gone":
            cluster.kube.secrets.clear()
            cluster.watch()
        case "going":
            cluster.delete(key)


@pytest.mark.parametrize(
    ("history", "call", "answer", "speed"),
    [pytest.param(*each, id=", ".join(each)) for each in product(HISTORIES, CALLS, ERRORS, SPEEDS)],
)
def test_a_pass_ends_and_is_not_repeated_in_haste(
    history: str, call: str, answer: str, speed: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team", "media")
        if history != "new":
            key = cluster.apply_key("team", "app", "media")
            await cluster.passes(30)
            assert cluster.says(key)["Ready"] == ("True", "Issued")
        cluster.show_secrets()
        await cluster.passes(30)
        service, writes = cluster.service, cluster.kube.writes
        calls, made = len(service.calls), len(service.created)
        tried: list[str] = []
        service.creating = lambda new: tried.append(new.name)
        service.failing[call, ""], service.slow[call, ""] = ERRORS[answer], SPEEDS[speed]
        await bring_about(cluster, history)
        for _ in range(MINUTES):
            await cluster.passes(60)
            cluster.watch()
        assert len(service.calls) - calls < MOST_CALLS
        assert cluster.kube.writes - writes < MOST_WRITES
        assert len(tried) < MOST_CREATES
        assert len(service.created) - made <= 1, "a key issued in a loop"

    with caplog.at_level(logging.ERROR):
        on_cluster(scenario)
    assert [each.getMessage() for each in caplog.records if each.exc_info] == []
