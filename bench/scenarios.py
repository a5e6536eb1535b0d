"""What can be measured, by name."""

from __future__ import annotations

from dataclasses import dataclass

from bench.callbacks import callbacks
from bench.calm import calm
from bench.cold import cold, large, rate
from bench.run import Measure
from bench.settled import restart
from bench.teams import fairness


@dataclass(frozen=True)
class Scenario:
    """``count`` of what, where the command line does not say how many."""

    title: str
    count: int
    rounds: int
    measure: Measure
    of: str = "pairs"


SCENARIOS = {
    "cold": Scenario("cold start: floor, plain way, operator, in turn", 1_000, 3, cold),
    "rate": Scenario("cold start with 50 calls/s permitted", 1_000, 1, rate),
    "large": Scenario("cold start: floor and operator", 10_000, 1, large),
    "restart": Scenario("restart, all settled", 10_000, 1, restart),
    "callbacks": Scenario("the longest callback while …", 10_000, 1, callbacks),
    "fairness": Scenario(
        "turns of one team while another asks for much", 600, 1, fairness, "buckets"
    ),
    "calm": Scenario("at rest, and an edit now and then", 500, 1, calm),
}
