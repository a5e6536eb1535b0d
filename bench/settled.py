"""Many settled pairs without the work of making each: copies of one that the operator made.

Whatever the operator writes into status and Secret, a copy has it too, with names, UIDs and ids of
its own. Only what digests go into is worked out anew: the key's name and the Secret's checksum.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from amove_operator.core.naming import key_name, marker_of, names_digest
from amove_operator.core.secrets.rendering import checksum
from bench import objects
from bench.bare import Bare, Body, amove, each
from bench.figures import table
from bench.objects import BUCKETS, KEYS, SECRETS, path
from bench.processes import Operator, wait_for
from bench.run import FAST, Outcome, Run
from bench.stage import LATENCY, Stage, sort_of

_SETTLE_SECONDS = 5
_PATIENCE = 180.0
_PAGE = 50
_CHECKSUM = "storage.amove.io/checksum"
_MUTATING = {
    "create_bucket", "update_bucket", "delete_bucket", "create_storage_key", "delete_storage_key",
}  # fmt: skip
_KEPT = ("name", "namespace", "labels", "annotations", "finalizers", "ownerReferences")


def renamed(manifest: Body, names: Mapping[str, str]) -> Body:
    """A copy with every text of ``names`` replaced, as far as an object can be created with it."""
    meta = {field: manifest["metadata"][field] for field in _KEPT if field in manifest["metadata"]}
    kept = {field: value for field, value in manifest.items() if field != "data"}
    text = json.dumps(kept | {"metadata": meta})
    for old, new in names.items():
        text = text.replace(old, new)
    copy: Body = json.loads(text)
    if data := manifest.get("data"):
        copy["data"] = {name: _renamed_base64(value, names) for name, value in data.items()}
    return copy


def _renamed_base64(value: str, names: Mapping[str, str]) -> str:
    text = base64.b64decode(value).decode()
    for old, new in names.items():
        text = text.replace(old, new)
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Pair:
    """A bucket, its key and the key's Secret as they are stored, all settled."""

    bucket: Body
    key: Body
    secret: Body
    cluster_uid: str

    def _names(self, number: int) -> dict[str, str]:
        return {
            self.bucket["metadata"]["name"]: objects.bucket(number)["metadata"]["name"],
            self.key["metadata"]["name"]: objects.key(number)["metadata"]["name"],
        }

    async def copy(self, number: int, kube: Bare, emulator: Bare) -> None:
        """Make the pair of that number, settled, in Kubernetes and at the service."""
        names = self._names(number)
        bucket = await _made(kube, BUCKETS, self.bucket, names)
        name = bucket["metadata"]["name"]
        await emulator.send("POST", "/_emulator/buckets", {"name": name})
        names[self.bucket["metadata"]["uid"]] = bucket["metadata"]["uid"]
        await _told(kube, BUCKETS, self.bucket, names)
        key = await _made(kube, KEYS, self.key, names)
        meta, held = key["metadata"], self.key["status"]["key"]
        readable = f"{meta['namespace']}-{meta['name']}"
        marker = marker_of(self.cluster_uid, meta["uid"])
        called = key_name(readable, marker, names_digest([name]), held["serial"])
        wanted = {"name": called, "buckets": [name]}
        issued = await emulator.send("POST", "/_emulator/keys", wanted)
        # First the longer texts, which hold the shorter ones.
        names = {held["name"]: called, held["id"]: issued["id"], **names}
        names |= {held["accessKey"]: issued["accessKey"]}
        names |= {self.key["metadata"]["uid"]: meta["uid"]}
        names |= {_text(self.secret, "AWS_SECRET_ACCESS_KEY"): issued["secretKey"]}
        secret = renamed(self.secret, names)
        data = {field: base64.b64decode(value) for field, value in secret["data"].items()}
        secret["metadata"]["annotations"][_CHECKSUM] = checksum(meta["uid"], issued["id"], data)
        # In the operator's name, as its own Secrets are: what others wrote it reads at once.
        (written_by, *_) = self.secret["metadata"]["managedFields"]
        query = urlencode({"fieldManager": written_by["manager"]})
        await kube.send("POST", f"{path(SECRETS)}?{query}", secret)
        await _told(kube, KEYS, self.key, names)


async def _made(kube: Bare, plural: str, model: Body, names: Mapping[str, str]) -> Body:
    copy = {field: value for field, value in renamed(model, names).items() if field != "status"}
    return dict(await kube.send("POST", path(plural), copy))


async def _told(kube: Bare, plural: str, model: Body, names: Mapping[str, str]) -> None:
    """Write its status."""
    copy = renamed(model, names)
    place = path(plural, copy["metadata"]["name"], part="status")
    await kube.patch(place, {"status": copy["status"]})


def _text(secret: Body, field: str) -> str:
    return base64.b64decode(secret["data"][field]).decode()


def settle(run: Run, here: Stage) -> None:
    """Make all pairs of a run settled: the first by the operator, the others as copies of it."""
    run.tell(f"making {run.count} settled buckets and keys")
    here.control.behave(latency=0.0)
    here.create(objects.pairs([0]))
    first = here.operator("first", rate_limit=FAST, listing_settle="1s")
    here.wait_all_ready(1, first, 60.0)
    first.stop()
    system = json.loads(here.plane.kubectl("get", "namespace", "kube-system", "-o", "json").stdout)
    pair = Pair(
        here.object(BUCKETS, "bench-00000"),
        here.object(KEYS, "key-00000"),
        here.object(SECRETS, "key-00000"),
        system["metadata"]["uid"],
    )

    async def copy_all(kube: Bare) -> None:
        async with amove(here.facts["url"]) as emulator:
            await each(range(1, run.count), lambda number: pair.copy(number, kube, emulator))

    here.in_cluster(copy_all)
    here.control.behave(latency=LATENCY)
    here.control.clear_journal()


def wait_compared(run: Run, here: Stage, operator: Operator) -> None:
    """Wait until the operator has listed all keys and is at rest."""
    pages = math.ceil(run.count / _PAGE)
    wait_for("the keys listed", lambda: here.calls()["get_storage_key"] >= pages, _PATIENCE, 0.25)
    operator.wait_quiet(_PATIENCE, window=2.0)


def restart(run: Run) -> Outcome:
    """A new process where all is settled: until its caches are filled and its keys compared."""
    with run.stage() as here:
        settle(run, here)
        return restarted(run, here)


def restarted(run: Run, here: Stage) -> Outcome:
    """The same, on a stage where all is settled."""
    run.tell("restart")
    written = len(_writes(here))
    # No sweep on the way: it would go on all the time, and there would be no rest to wait for.
    operator = here.operator(
        "restart",
        rate_limit=FAST,
        listing_settle=f"{_SETTLE_SECONDS}s",
        resync_interval="24h",
    )
    filled = operator.wait_ready()
    cpu_filled, peak_filled = operator.cpu_seconds, operator.peak_mib
    wait_compared(run, here, operator)
    calls = here.calls()
    figures = {
        "restart writes": float(len(_writes(here)) - written),
        "restart mutating": float(sum(calls[name] for name in _MUTATING)),
        "restart cpu": operator.cpu_seconds,
    }
    rows = [
        ("caches filled", filled, cpu_filled, peak_filled, "-"),
        (
            "keys compared, at rest", operator.age, operator.cpu_seconds, operator.peak_mib,
            f"{operator.resident_mib:.0f}",
        ),
    ]  # fmt: skip
    details = table(
        ("restart until", "s", "CPU s", "peak RSS MiB", "RSS then"),
        [(what, f"{s:.1f}", f"{cpu:.2f}", f"{peak:.0f}", rss) for what, s, cpu, peak, rss in rows],
    )
    details += f"\nCalls: {calls.total()}. SIGTERM until it has ended: {operator.stop():.1f} s.\n"
    return Outcome(figures, details)


def _writes(here: Stage) -> list[str]:
    return [request.uri for request in here.requests() if sort_of(request) == "writes"]
