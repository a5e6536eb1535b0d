"""What one tenant can write to make an operator grow: as large as admission lets through."""

from __future__ import annotations

from collections.abc import Iterator

from tests.node.release import Manifest
from tests.node.team import Team

ANNOTATION = "a" * 240 * 1024
"""Kubernetes takes 256 KiB of annotations."""
TEXT = "${buckets} " * 370
"""A template's text may have 4 KiB."""
REFS = [{"name": f"{n:02}-" + "b" * 60 + "." + "c" * 180} for n in range(64)]


def heavy_keys(team: Team, number: int) -> Iterator[Manifest]:
    """Keys of 350 KiB each, which wait for buckets of long names for ever."""
    template = {f"text{n}": TEXT for n in range(15)} | {"secret": "${secretKey}"}
    for n in range(number):
        key = team.key(f"heavy-{n}", "absent")
        key["spec"] |= {"bucketRefs": REFS, "secret": {"template": template}}
        key["metadata"]["annotations"] = {"example.com/heavy": ANNOTATION}
        yield key


def growing_key(team: Team, buckets: int) -> list[Manifest]:
    """A key whose Secret would hold the names of all its buckets some thousands of times."""
    template = {f"text{n}": TEXT for n in range(15)} | {"secret": "${secretKey}"}
    names = [f"{n:02}-".ljust(50, "b") for n in range(buckets)]
    made = [team.bucket(name) for name in names]
    refs = [{"name": bucket["metadata"]["name"]} for bucket in made]
    key = team.key("growing", "absent", secret={"template": template})
    key["spec"]["bucketRefs"] = refs
    return [*made, key]


def heavy_secrets(number: int) -> Iterator[Manifest]:
    """Secrets that pass for the operator's own, and say more of themselves than it would."""
    for n in range(number):
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": f"heavy-{n}",
                "labels": {"storage.amove.io/managed": "true"},
                "annotations": {
                    "storage.amove.io/retained-buckets": "a," * 100 * 1024,
                    "storage.amove.io/key-id": "k" * 20 * 1024,
                },
            },
            "stringData": {"AWS_ACCESS_KEY_ID": f"AKIA{n:016}", "AWS_SECRET_ACCESS_KEY": "a" * 40},
        }
