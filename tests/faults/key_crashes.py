"""What a crash matrix of keys needs: the stories, the kill, and what must hold afterwards."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from amove_emulator import Emulator
from tests.cluster.harness import KEY, Manifest, a_key, condition, eventually, refs, s3_with_only
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import (
    another_key,
    held,
    live_of,
    marker_of,
    most_live,
    owner_of,
)
from tests.patience import PATIENCE

DATA = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "BUCKET_NAME",
}


@dataclass(frozen=True)
class Story:
    """``before`` brings a key to where the story begins; ``act`` is what the operator answers.

    ``told`` says, of the CR and its Secret's annotations, that the answer was given. ``rotated``:
    a replaced key retires already when the story begins. ``ends``: the CR goes; ``keeps``: its
    Secret and the key in it stay.
    """

    name: str
    act: Callable[[Cluster, str], object]
    before: bool = True
    told: Callable[[Manifest, Manifest], bool] = lambda key, secret: True
    rotated: bool = False
    ends: bool = False
    keeps: bool = False
    grace: str = "0s"

    def begin(self, cluster: Cluster, names: list[str]) -> None:
        """Bring keys of these names to where the story begins."""
        policy = "Retain" if self.keeps else "Delete"
        cluster.apply(*(manifest(name, self.grace, deletionPolicy=policy) for name in names))
        first = {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in names}
        if self.rotated:
            for name in names:
                cluster.annotate(KEY, name, rotate_requested_at="before")
            for name in names:
                another_key(cluster, KEY, name, first[name])


def manifest(name: str, grace: str, **spec: Any) -> Manifest:
    return a_key(name, bucketRefs=refs("photos"), rotation={"gracePeriod": grace}, **spec)


def _edit_data(cluster: Cluster, name: str) -> None:
    cluster.patch("Secret", name, {"data": {"AWS_SECRET_ACCESS_KEY": "bm9uc2Vuc2U="}})


def _issued_again(key: Manifest, _: Manifest) -> bool:
    return int(key["status"]["key"]["serial"]) > 1


ISSUE = Story("issue", lambda c, n: c.apply(manifest(n, "0s")), before=False)
ROTATE = Story(
    "rotate",
    lambda c, n: c.annotate(KEY, n, rotate_requested_at="now"),
    told=lambda _, secret: secret.get("storage.amove.io/rotate-requested-at") == "now",
    grace="1s",
)
REISSUE = Story(
    "reissue",
    lambda c, n: c.apply(manifest(n, "0s", permission="Read")),
    told=lambda key, _: key["status"]["key"]["permission"] == "Read",
)
DELETED = Story("deleted-secret", lambda c, n: c.delete("Secret", n), told=_issued_again)
EDITED = Story("edited-secret", _edit_data, told=_issued_again)
DELETE = Story("delete", lambda c, n: c.delete(KEY, n), ends=True)
RETAIN = Story(
    "retain", lambda c, n: c.delete(KEY, n), rotated=True, ends=True, keeps=True, grace="1h"
)
# Long enough for the story to begin before the operator revokes the first of them.
GRACE_END = Story("grace-end", lambda _c, _n: None, rotated=True, grace="4s")


class SecretVersions:
    """Every version of every Secret that the API server ever showed, by a watch of kubectl's."""

    def __init__(self, cluster: Cluster, file: Path) -> None:
        plane = cluster.plane
        self._file = file
        args = ["get", "secrets", "--watch", "--output=json", f"--namespace={cluster.namespace}"]
        with file.open("wb") as out:
            self._watch = subprocess.Popen(
                [str(plane.bin / "kubectl"), *args],
                env=plane.client_environment(),
                stdout=out,
                stdin=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.terminate()
        self._watch.wait(PATIENCE)

    def seen(self) -> list[Manifest]:
        """The versions so far."""
        text, found, at = self._file.read_text(), [], 0
        decoder = json.JSONDecoder()
        while at < len(text):
            try:
                item, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError:
                break  # its end is still being written
            found.append(item)
            while at < len(text) and text[at].isspace():
                at += 1
        return found


class Judge:
    """What must hold of keys and Secrets, by the emulator's own account of its keys."""

    def __init__(self, cluster: Cluster, emulator: Emulator) -> None:
        self._cluster = cluster
        self._emulator = emulator

    def live(self, uid: str) -> list[str]:
        """The ids of the keys that work and carry this CR's marker."""
        return live_of(self._emulator, {"metadata": {"uid": uid}})

    def settled(self, story: Story, name: str, uid: str) -> bool:
        """The story's end: one live key, held by a Secret that works; or nothing at all."""
        if story.ends:
            assert self._cluster.get(KEY, name) is None, "it is still there"
        if story.keeps:
            assert self.live(uid) == [held(self._cluster, name)]
            return True
        if story.ends:
            assert self._cluster.get("Secret", name) is None, "its Secret is still there"
            assert self.live(uid) == []
            return True
        key = self._cluster.found(KEY, name)
        secret = self._cluster.found("Secret", name)
        notes = secret["metadata"]["annotations"]
        live = self.live(key["metadata"]["uid"])
        status = key.get("status", {})
        assert condition(key, "Ready").get("status") == "True", status
        assert condition(key, "Synced").get("status") == "True", status
        assert not status.get("retiring"), status
        assert story.told(key, notes), f"not yet answered: {status}, {notes}"
        assert live == [status["key"]["id"]] == [notes["storage.amove.io/key-id"]], live
        return True

    def usable(self, name: str) -> None:
        """The pair in the Secret opens the bucket."""
        with s3_with_only(self._cluster.secret(name)) as s3:
            s3.list_objects_v2(Bucket="photos")

    def never_more_than_two(self) -> None:
        """At no moment of the test did a CR have three live keys."""
        assert most_live(self._emulator) <= 2

    def never_half(self, versions: list[Manifest]) -> None:
        """Each version was whole: all keys, the pair as it was issued, its record beside it."""
        events = self._emulator.control.key_events()
        access_keys = {event["key_id"]: event["access_key"] for event in events}
        secrets = set(self._emulator.control.issued_secrets())
        assert versions
        for version in versions:
            data = {k: b64decode(v).decode() for k, v in (version.get("data") or {}).items()}
            if data.get("AWS_SECRET_ACCESS_KEY") == "nonsense":
                continue  # edited by the test
            notes = version["metadata"]["annotations"]
            assert set(data) == DATA
            assert data["AWS_SECRET_ACCESS_KEY"] in secrets
            assert data["AWS_ACCESS_KEY_ID"] == access_keys[notes["storage.amove.io/key-id"]]

    def nothing_else(self, uids: set[str]) -> None:
        """No key at the service, listed or live, belongs to any other CR than these."""
        known = {marker_of(uid) for uid in uids}
        keys = self._emulator.control.keys()
        others = [
            key["name"]
            for key in keys
            if (key["live"] or key["listed"]) and owner_of(key["name"]) not in known
        ]
        assert others == []


class Matrix:
    """Operators one after the other: each mends what its predecessor left, then dies of its own.

    ``start`` starts one that is to crash at ``3:before`` …; ``""`` lives. With ``armed`` its
    effects count from its very start, and it need not live to lead.
    """

    def __init__(
        self, cluster: Cluster, emulator: Emulator, start: Callable[..., Any], abreast: int = 2
    ) -> None:
        self.judge = Judge(cluster, emulator)
        self._cluster = cluster
        self._start = start
        self._abreast = abreast
        self._plays = 0
        self._left: list[tuple[Story, str, str]] = []
        self.kept: set[str] = set()

    def survives(self, story: Story, number: int, when: str) -> bool:
        """Play the story; whether the operator lives through it, its n-th effect included."""
        operator = self._start(f"{number}:{when}")
        try:
            self._mended()
            self._plays += 1
            names = [f"{story.name}-{self._plays}-{each}" for each in range(self._abreast)]
            if story.before:
                story.begin(self._cluster, names)
            uids = {name: self._uid(name) for name in names} if story.before else {}
            operator.arm()
            for name in names:
                story.act(self._cluster, name)
            uids = uids or {name: self._uid(name) for name in names}
            self._left = [(story, name, uids[name]) for name in names]
            return self._outlives(operator, number)
        finally:
            operator.stop()

    def heals(self, number: int, when: str) -> bool:
        """Whether the next operator lives through what the last one left, its n-th effect too."""
        operator = self._start(f"{number}:{when}", armed=True)
        try:
            return self._outlives(operator, number)
        finally:
            operator.stop()

    def _outlives(self, operator: Any, number: int) -> bool:
        names = [name for _, name, _ in self._left]
        eventually(lambda: operator.killed or self._all_settled(), what=f"{names}")
        # What is settled may be so by the very effect that kills.
        fatal = len(operator.effects) >= number
        return not (fatal and eventually(lambda: operator.killed, what="its death"))

    def mend(self) -> None:
        """One more operator, for what the last one left."""
        operator = self._start("")
        try:
            self._mended()
        finally:
            operator.stop()

    def _mended(self) -> None:
        for story, name, uid in self._left:
            where = f"{name} as it should be"
            eventually(partial(self.judge.settled, story, name, uid), what=where)
            if story.keeps or not story.ends:
                self.judge.usable(name)
                self.kept.add(uid)
        self._left = []

    def _all_settled(self) -> bool:
        return all(self.judge.settled(story, name, uid) for story, name, uid in self._left)

    def _uid(self, name: str) -> str:
        return str(self._cluster.found(KEY, name)["metadata"]["uid"])
