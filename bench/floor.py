"""``python -m bench.floor``: the least that the work takes on this machine.

The calls and the Kubernetes writes that the operator makes for new buckets and keys, by a loop
over bare HTTP: no watch, no look before a write, no care for what goes wrong. Settings as the
operator's; it runs until it is killed, so that what it used can be read.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.bare import AnsweredError, Bare, Body, amove, each, kube
from bench.objects import BUCKETS, KEYS, SECRETS, VERSION, listed, path

ACCOUNT, HOST = os.environ["AMOVE_CLOUD_ACCOUNT_ID"], os.environ["AMOVE_STORAGE_DN"]
FINALIZER = {"metadata": {"finalizers": ["storage.amove.io/floor"]}}
PAIRS_AT_A_TIME = 64


class Floor:
    """One pair at a time, for whoever calls; so many calls to Amove at a time in all."""

    def __init__(self, kubernetes: Bare, service: Bare) -> None:
        self._kube, self._amove = kubernetes, service
        self._slots = asyncio.Semaphore(int(os.environ["AMOVE_CONCURRENCY"]))

    async def pair(self, both: tuple[Body, Body]) -> None:
        bucket, key = both
        name = bucket["metadata"]["name"]
        where = {"cloudAccountId": ACCOUNT, "bucketName": name}
        status = {"ownerUID": bucket["metadata"]["uid"], **where}
        await self._kube.patch(path(BUCKETS, name), FINALIZER)
        with suppress(AnsweredError):  # 499: it is not there
            await self._call("bucket_status", where)
        await self._tell(BUCKETS, name, status | {"createIntent": True}, "False")
        await self._call("create_bucket", where | {"isEncrypted": False, "isPublic": False})
        observed = await self._call("bucket_status", where)
        await self._tell(BUCKETS, name, status | {"createIntent": None, "observed": observed})
        await self._key(key["metadata"], name)

    async def _key(self, meta: Body, bucket: str) -> None:
        name, place = meta["name"], {"region": "us-east-1", "storageDn": HOST}
        await self._kube.patch(path(KEYS, name), FINALIZER)
        wanted = {"name": f"{name}-{meta['uid']}"[:63], "permission": 2, "allBuckets": False}
        wanted |= {"selectedBuckets": [bucket], "cloudAccountId": ACCOUNT, **place}
        issued = await self._call("create_storage_key", wanted)
        await self._kube.send("POST", path(SECRETS), _secret(meta, bucket, issued))
        noted = {field: issued[field] for field in ("id", "name", "accessKey", "userId")}
        noted |= {"serial": 1, "issuedAt": _now(), "permission": "ReadWrite", "buckets": [bucket]}
        noted |= {"cloudAccountId": ACCOUNT, **place}
        status = {"ownerUID": meta["uid"], "key": noted, "binding": {"name": name}}
        await self._tell(KEYS, name, status)

    async def _call(self, call: str, body: Body) -> Any:
        async with self._slots:
            return await self._amove.send("POST", f"/api/v1/storage/{call}", body)

    async def _tell(self, plural: str, name: str, status: Body, ready: str = "True") -> None:
        said = {"status": ready, "reason": "Floor", "message": "", "lastTransitionTime": _now()}
        conditions = [{"type": kind, **said} for kind in ("Ready", "Synced")]
        body = {"status": {**status, "observedGeneration": 1, "conditions": conditions}}
        await self._kube.patch(path(plural, name, part="status"), body)


def _secret(meta: Body, bucket: str, issued: Body) -> Body:
    data = {"AWS_ACCESS_KEY_ID": issued["accessKey"], "AWS_SECRET_ACCESS_KEY": issued["secretKey"]}
    data |= {"AWS_ENDPOINT_URL_S3": f"https://{HOST}", "BUCKET_NAME": bucket}
    data |= {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    owner = {"apiVersion": f"storage.amove.io/{VERSION}", "kind": "AmoveStorageKey"}
    owner |= {"name": meta["name"], "uid": meta["uid"]}
    annotations = {"bench/owner-uid": meta["uid"], "bench/key-id": issued["id"]}
    named = {"name": meta["name"], "annotations": annotations, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": data}


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def main() -> None:
    async with (
        kube(Path(os.environ["KUBECONFIG"])) as kubernetes,
        amove(os.environ["AMOVE_API_URL"], Path(os.environ["AMOVE_TOKEN_FILE"])) as service,
    ):
        buckets, keys = [await listed(kubernetes, plural) for plural in (BUCKETS, KEYS)]
        floor = Floor(kubernetes, service)
        await each(zip(buckets, keys, strict=True), floor.pair, PAIRS_AT_A_TIME)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
