"""Every state on the page of health answers with the code and the words that stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from amove_operator.app.health import State, liveness, readiness
from amove_operator.app.vitals import NOT_FILLED

PAGE = Path(__file__).parents[3] / "docs/monitoring.md"
FENCE = "the fence amove-fence does not stand: it is not there"
STATES = {
    "all is well, and it leads": State(),
    "it stands by": State(standby="standing by: the Lease amove-operator is held by pod-1"),
    "the caches are being filled": State(waits_for=NOT_FILLED),
    "Kubernetes does not answer, or refuses, at the start": State(
        waits_for="waiting for Kubernetes: forbidden"
    ),
    "a CRD is missing": State(
        waits_for="the CRDs of AmoveBucket are not installed: run 'amove-operator crds | …"
    ),
    "the fence is missing, too weak, or new": State(may_not_lead=FENCE),
    "the fence is missing, and is not required": State(
        fence=f"{FENCE} (AMOVE_REQUIRE_FENCE=false)"
    ),
    "a role is missing: nothing can be listed": State(
        refused="buckets and keys cannot be listed: forbidden"
    ),
    "a role is missing: Secrets cannot be watched": State(
        refused="Secrets cannot be watched: forbidden"
    ),
    "the Lease cannot be read or written": State(
        lease="the Lease amove-operator could not be read or written: forbidden"
    ),
    "another operator writes to its objects": State(
        may_not_lead="… by another operator as well: … (AMOVE_WATCH_NAMESPACES), then restart"
    ),
    "it was asked to stop": State(stopping="it was asked to stop"),
    "a part of it died": State(ended="a part of the operator (the resync)"),
    "the Amove API is down": State(calls_held_back="the service failed (500)"),
    "the credentials are refused": State(calls_held_back="401, not accepted"),
    "the key list does not add up": State(list_incomplete="two pages differ"),
    "some watched namespaces cannot be listed": State(unlisted=("red", "blue")),
    "the clock is wrong": State(clock_skew=-61.0),
}


def rows() -> dict[str, list[str]]:
    """The table of the page: a state and its other cells."""
    table = PAGE.read_text().split("\n## Health\n")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in split}


def test_the_page_has_every_state_and_no_other() -> None:
    assert set(rows()) == {*STATES, "the event loop is stuck"}


@pytest.mark.parametrize("name", STATES)
def test_a_state_answers_as_the_page_says(name: str) -> None:
    live, ready, words = rows()[name]
    state = STATES[name]
    assert (str(liveness(state).code), str(readiness(state).code)) == (live, ready)
    (said,) = re.findall(r"`(.+)`", words)
    assert said in readiness(state).body


def test_all_that_is_wrong_is_said_at_once_the_faults_first() -> None:
    state = State(may_not_lead=FENCE, lease="no Lease", standby="standing by", clock_skew=90.0)
    lines = readiness(state).body.splitlines()
    assert lines[:3] == [FENCE, "no Lease", "standing by"]
    assert lines[3].startswith("the clock is +90 s off")
