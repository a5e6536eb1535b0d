"""What the tests of keys say beside the harness: whose a key is, which live, what a Secret was."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b32encode, b64decode
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from amove_emulator import Emulator
from controlplane.launcher import ControlPlane
from tests.cluster.harness import (
    KEY,
    Manifest,
    a_bucket,
    a_key,
    eventually,
    refs,
    refusal,
    s3_with_only,
)
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_operator import Operator
from tests.patience import PATIENCE

MARKED = re.compile(r"-[0-9a-f]{8}-([a-z2-7]{10})-([oma][a-z2-7]{8})-\d+$")
KEY_ID = "storage.amove.io/key-id"
OWNER_UID = "storage.amove.io/owner-uid"
CHECKSUM = "storage.amove.io/checksum"
RETIRING = "storage.amove.io/retiring"
MANAGED = "storage.amove.io/managed"
CROWD = "crowd-"
PAST = "2001-01-01T00:00:00Z"
OURS = {MANAGED: "true", "app.kubernetes.io/managed-by": "amove-operator"}


def owner_of(name: str) -> str:
    """The part of a remote name that says which CR it is for; the name where it has none."""
    found = MARKED.search(name)
    return found[1] if found else name


def marker_of(uid: str) -> str:
    """The part of a remote name that stands for the CR of this UID: 50 bits, in base32."""
    return b32encode(hashlib.sha256(uid.encode()).digest()[:10]).decode().lower()[:10]


def names_of(name: str) -> str:
    """The part of a remote name that says which bucket names the key keeps; empty: none has it."""
    found = MARKED.search(name)
    return found[2] if found else ""


def mask_bit(bucket: str) -> int:
    """Which of the forty bits in the name of a key of several buckets stands for this one."""
    return int.from_bytes(hashlib.sha256(bucket.encode()).digest()[:5], "big") % 40


def colliding_with(bucket: str, stem: str) -> str:
    """Another bucket name, which a mask cannot tell from ``bucket``."""
    names = (f"{stem}-{number}" for number in count())
    return next(name for name in names if mask_bit(name) == mask_bit(bucket))


def live_of(emulator: Emulator, key: Manifest) -> list[str]:
    """The ids of the keys that work and carry this CR's marker, oldest serial first."""
    mine = marker_of(key["metadata"]["uid"])
    found = [one for one in emulator.control.live_keys() if owner_of(one["name"]) == mine]
    found.sort(key=lambda one: int(one["name"].rsplit("-", 1)[1]))
    return [one["id"] for one in found]


def lives_alone(emulator: Emulator, key: Manifest) -> bool:
    """Whether the key that status names is the only one of its CR that works."""
    return live_of(emulator, key) == [key["status"]["key"]["id"]]


def live_ids(emulator: Emulator) -> set[str]:
    """The ids of all keys that work."""
    return {one["id"] for one in emulator.control.live_keys()}


def make_crowd(emulator: Emulator) -> None:
    """Keys of other clusters, beside which a few orphans of ours are no large part of all."""
    for number in range(20):
        emulator.control.add_key(f"{CROWD}{number}", buckets=["elsewhere"])


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
    cluster: Cluster, kind: str, name: str, than: str, deadline: float = PATIENCE
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


# ---------------------------------------------------------------- hostile tenants


STRIP = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')


_RBAC = "rbac.authorization.k8s.io"
_VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
_RULES: dict[str, Manifest] = {
    "secrets": {"apiGroups": [""], "resources": ["secrets"], "verbs": _VERBS},
    "everything": {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
}


def _together(manifests: Iterable[Manifest]) -> Manifest:
    """One list: to start kubectl costs a tenth of a second of the CPU each time."""
    return {"apiVersion": "v1", "kind": "List", "items": list(manifests)}


def _rights(user: str, names: Iterable[str]) -> Iterator[Manifest]:
    """Roles of those rules, and the chart's edit role, for the user."""
    kind = {"apiVersion": f"{_RBAC}/v1"}
    who = [{"apiGroup": _RBAC, "kind": "User", "name": user}]
    edit = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "amove-operator-edit"}
    binding = kind | {"kind": "RoleBinding", "subjects": who}
    yield binding | {"metadata": {"name": "amove"}, "roleRef": edit}
    for name in names:
        meta = {"metadata": {"name": name}}
        yield kind | {"kind": "Role", "rules": [_RULES[name]]} | meta
        role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
        yield binding | {"roleRef": role} | meta


class Tenant:
    """kubectl as somebody with edit rights on the two kinds and on Secrets of one namespace.

    ``everything``: with ``*`` on all that is in the namespace.
    """

    def __init__(self, plane: ControlPlane, namespace: str, *, everything: bool = False) -> None:
        self._plane = plane
        self._where = f"--namespace={namespace}"
        self._kubeconfig: Path = plane.user_kubeconfig(f"tenant-{namespace}")
        names = ("secrets", "everything") if everything else ("secrets",)
        rights = _together(_rights(f"tenant-{namespace}", names))
        plane.kubectl("create", "-f", "-", self._where, input=json.dumps(rights))

    def tries(self, *args: str, given: Manifest | None = None) -> str:
        """What kubectl complained of; empty when it was done."""
        text = json.dumps(given) if given is not None else None
        done = self._plane.kubectl(
            *args, self._where, input=text, check=False, kubeconfig=self._kubeconfig
        )
        return done.stderr if done.returncode else ""

    def does(self, *args: str, given: Manifest | None = None) -> None:
        """Something that is allowed."""
        assert self.tries(*args, given=given) == ""

    def applies(self, *manifests: Manifest) -> None:
        together = _together(manifests)
        self.does("apply", "--server-side", "--force-conflicts", "-f", "-", given=together)

    def makes(self, *manifests: Manifest) -> None:
        """All that are allowed."""
        self.does("create", "-f", "-", given=_together(manifests))

    def forges(self, secret: str, **annotations: str) -> None:
        """Edit a Secret's annotations."""
        pairs = [f"{name}={value}" for name, value in annotations.items()]
        self.does("annotate", "--overwrite", "secret", secret, *pairs)

    def strips(self, kind: str, name: str) -> str:
        """Try to take every finalizer off; what the API server said."""
        return self.tries("patch", kind, name, *STRIP)

    def vanishes(self, kind: str, name: str) -> None:
        """Delete it, and have an admin of the cluster let go of it in the operator's place.

        Where the operator itself was quicker there is nothing left to strip.
        """
        self.deletes(kind, name)
        done = self._plane.kubectl("patch", kind, name, self._where, *STRIP, check=False)
        assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr

    def deletes(self, kind: str, name: str) -> None:
        """Without waiting for its end."""
        self.does("delete", kind, name, "--wait=false")


class Stage:
    """A victim with a bucket and a key, and a tenant next door; one operator serves both."""

    def __init__(
        self,
        whole: Cluster,
        namespaces: tuple[str, str],
        emulator: Emulator,
        run: Callable[..., Operator],
        *,
        everything: bool = False,
        **settings: object,
    ) -> None:
        """``namespaces``: the victim's and the tenant's; ``everything``: all rights in his."""
        self.victim, self.here = (whole.within(name) for name in namespaces)
        self.tenant = tenant = Tenant(whole.plane, namespaces[1], everything=everything)
        self._emulator = emulator
        self._run = run
        self._settings: dict[str, object] = {
            "watch_namespaces": list(namespaces),
            "cloud_account_id": emulator.cloud_account_id,
            "min_rotation_interval": "1s",
            "mint_budget": 20,
            **settings,
        }
        self.operator = self.starts()
        self.victim.apply(a_bucket("treasure"), a_key("owner", bucketRefs=refs("treasure")))
        self.key = self.victim.ready(KEY, "owner")
        self.id = str(self.key["status"]["key"]["id"])
        self._secret = self.victim.found("Secret", "owner")
        tenant.applies(a_bucket("photos"), a_key("app", bucketRefs=refs("photos")))
        self.mine = self.here.ready(KEY, "app")

    def starts(self, **changes: Any) -> Operator:
        """An operator for this stage, in place of one that ended."""
        self.operator = self._run(**{**self._settings, **changes})
        return self.operator

    def unharmed(self) -> None:
        """The victim's key lives, its Secret is as it was, and nobody asked for its revocation."""
        assert self.id not in revoked(self._emulator)
        assert live_of(self._emulator, self.key) == [self.id]
        assert self.victim.found("Secret", "owner") == self._secret
        with s3_with_only(self.victim.secret("owner")) as s3:
            assert refusal(s3.put_object, Bucket="treasure", Key="a", Body=b"b") is None
        reached = {
            name
            for one in self._emulator.control.live_keys()
            if one["id"] != self.id
            for name in one["buckets"] or ["*"]
        }
        assert not reached & {"treasure", "*"}


def forged_checksum(owner_uid: str, key_id: str, data: dict[str, str]) -> str:
    """The checksum is no secret: whoever reads the source can compute it."""
    parts = hashlib.sha256()
    for piece in (owner_uid, key_id):
        parts.update(piece.encode() + b"\0")
    for name in sorted(data):
        parts.update(name.encode() + b"\0" + hashlib.sha256(b64decode(data[name])).digest())
    return parts.hexdigest()
