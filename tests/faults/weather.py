"""What goes wrong in a storm: answers of the service, watches that break, processes that end."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx

from amove_emulator import ODD_ANSWERS, Emulator
from controlplane import ControlPlane
from tests.cluster.harness import KEY, eventually
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator
from tests.cluster.harness_wire import Wire, breaks
from tests.faults.teams import KEPT, LIVELY, Teams

A_DELAY = 0.5
"""Seconds that an effect may come late: less than the operator's settle time."""
PLAIN_FAULTS: tuple[Mapping[str, Any], ...] = (
    {"status": 503},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"status": 500, "effect": True},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 401},
    {"status": 499, "code": "PENDING", "message": "Not now."},
    {"drop": "before"},
    {"drop": "after"},
    {"truncate_at": 20},
    {"truncate_at": 20, "declare": "cut"},
    {"delay_before": A_DELAY},
    {"delay_after": A_DELAY},
)
"""Beside the odd answers."""
HANGS = ({"hang": "before", "times": 4}, {"hang": "after", "times": 4})
"""Few: each takes half a minute to be given up."""
STILL = 12.0
"""Seconds for which etcd stands still: longer than the Lease is good for without a renewal."""


def service_faults(rate: float, seed: int, *, hangs: bool) -> list[dict[str, Any]]:
    """Faults of every kind that together strike about so large a part of all calls.

    Half of them are odd answers. Each has a seed of its own, or they would strike the same calls.
    """
    rest = rate / 2 / len(PLAIN_FAULTS)
    odd: dict[str, Any] = {"odd": list(ODD_ANSWERS), "rate": rate / 2, "times": None}
    plain = [{"rate": rest, "times": None, **one} for one in PLAIN_FAULTS]
    hanging = [{"rate": rest, **one} for one in HANGS] if hangs else []
    return [{"seed": seed + number, **one} for number, one in enumerate([*hanging, odd, *plain])]


class Pod:
    """The operator, and what starts it again when it has ended, as a kubelet does."""

    def __init__(self, run: Callable[[], Operator]) -> None:
        self._run = run
        self.operator = run()
        self.deaths = 0

    def kill(self) -> None:
        """SIGKILL, and another process in its place."""
        self.operator.kill()
        self.restarted()

    def restarted(self) -> None:
        """Another process, if there is none."""
        if not self.operator.running:
            self.deaths += 1
            self.operator = self._run()


class Weather:
    """The service's faults, which are on until ``clear``."""

    def __init__(self, emulator: Emulator, rate: float, seed: int, *, hangs: bool) -> None:
        self._control = emulator.control
        for fault in service_faults(rate, seed, hangs=hangs):
            emulator.control.fault("*", **fault)

    def struck(self) -> int:
        """How many calls have met a fault."""
        return sum(int(one["struck"]) for one in self._control.faults())

    def clear(self) -> str:
        """The sun shines again; what the storm brought, for a person to read."""
        entries = self._control.journal()
        odd = Counter(one["odd"] for one in entries if one["odd"])
        other = sum(one["fault"] is not None and not one["odd"] for one in entries)
        self._control.clear_faults()
        return (
            f"{len(entries)} calls, {odd.total()} odd answers of {len(odd)} kinds, {other} others"
        )


class Disturbances:
    """What happens to the cluster and to the operator, each drawn as often as any other."""

    def __init__(
        self,
        teams: Teams,
        plane: ControlPlane,
        wire: Wire,
        pod: Pod,
        emulator: Emulator,
        token: Path,
    ) -> None:
        self._teams, self._plane, self._wire, self._pod = teams, plane, wire, pod
        self._emulator, self._token = emulator, token
        self.count: Counter[str] = Counter()

    def names(self) -> list[str]:
        """All of them."""
        return [*self._all()]

    def _all(self) -> dict[str, Callable[[], object]]:
        return {
            **{
                f"watches and the Lease get {what}": act for what, act in breaks(self._wire).items()
            },
            "the operator is killed": self._pod.kill,
            "the API server is restarted": self._restart_apiserver,
            "etcd stands still": self._stop_etcd,
            "the token is replaced": self._replace_token,
            "the token is revoked, and then replaced": self._lose_token,
            "half of the buckets are hidden for a while": self._hide_buckets,
            "many keys are revoked": self._revoke_keys,
        }

    def happens(self, what: str) -> None:
        """One of them."""
        self.count[what] += 1
        self._all()[what]()

    def _restart_apiserver(self) -> None:
        self._plane.stop_apiserver()
        self._plane.start_apiserver()
        self._wait_for_apiserver()

    def _stop_etcd(self) -> None:
        etcd = self._plane.pids["etcd"]
        os.kill(etcd, signal.SIGSTOP)
        try:
            time.sleep(STILL)
        finally:
            os.kill(etcd, signal.SIGCONT)
        self._wait_for_apiserver()

    def _wait_for_apiserver(self) -> None:
        there: Cluster = self._teams.all[0].there

        def answers() -> bool:
            try:
                return there.get("Namespace", "default") is not None
            except httpx.HTTPError:
                return False

        eventually(answers, what="the API server")

    def _replace_token(self) -> None:
        old = self._token.read_text()
        self._token.write_text(self._emulator.control.set_token())
        self._emulator.control.revoke_token(old)

    def _lose_token(self) -> None:
        self._emulator.control.revoke_token(self._token.read_text())
        time.sleep(3)  # an outage: nothing to wait for
        self._token.write_text(self._emulator.control.set_token())

    def _hide_buckets(self) -> None:
        control = self._emulator.control
        names = [team.remote(bucket) for team in self._teams.all for bucket in KEPT]
        hidden = [name for name in names if name in control.buckets()][::2]
        for name in hidden:
            control.hide_bucket(name)
        time.sleep(STILL)  # an outage: nothing to wait for
        for name in hidden:
            control.hide_bucket(name, hidden=False)

    def _revoke_keys(self) -> None:
        """Of keys that people touch anyway; enough for a mass loss."""
        control, names = self._emulator.control, {f"key-{key}" for key in LIVELY[::2]}
        live = {key["id"] for key in control.live_keys() if key["listed"]}
        for team in self._teams.all:
            for each in team.there.every(KEY):
                current = each["status"].get("key", {}).get("id", "")
                if each["metadata"]["name"] in names and current in live:
                    self._teams.touched.add((team.there.namespace, each["metadata"]["name"]))
                    control.revoke_key(current)


def shuffled(names: list[str], chance: Random) -> list[str]:
    """The same in another order."""
    return chance.sample(names, len(names))
