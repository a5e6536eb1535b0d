"""Objects as a release left them: read from its snapshot, and put into a cluster of today.

A cluster gives UIDs, and the service ids, of its own: these are exchanged wherever they stand, in
status and Secrets. Dates are moved so far that the snapshot is as old as a minute.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from amove_emulator import EmulatorControl
from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.core.secrets.rendering import checksum
from amove_operator.times import parse_time
from bench.settled import renamed
from tests.cluster.harness import BUCKET, KEY, Manifest
from tests.cluster.harness_cluster import Cluster

Edit = Callable[[Manifest], Manifest]

MARK = "old-"
"""With this the name of each object of a snapshot begins."""
CHECKSUM = "storage.amove.io/checksum"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def read(path: Path, now: datetime) -> list[Manifest]:
    """The buckets, keys and Secrets of a snapshot, with dates as of a minute ago."""
    stored = json.loads(path.read_text())
    moved = now - timedelta(minutes=1) - _time(stored["taken"])

    def later(found: re.Match[str]) -> str:
        return (_time(found[0]) + moved).strftime("%Y-%m-%dT%H:%M:%SZ")

    objects: list[Manifest] = json.loads(_DATE.sub(later, json.dumps(stored["objects"])))
    return objects


def _time(text: str) -> datetime:
    found = parse_time(text)
    assert found is not None
    return found


@dataclass
class Restored:
    """One copy of a snapshot in a cluster. ``edit`` is applied to what becomes its status."""

    cluster: Cluster
    service: EmulatorControl
    objects: list[Manifest]
    number: int
    edit: Edit
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        endpoint = self._all(KEY)[0]["status"]["key"]["storageDn"]
        self.names = {
            MARK: f"old{self.number}-",
            self._namespace: self.cluster.namespace,
            endpoint: str(self.service.facts()["storageDn"]),
        }
        for bucket in self._all(BUCKET):
            self._restore_bucket(bucket)
        for key in self._all(KEY):
            self._restore_key(key)

    def named(self, name: str) -> str:
        """What an object of the snapshot is called here."""
        return name.replace(MARK, self.names[MARK])

    def secrets(self) -> list[Manifest]:
        """The Secrets of all keys, as they are now."""
        names = (self.named(each["metadata"]["name"]) for each in self._all("Secret"))
        return [self.cluster.found("Secret", name) for name in names]

    @property
    def _namespace(self) -> str:
        return str(self.objects[0]["metadata"]["namespace"])

    def _all(self, kind: str) -> list[Manifest]:
        return [each for each in self.objects if each["kind"] == kind]

    def _restore_bucket(self, bucket: Manifest) -> None:
        made = self._made(bucket, self.names)
        flags = {n: v for n, v in bucket["status"].get("observed", {}).items() if v is True}
        self.service.add_bucket(made["metadata"]["name"], account=None, **flags)
        self.names[bucket["metadata"]["uid"]] = made["metadata"]["uid"]
        self._write_status(bucket, self.names)

    def _restore_key(self, key: Manifest) -> None:
        made = self._made(key, self.names)
        names = {key["metadata"]["uid"]: made["metadata"]["uid"], **self.names}
        secret = self._secret_of(key)
        kube_system = self.cluster.within("kube-system")
        cluster_uid = kube_system.found("Namespace", "kube-system")["metadata"]["uid"]
        marker = marker_of(cluster_uid, made["metadata"]["uid"])
        held = key["status"]["key"]
        for issued in (*key["status"].get("retiring", ()), held):
            buckets = [self.named(name) for name in issued["buckets"]]
            serial = held["serial"] if issued is held else held["serial"] - 1
            readable = f"{self.cluster.namespace}-{made['metadata']['name']}"
            called = key_name(readable, marker, names_digest(buckets), serial)
            new = self.service.add_key(called, buckets=buckets)
            names = {issued["id"]: new["id"], **names}
            if issued is held:
                names = {held["name"]: called, held["accessKey"]: new["accessKey"], **names}
                names = {_text(secret, "AWS_SECRET_ACCESS_KEY"): new["secretKey"], **names}
        self._write_secret(secret, names, names[held["id"]])
        self._write_status(key, names)

    def _made(self, manifest: Manifest, names: Mapping[str, str]) -> Manifest:
        copy = {n: v for n, v in renamed(manifest, names).items() if n != "status"}
        (stored,) = self.cluster.apply(copy)
        return stored

    def _secret_of(self, key: Manifest) -> Manifest:
        bound = key["status"]["binding"]["name"]
        (secret,) = (each for each in self._all("Secret") if each["metadata"]["name"] == bound)
        return secret

    def _write_secret(self, secret: Manifest, names: Mapping[str, str], key_id: str) -> None:
        copy = renamed(secret, names)
        data = {name: base64.b64decode(text) for name, text in copy["data"].items()}
        (owner,) = copy["metadata"]["ownerReferences"]
        copy["metadata"]["annotations"][CHECKSUM] = checksum(owner["uid"], key_id, data)
        self.cluster.apply(copy)

    def _write_status(self, manifest: Manifest, names: Mapping[str, str]) -> None:
        copy = self.edit(renamed(manifest, names))
        change = {"status": copy["status"]}
        self.cluster.patch(copy["kind"], copy["metadata"]["name"], change, "status")


def _text(secret: Manifest, name: str) -> str:
    return base64.b64decode(secret["data"][name]).decode()
