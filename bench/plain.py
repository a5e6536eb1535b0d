"""``python -m bench.plain``: the operator that one writes after reading Kopf's documentation.

Handlers for create and delete, httpx for the service, the Kubernetes client for Secrets: the calls
that the operator makes, the writes that Kopf makes of it, and no care for what goes wrong. A key
does not even wait for its bucket, which the service allows. Settings as the operator's.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import kopf
import kubernetes.aio.client
import kubernetes.aio.config

from bench.objects import BUCKETS, GROUP, KEYS, NAMESPACE, VERSION

_client: Any = kubernetes.aio.client
_config: Any = kubernetes.aio.config
ACCOUNT, HOST = os.environ["AMOVE_CLOUD_ACCOUNT_ID"], os.environ["AMOVE_STORAGE_DN"]
TOKEN = Path(os.environ["AMOVE_TOKEN_FILE"]).read_text()


@kopf.on.startup()
async def connect(memo: Any, **_: Any) -> None:
    await _config.load_kube_config(os.environ["KUBECONFIG"])
    memo.core = _client.CoreV1Api()
    memo.amove = httpx.AsyncClient(
        base_url=os.environ["AMOVE_API_URL"] + "/api/v1/storage/",
        headers={"Authorization": f"Bearer {TOKEN}"},
        limits=httpx.Limits(max_connections=int(os.environ["AMOVE_CONCURRENCY"])),
        timeout=httpx.Timeout(30.0, pool=None),
        trust_env=False,
    )


@kopf.on.create(GROUP, VERSION, BUCKETS)
async def create_bucket(name: str, memo: Any, patch: Any, meta: Any, **_: Any) -> None:
    where = {"cloudAccountId": ACCOUNT, "bucketName": name}
    found = await memo.amove.post("bucket_status", json=where)
    if found.status_code == 499:
        wanted = where | {"isPublic": False, "isEncrypted": False}
        (await memo.amove.post("create_bucket", json=wanted)).raise_for_status()
        found = await memo.amove.post("bucket_status", json=where)
    patch.status.update(where | {"observed": found.raise_for_status().json()})
    patch.status.update(ready(meta))


@kopf.on.delete(GROUP, VERSION, BUCKETS)
async def delete_bucket(name: str, memo: Any, **_: Any) -> None:
    where = {"cloudAccountId": ACCOUNT, "bucketName": name}
    (await memo.amove.delete("delete_bucket", params=where)).raise_for_status()


@kopf.on.create(GROUP, VERSION, KEYS)
async def create_key(name: str, spec: Any, memo: Any, patch: Any, meta: Any, **_: Any) -> None:
    bucket = spec["bucketRefs"][0]["name"]
    wanted = {"name": name, "region": "us-east-1", "storageDn": HOST, "permission": 2}
    wanted |= {"allBuckets": False, "selectedBuckets": [bucket], "cloudAccountId": ACCOUNT}
    issued = (await memo.amove.post("create_storage_key", json=wanted)).raise_for_status().json()
    data = {"AWS_ACCESS_KEY_ID": issued["accessKey"], "AWS_SECRET_ACCESS_KEY": issued["secretKey"]}
    data |= {"AWS_ENDPOINT_URL_S3": f"https://{HOST}", "BUCKET_NAME": bucket}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
    kopf.adopt(secret)
    await memo.core.create_namespaced_secret(NAMESPACE, secret)
    noted = {field: issued[field] for field in ("id", "name", "accessKey", "userId")}
    noted |= {"serial": 1, "issuedAt": now(), "permission": "ReadWrite", "buckets": [bucket]}
    noted |= {"cloudAccountId": ACCOUNT, "region": "us-east-1", "storageDn": HOST}
    patch.status.update({"key": noted, "binding": {"name": name}} | ready(meta))


@kopf.on.delete(GROUP, VERSION, KEYS)
async def delete_key(status: Any, memo: Any, **_: Any) -> None:
    gone = await memo.amove.delete("delete_storage_key", params={"id": status["key"]["id"]})
    gone.raise_for_status()


def ready(meta: Any) -> dict[str, Any]:
    said = {"status": "True", "reason": "Created", "message": "", "lastTransitionTime": now()}
    conditions = [{"type": kind, **said} for kind in ("Ready", "Synced")]
    return {"observedGeneration": meta["generation"], "conditions": conditions}


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


if __name__ == "__main__":
    kopf.run(standalone=True, namespaces=[NAMESPACE])
