"""``python -m bench.bombs``: what tenants can make the operator's memory grow to, measured.

Each scenario has a control plane of its own; its objects are there before the operator starts.
``--crds FOLDER`` stores them under other CRDs than today's, such as those of an earlier release.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import objects
from bench.measured import slow_callbacks
from bench.processes import BenchError
from bench.stage import Stage, stage

Manifest = dict[str, Any]
_LEASE_SECONDS = 3600
_SETTLE_SECONDS = 5
_REST_SECONDS = 600.0


@dataclass(frozen=True)
class Scenario:
    """``leads``: the operator acts; else it only watches, as a standby."""

    title: str
    manifests: Callable[[], Iterator[tuple[str, Manifest]]]
    leads: bool


def _key(number: int, spec: Manifest, annotations: dict[str, str] | None = None) -> Manifest:
    made = objects.key(number)
    made["spec"] |= spec
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def _long_refs() -> list[Manifest]:
    return [
        {"name": f"{'r' * 62}.{'r' * 62}.{'r' * 62}.{'r' * 60}{number:04}"} for number in range(64)
    ]


def template_bomb() -> Iterator[tuple[str, Manifest]]:
    """One key whose Secret would be of 140 MB."""
    texts = {f"key-{number}": "${buckets}" * 1638 for number in range(32)}
    yield objects.KEYS, _key(0, {"bucketRefs": _long_refs(), "secret": {"template": texts}})


def secret_bomb() -> Iterator[tuple[str, Manifest]]:
    """100 Secrets that call themselves ours and tell of 16,000 bucket names each."""
    names = ",".join(f"a-bucket-{number:06}" for number in range(16_000))
    for number in range(100):
        yield (
            "secrets",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": f"bomb-{number}",
                    "namespace": objects.NAMESPACE,
                    "labels": {
                        "app.kubernetes.io/managed-by": "amove-operator",
                        "storage.amove.io/managed": "true",
                    },
                    "annotations": {
                        "storage.amove.io/owner-uid": f"nobody-{number}",
                        "storage.amove.io/retained-buckets": names,
                    },
                },
            },
        )


def key_bomb() -> Iterator[tuple[str, Manifest]]:
    """120 keys of 780 KB."""
    texts = {f"key-{number}": "x" * 16_000 + "${secretKey}" for number in range(32)}
    for number in range(120):
        noted = {f"example.com/note-{part}": "n" * 62_000 for part in range(4)}
        yield objects.KEYS, _key(number, {"secret": {"template": texts}}, noted)


def ordinary() -> Iterator[tuple[str, Manifest]]:
    """5,000 buckets and 5,000 keys."""
    yield from objects.pairs(range(5_000))


def at_the_limits() -> Iterator[tuple[str, Manifest]]:
    """1,000 keys, each as large as its CRD lets it be."""
    secret = {
        "template": {f"key-{number}": "${secretKey}" + "x" * 4084 for number in range(16)},
        "labels": {f"example.com/label-{number}": "l" * 63 for number in range(32)},
        "annotations": {f"example.com/note-{number}": "n" * 1024 for number in range(32)},
    }
    for number in range(1_000):
        yield objects.KEYS, _key(number, {"bucketRefs": _long_refs(), "secret": secret})


SCENARIOS = {
    "none": Scenario("no objects, to compare with", lambda: iter(()), leads=False),
    "template": Scenario("1 key whose template would grow to 140 MB", template_bomb, leads=True),
    "secrets": Scenario("100 Secrets with 250 KiB of annotations", secret_bomb, leads=True),
    "keys": Scenario("120 keys of 780 KB", key_bomb, leads=True),
    "ordinary": Scenario("10,000 ordinary objects", ordinary, leads=False),
    "limits": Scenario("1,000 keys at the limits of their CRD", at_the_limits, leads=False),
}


@dataclass(frozen=True)
class Measured:
    """MiB, and CPU seconds of the longest callback; objects that the API server took."""

    taken: int
    peak: float
    rest: float
    callback: float


def measure(scenario: Scenario, crds: Path | None) -> Measured:
    """One run. Raises BenchError where the operator ends or finds no rest."""
    with stage() as here:
        if crds is not None:
            here.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crds))
            time.sleep(5.0)  # until the API server goes by them
        taken = here.create(scenario.manifests())
        if not scenario.leads:
            _hold_the_lease(here)
        noted = here.folder / "longest"
        operator = here.operator(
            "bombs", module=("bench.measured", str(noted)), listing_settle=f"{_SETTLE_SECONDS}s"
        )
        operator.wait_ready(_REST_SECONDS)
        time.sleep(3.0 * _SETTLE_SECONDS)  # until the listing is over, if it leads
        operator.wait_quiet(_REST_SECONDS, window=3.0)
        longest = max(slow.seconds for slow in slow_callbacks(noted))
        return Measured(taken, operator.peak_mib, operator.resident_mib, longest)


def _hold_the_lease(here: Stage) -> None:
    """Somebody else leads for as long as this takes."""
    now = (datetime.now(UTC) + timedelta(seconds=_LEASE_SECONDS)).isoformat(timespec="microseconds")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "amove-operator", "namespace": here.system},
        "spec": {
            "holderIdentity": "bench",
            "leaseDurationSeconds": _LEASE_SECONDS,
            "acquireTime": now.replace("+00:00", "Z"),
            "renewTime": now.replace("+00:00", "Z"),
        },
    }
    here.plane.kubectl("create", "-f", "-", input=json.dumps(lease))


def row(title: str, found: Measured, empty: float | None) -> str:
    """A line of the table; ``empty``: MiB at rest without objects."""
    each = "-"
    if empty is not None and found.taken:
        each = f"{(found.rest - empty) * 1024 / found.taken:.1f}"
    return (
        f"| {title} | {found.taken} | {found.peak:.0f} | {found.rest:.0f} | {each} "
        f"| {found.callback:.3f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.bombs", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--crds", type=Path, metavar="FOLDER")
    given = parser.parse_args(arguments)
    print(
        "| scenario | objects | peak MiB | MiB at rest | KiB an object | longest callback, CPU s "
        "|\n"
        "|---|---|---|---|---|---|",
        flush=True,
    )
    empty: float | None = None
    for name in given.scenarios or SCENARIOS:
        try:
            found = measure(SCENARIOS[name], given.crds)
        except BenchError as error:
            print(f"| {SCENARIOS[name].title} | {error} |", flush=True)
            continue
        empty = found.rest if name == "none" else empty
        print(row(SCENARIOS[name].title, found, empty), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
