"""What the tests of keys say beside the harness: whose a key is, which live, what a Secret was."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from amove_emulator import Emulator
from tests.cluster.harness import Manifest, eventually
from tests.cluster.harness_cluster import Cluster

MARKED = re.compile(r"-[0-9a-f]{8}-([0-9a-f]{10})-[0-9a-f]{8}-\d+$")
KEY_ID = "storage.amove.io/key-id"
OWNER_UID = "storage.amove.io/owner-uid"
CHECKSUM = "storage.amove.io/checksum"
RETIRING = "storage.amove.io/retiring"


def owner_of(name: str) -> str:
    """The part of a remote name that says which CR it is for; the name where it has none."""
    found = MARKED.search(name)
    return found[1] if found else name


def marker_of(uid: str) -> str:
    """The part of a remote name that stands for the CR of this UID (design.md §5)."""
    return hashlib.sha256(uid.encode()).hexdigest()[:10]


def live_of(emulator: Emulator, key: Manifest) -> list[str]:
    """The ids of the keys that work and carry this CR's marker, oldest serial first."""
    mine = marker_of(key["metadata"]["uid"])
    found = [one for one in emulator.control.live_keys() if owner_of(one["name"]) == mine]
    found.sort(key=lambda one: int(one["name"].rsplit("-", 1)[1]))
    return [one["id"] for one in found]


def live_ids(emulator: Emulator) -> set[str]:
    """The ids of all keys that work."""
    return {one["id"] for one in emulator.control.live_keys()}


def most_live(emulator: Emulator) -> int:
    """The most keys that any one CR ever had live at one moment."""
    return max(emulator.control.max_live_keys(owner_of).values(), default=0)


def mints(emulator: Emulator) -> int:
    """How often a key was asked for."""
    return emulator.control.count("create_storage_key")


def revoked(emulator: Emulator) -> list[str]:
    """The ids whose revocation was asked for, in order."""
    return [entry["query"]["id"] for entry in emulator.control.journal("delete_storage_key")]


def held(cluster: Cluster, secret: str) -> str:
    """The id of the key that a Secret says it holds."""
    return str(cluster.found("Secret", secret)["metadata"]["annotations"][KEY_ID])


def a_secret(name: str, data: dict[str, str], **metadata: Any) -> Manifest:
    """A Secret with ``stringData``."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "stringData": data,
    }


def another_key(
    cluster: Cluster, kind: str, name: str, than: str, deadline: float = 15
) -> Manifest:
    """Wait until status names another key than ``than``, and the Secret holds it."""

    def ask() -> Manifest | None:
        seen = cluster.found(kind, name)
        current = seen.get("status", {}).get("key", {}).get("id", than)
        assert current != than, f"still {than}: {seen.get('status')}"
        secret = seen["status"]["binding"]["name"]
        assert held(cluster, secret) == current
        return seen

    found = eventually(ask, deadline, what=f"another key of {name}")
    assert found is not None
    return found
