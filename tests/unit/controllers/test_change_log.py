"""The log says each change once: what was made at the service, and what an object says since."""

from __future__ import annotations

import json
import logging

import pytest

from amove_operator.telemetry import reconcile_context
from amove_operator.telemetry.logs import JsonFormatter
from tests.unit.bucket_cluster import BucketCluster, on_cluster


def test_each_bucket_key_and_secret_that_changes_has_one_line_and_a_rest_has_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(cluster: BucketCluster) -> None:
        cluster.apply("team", "media")
        key = cluster.apply_key("team", "app", "media")
        await cluster.passes(120)
        said = [record.getMessage() for record in caplog.records]
        for start in ("created bucket media", "issued key ", "wrote Secret app, which holds key "):
            assert sum(line.startswith(start) for line in said) == 1, (start, said)
        settled = [line for line in said if line.startswith(f"{key}: Ready=True Issued")]
        assert len(settled) == 1, said
        assert "Synced=True Settled" in settled[0]
        assert len(said) == len(set(said)), "no line twice"
        caplog.clear()
        await cluster.passes(120)
        assert [one.getMessage() for one in caplog.records if "team" in one.getMessage()] == []
        cluster.delete(key)
        await cluster.passes(120)
        revoked = [one for one in caplog.records if one.getMessage().startswith("revoked key ")]
        assert len(revoked) == 1

    on_cluster(scenario)


def test_a_change_with_nothing_more_to_say_ends_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(cluster: BucketCluster) -> None:
        bucket = cluster.apply("team", "media")
        await cluster.passes()
        for pause in ("true", None):
            caplog.clear()
            cluster.annotate(bucket, paused=pause)
            await cluster.passes()
        (line,) = (one.getMessage() for one in caplog.records if str(bucket) in one.getMessage())
        assert line == f"{bucket}: Synced=True Settled"

    on_cluster(scenario)


def test_all_that_one_pass_logs_has_one_id_and_another_pass_another() -> None:
    ids = []
    for _ in range(2):
        with reconcile_context("AmoveBucket", "team", "media"):
            made = logging.LogRecord("any", logging.INFO, "", 0, "one", None, None)
            lines = [json.loads(JsonFormatter().format(made)) for _ in range(2)]
        assert lines[0]["reconcile"] == lines[1]["reconcile"]
        assert (lines[0]["namespace"], lines[0]["name"]) == ("team", "media")
        ids.append(lines[0]["reconcile"])
    assert ids[0] != ids[1]
