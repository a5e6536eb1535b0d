"""The pure parts of the bench: what it reads, what it computes, and the tables it writes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bare import Body
from bench.figures import (
    BEGIN,
    END,
    GOALS,
    Usage,
    goals_table,
    middle,
    percentile,
    ratios,
    recorded,
    shortest_seconds,
    usage_table,
)
from bench.measured import Slow, longest_by_name, slow_callbacks
from bench.objects import bucket, is_ready, key, path
from bench.processes import cpu_seconds_of, resident_mib_of
from bench.scenarios import SCENARIOS
from bench.stage import sort_of
from bench.teams import turns_until
from controlplane import audit_events

LIMITS = {"rate": 50.0, "burst": 100.0, "concurrency": 16, "latency": 0.02}
FLOOR = Usage(10.0, 4.0, 50.0, 400, {"writes": 600, "reads": 2})
PLAIN = Usage(30.0, 24.0, 300.0, 400, {"writes": 700, "reads": 10})
OURS = Usage(15.0, 12.0, 100.0, 402, {"writes": 600, "dry runs": 100, "Events": 200, "reads": 20})


def columns(text: str) -> set[int]:
    """How many each line of a table has."""
    return {line.count("|") for line in text.splitlines()}


def test_cpu_seconds_are_user_and_system_time_whatever_the_program_is_called() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    numbers = " ".join(["0"] * 10 + [str(3 * ticks), str(ticks // 2)] + ["0"] * 20)
    assert cpu_seconds_of(f"42 (a ) b) S {numbers}") == pytest.approx(3.5)


def test_memory_now_and_at_its_peak_is_read_in_mib() -> None:
    status = "Name:\tpython\nVmHWM:\t  51200 kB\nVmRSS:\t  1024 kB\n"
    assert (resident_mib_of(status), resident_mib_of(status, "VmHWM")) == (1.0, 50.0)


def test_an_ended_process_has_no_memory() -> None:
    with pytest.raises(ValueError, match="has ended"):
        resident_mib_of("Name:\tpython\nState:\tZ (zombie)\n")


@pytest.mark.parametrize(
    ("calls", "changed", "seconds"),
    [
        pytest.param(4100, {}, 80.0, id="beyond the burst the rate binds"),
        pytest.param(4000, {"rate": 1e4}, 5.0, id="with a high rate the concurrency binds"),
        pytest.param(100, {"latency": 0.0}, 0.0, id="a burst takes no time"),
    ],
)
def test_the_shortest_time_within_the_limits(
    calls: int, changed: dict[str, float], seconds: float
) -> None:
    given = LIMITS | changed
    assert shortest_seconds(
        calls,
        rate=given["rate"],
        burst=given["burst"],
        concurrency=int(given["concurrency"]),
        latency=given["latency"],
    ) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("share", "found"), [(0.5, 50), (0.99, 99), (0.995, 100), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_one_of_the_values(share: float, found: int) -> None:
    assert percentile(range(100, 0, -1), share) == found


def test_a_single_outlier_among_the_rounds_changes_nothing() -> None:
    rounds = [OURS, replace(OURS, wall=90.0, cpu=80.0), replace(OURS, wall=14.0)]
    found = middle(rounds)
    assert (found.wall, found.cpu, found.requests) == (15.0, 12.0, OURS.requests)


def test_ratios_say_how_far_above_the_floor_and_how_far_below_the_plain_way() -> None:
    found = ratios("cold", {"floor": FLOOR, "plain": PLAIN, "operator": OURS}, 100)
    assert found["cold wall / floor"] == 1.5
    assert found["cold cpu / floor"] == 3.0
    assert found["cold plain / wall"] == found["cold plain / cpu"] == 2.0
    assert found["cold plain / memory"] == 3.0
    assert found["cold requests"] == 9.2  # Events, dry runs and reads count too


def test_without_the_plain_way_there_is_no_ratio_to_it() -> None:
    found = ratios("large", {"floor": FLOOR, "operator": OURS}, 100)
    assert not [name for name in found if "plain" in name]


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        ("cold wall / floor", 1.61, "missed"),
        ("cold wall / floor", 1.6, "met"),
        ("cold wall / floor", 1.3, "reached"),
        ("cold plain / cpu", 1.9, "missed"),
        ("cold plain / cpu", 2.0, "met"),
        ("cold plain / cpu", 3.0, "reached"),
        ("restart writes", 0.0, "met"),
        ("restart writes", 1.0, "missed"),
    ],
)
def test_a_verdict_goes_by_the_goal_and_by_its_direction(
    figure: str, value: float, verdict: str
) -> None:
    [goal] = [goal for goal in GOALS if goal.figure == figure]
    assert goal.verdict(value) == verdict
    assert f"| {verdict} | `{goal.command}` |" in goals_table({figure: value})


def test_the_table_of_goals_has_those_that_were_measured() -> None:
    assert len(goals_table({}).splitlines()) == 2
    full = goals_table(dict.fromkeys((goal.figure for goal in GOALS), 1.0))
    assert len(full.splitlines()) == 2 + len(GOALS)
    assert columns(full) == {8}


def test_each_goal_is_measured_by_a_scenario() -> None:
    assert {goal.command.split()[-1] for goal in GOALS} == SCENARIOS.keys() - {"rate"}


def test_no_two_goals_share_a_figure() -> None:
    assert len({goal.figure for goal in GOALS}) == len(GOALS)


def test_the_table_of_ways_counts_requests_by_sort_and_for_each_pair() -> None:
    lines = usage_table({"floor": FLOOR, "operator": OURS}, 100)
    assert "| `operator` | 15.0 | 12.0 | 100 | 402 | 600 | 100 | 200 | 20 | 9.20 | - |" in lines
    assert len(columns(lines)) == 1


@pytest.mark.parametrize(
    ("verb", "resource", "query", "sort"),
    [
        ("patch", "amovebuckets", "", "writes"),
        ("create", "secrets", "", "writes"),
        ("create", "secrets", "?dryRun=All", "dry runs"),
        ("create", "events", "", "Events"),
        ("get", "secrets", "", "reads"),
        ("watch", "amovebuckets", "", "reads"),
    ],
)
def test_a_request_is_counted_by_what_it_does(
    verb: str, resource: str, query: str, sort: str, tmp_path: Path
) -> None:
    event: Body = {"stage": "ResponseComplete", "user": {}, "verb": verb}
    event |= {"requestURI": f"/x{query}", "objectRef": {"resource": resource}}
    event |= {"requestReceivedTimestamp": "2026-11-27T00:00:00Z"}
    (tmp_path / "audit.log").write_text(json.dumps(event) + "\n")
    assert [sort_of(one) for one in audit_events(tmp_path / "audit.log")] == [sort]


def test_a_record_replaces_only_what_is_between_the_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert recorded(text, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"])
def test_a_document_without_both_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        recorded(text, "new\n")


def test_each_key_refers_to_the_bucket_of_its_number() -> None:
    assert key(7)["spec"]["bucketRefs"] == [{"name": bucket(7)["metadata"]["name"]}]


@pytest.mark.parametrize(
    ("plural", "rest", "found"),
    [
        ("amovebuckets", (), "/apis/storage.amove.io/v1alpha1/namespaces/bench/amovebuckets"),
        ("secrets", ("a", "team"), "/api/v1/namespaces/team/secrets/a"),
        (
            "amovebuckets",
            ("a", "team", "status"),
            "/apis/storage.amove.io/v1alpha1/namespaces/team/amovebuckets/a/status",
        ),
    ],
)
def test_a_path_names_a_collection_an_object_or_a_part(
    plural: str, rest: tuple[str, ...], found: str
) -> None:
    assert path(plural, *rest) == found


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([("Synced", "True"), ("Ready", "True")], True),
        ([("Synced", "True"), ("Ready", "False")], False),
        ([("Synced", "True")], False),
    ],
)
def test_only_a_true_ready_condition_counts(conditions: list[tuple[str, str]], ready: bool) -> None:
    item = {"status": {"conditions": [{"type": t, "status": s} for t, s in conditions]}}
    assert is_ready(item) is ready
    assert not is_ready({})


def test_turns_are_all_calls_up_to_the_last_one_for_whoever_waits() -> None:
    others = {"call": "create_bucket", "query": {}, "body": {"bucketName": "theirs"}}
    listing = {"call": "get_storage_key", "query": {"page": "1"}, "body": None}
    mine = {"call": "bucket_status", "query": {}, "body": {"bucketName": "mine"}}
    revoked = {"call": "delete_storage_key", "query": {"id": "leaked"}, "body": None}
    found = turns_until([others, mine, listing, mine, others], "mine")
    assert found == {"create_bucket": 1, "get_storage_key": 1, "bucket_status": 2}
    assert turns_until([others, revoked, others], "leaked").total() == 2


def test_of_callbacks_of_one_name_the_longest_counts() -> None:
    slow = [Slow(1.0, 0.1, "a"), Slow(2.0, 0.3, "a"), Slow(3.0, 0.2, "b"), Slow(4.0, 0.1, "b")]
    assert [one.shown for one in longest_by_name(slow)] == ["`a` 300", "`b` 200"]


def test_long_callbacks_are_read_with_their_names(tmp_path: Path) -> None:
    file = tmp_path / "slow"
    file.write_text("12.5 0.25 full garbage collection\n13.0 0.5 Dispatcher.handle\n")
    assert slow_callbacks(file) == [
        Slow(12.5, 0.25, "full garbage collection"),
        Slow(13.0, 0.5, "Dispatcher.handle"),
    ]
