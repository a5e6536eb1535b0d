"""The pure parts of the bench: what it reads, what it computes, and the table it writes."""

from __future__ import annotations

import os

import pytest

from bench.figures import BEGIN, END, Figures, recorded, shortest_seconds, table
from bench.objects import bucket, count_ready, key
from bench.processes import cpu_seconds_of, peak_mib_of

LIMITS = {"rate": 50.0, "burst": 100.0, "concurrency": 16, "latency": 0.02}


def test_cpu_seconds_are_user_and_system_time_whatever_the_program_is_called() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    numbers = " ".join(["0"] * 10 + [str(3 * ticks), str(ticks // 2)] + ["0"] * 20)
    assert cpu_seconds_of(f"42 (a ) b) S {numbers}") == pytest.approx(3.5)


def test_peak_memory_is_read_in_mib() -> None:
    assert peak_mib_of("Name:\tpython\nVmHWM:\t  51200 kB\nVmRSS:\t  1 kB\n") == 50.0


def test_an_ended_process_has_no_peak_memory() -> None:
    with pytest.raises(ValueError, match="has ended"):
        peak_mib_of("Name:\tpython\nState:\tZ (zombie)\n")


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


def test_a_table_counts_calls_and_writes_per_object_and_leaves_out_what_was_not_asked() -> None:
    rows = [
        Figures("cold", 12.34, cpu=5.678, calls=30, writes=45, objects=15, permitted=0.5),
        Figures("stop", 0.2),
    ]
    lines = table(rows, {"cold": "a cold start", "stop": "the end"}).splitlines()
    assert "| `cold`: a cold start | 12.3 | 5.68 | - | 30 (2.00 an object) |" in lines[2]
    assert "| 50% | 45 (3.00 an object) |" in lines[2]
    assert lines[3] == "| `stop`: the end | 0.2 |" + " - |" * 7
    assert len({line.count("|") for line in lines}) == 1


def test_a_record_replaces_only_what_is_between_the_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert recorded(text, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"])
def test_a_document_without_both_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        recorded(text, "new\n")


def test_each_key_refers_to_the_bucket_of_its_number() -> None:
    assert key(7)["spec"]["bucketRefs"] == [{"name": bucket(7)["metadata"]["name"]}]


def test_only_a_true_ready_condition_counts() -> None:
    def item(*conditions: tuple[str, str]) -> dict[str, object]:
        return {"status": {"conditions": [{"type": t, "status": s} for t, s in conditions]}}

    items = [item(("Synced", "True"), ("Ready", "True")), item(("Ready", "False")), item(), {}]
    assert count_ready(items) == 1
