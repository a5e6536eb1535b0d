"""What a crash matrix of buckets needs: the stories, and what must hold at their ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from amove_emulator import Emulator
from tests.cluster.bucket_words import about
from tests.cluster.harness import BUCKET, Manifest, a_bucket, condition, eventually
from tests.cluster.harness_cluster import Cluster
from tests.faults.crash_point import CrashingOperator

WANTED = {
    "isPublic": False,
    "encryptionEnabled": True,
    "versioningEnabled": True,
    "objectLockEnabled": False,
}


@dataclass(frozen=True)
class Story:
    """``before`` brings a bucket to where the story begins; ``act`` is what the operator answers.

    ``effects`` are those of an operator that lives, writes to Kubernetes as ``PATCH``. ``made``
    and ``deleted`` say how often the bucket was made and deleted, all told; ``ends``: with it the
    object goes.
    """

    name: str
    effects: tuple[str, ...]
    act: Callable[[Cluster, Emulator, str], object]
    before: bool = True
    made: int = 1
    deleted: int = 0
    ends: bool = False

    @property
    def calls(self) -> int:
        """How many of the effects are calls to the service."""
        return sum(effect != "PATCH" for effect in self.effects)


def _apply(cluster: Cluster, _: Emulator, name: str) -> None:
    cluster.apply(_manifest(name))


def _apply_to_be_half_made(cluster: Cluster, emulator: Emulator, name: str) -> None:
    """The first create to reach the service leaves the flags off, and answers 200."""
    emulator.control.fault("create_bucket", odd="bucket_made_bare", status=200, contains=name)
    cluster.apply(_manifest(name))


def _lose(cluster: Cluster, emulator: Emulator, name: str) -> None:
    emulator.control.drop_bucket(name)
    cluster.annotate(BUCKET, name, reconcile_requested_at="now")


def _delete(cluster: Cluster, _: Emulator, name: str) -> None:
    cluster.delete(BUCKET, name)


def _manifest(name: str) -> Manifest:
    flags: dict[str, Any] = {"versioningEnabled": True, "encryptionEnabled": True}
    return a_bucket(name, deletionPolicy="Delete", **flags)


CREATE = Story(
    "create",
    ("PATCH", "bucket_status", "PATCH", "create_bucket", "bucket_status", "PATCH"),
    _apply,  # finalizer, intent, provenance
    before=False,
)
HALF_MADE = Story(
    "half-made",
    (
        *("PATCH", "bucket_status", "PATCH", "create_bucket", "bucket_status"),
        *("update_bucket", "bucket_status", "PATCH"),
    ),
    _apply_to_be_half_made,
    before=False,
)
MAKE_AGAIN = Story(
    "make-again",
    # It is not found, and not again: the loss, and the end.
    (
        *("bucket_status", "PATCH", "bucket_status", "PATCH"),
        *("create_bucket", "bucket_status", "PATCH"),
    ),
    _lose,
    made=2,
)
DELETE = Story(
    "delete",
    ("bucket_status", "PATCH", "delete_bucket", "bucket_status", "PATCH"),  # the note, finalizer
    _delete,
    deleted=1,
    ends=True,
)


@dataclass
class Crashes:
    """Operators one after the other: each mends what its predecessor left, then has its own."""

    cluster: Cluster
    emulator: Emulator
    story: Story
    _left: list[str] = field(default_factory=list)

    def begin(self, name: str, operator: CrashingOperator) -> None:
        """What the predecessor left is mended first; then the stage is set for this one."""
        for left in self._left:
            eventually(partial(self.is_whole, left), what=f"{left} as it should be")
            self._clear_away(left)
        self._left = [name]
        if self.story.before:
            self.cluster.apply(_manifest(name))
            eventually(lambda: self._is_there(name, 1), what=f"{name} made")
        operator.arm(about=name)

    def survives(self, operator: CrashingOperator, name: str, reached: Callable[[], bool]) -> bool:
        """Whether it lives through the story of that bucket; ``reached``: its moment came."""
        self.story.act(self.cluster, self.emulator, name)

        def ask() -> str | None:
            if not operator.running:
                return "dead"
            return "alive" if self.is_whole(name) and not reached() else None

        return eventually(ask, what=f"{name} whole, or its operator killed") == "alive"

    def is_whole(self, name: str) -> bool:
        """The story has ended as if nobody had been killed; AssertionError: not yet."""
        if not self.story.ends:
            return self._is_there(name, self.story.made)
        assert self.cluster.get(BUCKET, name) is None
        assert name not in self.emulator.control.buckets()
        assert self._effects("delete_bucket", name) == self.story.deleted
        return True

    def _is_there(self, name: str, made: int) -> bool:
        seen = self.cluster.found(BUCKET, name)
        status = seen.get("status", {})
        for kind in ("Ready", "Synced"):
            assert condition(seen, kind).get("status") == "True", status
        assert status["provenance"] == "Created"
        assert "createIntent" not in status
        found = self.emulator.control.buckets().get(name, {})
        assert {flag: found.get(flag) for flag in WANTED} == WANTED
        assert self._effects("create_bucket", name) == made
        return True

    def _effects(self, call: str, name: str) -> int:
        journal = self.emulator.control.journal(call)
        return sum(entry["effect"] and about(entry) == name for entry in journal)

    def _clear_away(self, name: str) -> None:
        """Nobody's loss but that of the bucket at hand is to play a part."""
        if not self.story.ends:
            self.cluster.patch(BUCKET, name, {"spec": {"deletionPolicy": "Retain"}})
            self.cluster.delete(BUCKET, name)
            self.cluster.gone(BUCKET, name)
