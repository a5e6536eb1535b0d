"""Every state of the two kinds that the API server shows, as kubectl's watch sees it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.harness import BUCKET, KEY, Manifest, eventually
from tests.cluster.harness_cluster import Cluster
from tests.patience import PATIENCE

_PLURALS = {BUCKET: "amovebuckets", KEY: "amovestoragekeys"}


class Watched:
    """What the watches have written so far, and the states that a test has picked out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.stages: dict[str, Manifest] = {}

    def file(self, kind: str) -> Path:
        """Where the watch of this kind writes."""
        return self._folder / kind

    def states(self, kind: str, name: str = "") -> list[Manifest]:
        """The states of the objects, or of one, in order; the last one when it was gone too."""
        text, position, found = self.file(kind).read_text(), 0, []
        decoder = json.JSONDecoder()
        while (start := text.find("{", position)) != -1:
            try:
                event, position = decoder.raw_decode(text, start)
            except json.JSONDecodeError:
                break  # it is being written
            found.append(event["object"])
        return [one for one in found if name in ("", one["metadata"]["name"])]

    def pick(self, stage: str, kind: str, name: str, holds: Callable[[Manifest], bool]) -> Manifest:
        """Wait until the last state of the object is so, and note it as this stage."""

        def ask() -> Manifest:
            states = self.states(kind, name)
            assert states, "nothing of it was seen"
            assert holds(states[-1]), json.dumps(states[-1].get("status"), indent=1)
            return states[-1]

        self.stages[stage] = eventually(ask, what=f"{stage}: {kind} {name}")
        return self.stages[stage]


@contextmanager
def watching(cluster: Cluster, folder: Path) -> Iterator[Watched]:
    """Write down what two watches show of the namespace, from now on."""
    watched = Watched(folder)
    programs = [_start(cluster, plural, watched.file(kind)) for kind, plural in _PLURALS.items()]
    try:
        yield watched
    finally:
        for program in programs:
            program.terminate()
            program.wait(PATIENCE)


def _start(cluster: Cluster, plural: str, file: Path) -> subprocess.Popen[bytes]:
    plane = cluster.plane
    command = [
        str(plane.bin / "kubectl"),
        *("get", plural, f"--namespace={cluster.namespace}"),
        *("--watch", "--output-watch-events", "--output=json"),
    ]
    with file.open("wb") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **plane.client_environment()},
            stdin=subprocess.DEVNULL,
            stdout=output,
        )
