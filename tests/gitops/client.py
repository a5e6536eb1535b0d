"""What uses a Secret: a Deployment in Git, and an S3 client that works with what it refers to.

No kubelet is here: a Deployment without replicas is Current to Flux at once, and the client does in
a thread what its container would do, with the Secret that the Deployment in the cluster names.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.harness import Manifest, eventually
from tests.cluster.harness_cluster import Cluster

PAUSE = 0.05
LAG = 1.0
"""How long after a change the client sees it, as with a mounted Secret: a grace must cover that."""
PATH, CONTENT = "holiday.jpg", b"sun and sea"


def a_consumer(name: str, secret: str = "", *, replicas: int = 0) -> Manifest:
    """A Deployment whose containers have the Secret as their environment."""
    labels = {"app": name}
    container = {
        "name": "app",
        "image": "registry.example.org/app:1.0",
        "envFrom": [{"secretRef": {"name": secret or name}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


@dataclass(frozen=True)
class Failure:
    """A refused request: when, seconds since the epoch; why; with which access key."""

    at: float
    code: str
    access_key: str


@dataclass
class Client:
    """Reads an object again and again until it is stopped, with the Secret of a moment ago.

    ``places``: the namespaces in which its Deployment may be, the preferred one first. While no
    Deployment names a Secret that is there, it goes on with what it has, as a running pod does.
    """

    places: Sequence[Cluster]
    deployment: str
    bucket: str
    failures: list[Failure] = field(default_factory=list)
    successes: Counter[str] = field(default_factory=Counter)
    """How often it worked, by access key."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join()
        assert self._broken is None, self._broken

    def works_with(self, access_key: str) -> None:
        """Wait until a request with this key has succeeded."""
        eventually(lambda: self.successes[access_key] > 0, what=f"a request with {access_key}")

    def _work(self) -> None:
        used: dict[str, str] = {}
        s3: Any = None
        looked = float("-inf")
        try:
            while not self._over.wait(PAUSE):
                if time.monotonic() - looked >= LAG:
                    looked, found = time.monotonic(), self._secret()
                    if found and found != used:
                        used, s3 = found, s3_client(found)
                if s3 is not None:
                    self._ask(s3, used["AWS_ACCESS_KEY_ID"])
        except BaseException as broken:
            self._broken = broken

    def _ask(self, s3: Any, access_key: str) -> None:
        try:
            s3.get_object(Bucket=self.bucket, Key=PATH)
        except ClientError as refused:
            code = str(refused.response["Error"]["Code"])
            self.failures.append(Failure(time.time(), code, access_key))
        except BotoCoreError as lost:
            self.failures.append(Failure(time.time(), str(lost), access_key))
        else:
            self.successes[access_key] += 1

    def _secret(self) -> dict[str, str]:
        for place in self.places:
            try:
                deployment = place.get("Deployment", self.deployment)
                if deployment is None:
                    continue
                (container,) = deployment["spec"]["template"]["spec"]["containers"]
                (source,) = container["envFrom"]
                return place.secret(source["secretRef"]["name"])
            except (AssertionError, httpx.HTTPError):
                continue
        return {}


def s3_client(variables: dict[str, str]) -> Any:
    """An S3 client with what a Secret says; it tries nothing twice, and asks no person's proxy."""
    return boto3.session.Session().client(
        "s3",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=variables["AWS_ENDPOINT_URL_S3"],
        region_name=variables["AWS_REGION"],
        config=Config(retries={"max_attempts": 0}, proxies={}),
    )
