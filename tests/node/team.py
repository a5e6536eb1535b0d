"""A team's namespace: its buckets, keys and pods."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from node.images import APPLICATION
from tests.chart.waiting import until
from tests.node.release import CA_FILE, Manifest, Release, restrict

API = "storage.amove.io/v1alpha1"
SECONDS = 120.0


class Team:
    """Everything it makes is in ``namespace``, which is also the start of its buckets' names."""

    def __init__(self, release: Release, namespace: str) -> None:
        self.release = release
        self.node = release.node
        self.namespace = namespace
        self.here = f"--namespace={namespace}"

    def make(self) -> None:
        self.node.kubectl("create", "namespace", self.namespace)
        restrict(self.node, self.namespace)

    def remove(self) -> None:
        """Empty its buckets, and have all else deleted without waiting for it."""
        buckets = self.release.service.control
        for name in buckets.buckets():
            if name.startswith(self.namespace):
                buckets.empty_bucket(name)
        kinds = "amovestoragekeys,amovebuckets"
        self.node.kubectl("delete", kinds, "--all", self.here, "--wait=false", timeout=180)
        self.node.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def bucket(self, name: str, **spec: Any) -> Manifest:
        """An AmoveBucket that goes with its resource, named after the namespace too."""
        spec = {"deletionPolicy": "Delete", **spec}
        return self._object("AmoveBucket", f"{self.namespace}-{name}"[:63], spec)

    def key(self, name: str, bucket: str, **spec: Any) -> Manifest:
        """An AmoveStorageKey for one of ``bucket()``'s."""
        refs = [{"name": f"{self.namespace}-{bucket}"[:63]}]
        return self._object(KEY, name, {"bucketRefs": refs, "permission": "ReadWrite", **spec})

    def apply(self, *manifests: Manifest) -> None:
        text = "\n---\n".join(json.dumps(each) for each in manifests)
        self.node.kubectl("apply", "--filename=-", self.here, input=text, timeout=300)

    def wait_until_ready(self, *, seconds: float = SECONDS) -> None:
        """Until every bucket and key of the namespace is."""
        until(f"all of {self.namespace} are Ready", self.all_ready, deadline=seconds)

    def all_ready(self) -> bool:
        objects = self.objects()
        return bool(objects) and all(map(is_ready, objects))

    def require_one_key_each(self) -> None:
        """Each AmoveStorageKey has one key that works, its whole Secret holds it, and no other is.

        What a crash left is given time to be revoked.
        """
        names = [each["metadata"]["name"] for each in self.objects() if each["kind"] == KEY]
        secrets = {name: self.secret(name) for name in names}
        assert all(set(secret) >= WHOLE for secret in secrets.values())
        held = {secret["AWS_ACCESS_KEY_ID"] for secret in secrets.values()}
        assert len(held) == len(names)
        until("the keys that work are those in Secrets", lambda: self._own_live_keys() == held)

    def _own_live_keys(self) -> set[str]:
        """Those that reach this team's buckets."""
        return {
            key["accessKey"]
            for key in self.release.service.control.live_keys()
            if any(name.startswith(f"{self.namespace}-") for name in key["buckets"] or [])
        }

    def objects(self) -> list[Manifest]:
        items: list[Manifest] = self.node.get("amove", self.here)["items"]
        return items

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's values, decoded; empty for one that is not there."""
        options = (self.here, "--output=json", "--ignore-not-found")
        found = self.node.kubectl("get", "secret", name, *options)
        data = json.loads(found).get("data", {}) if found else {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def secrets(self) -> dict[str, dict[str, str]]:
        """All Secrets of the namespace, by name."""
        return {
            item["metadata"]["name"]: {
                key: base64.b64decode(value).decode() for key, value in item["data"].items()
            }
            for item in self.node.get("secrets", self.here)["items"]
        }

    def live_access_keys(self) -> set[str]:
        """Those that work at the service now, of all teams."""
        return {key["accessKey"] for key in self.release.service.control.live_keys()}

    def run(self, name: str, script: str, *, env_from: str = "", volume: str = "") -> None:
        """Start a pod that runs a Python script with boto3, once, as restricted as must be."""
        script_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"main.py": script},
        }
        self.apply(script_map, _pod(name, env_from, volume))

    def finished(self, name: str, *, seconds: float = SECONDS) -> str:
        """What the pod wrote, once it has ended well. Raises AssertionError when it failed."""
        until(f"pod {name} has ended", lambda: self._phase(name) in ENDS, deadline=seconds)
        output = self.node.kubectl("logs", name, self.here)
        assert self._phase(name) == "Succeeded", output
        return output

    def wrote(self, name: str) -> str:
        """What the pod wrote so far."""
        return self.node.plane.kubectl("logs", name, self.here, check=False).stdout

    def _phase(self, name: str) -> str:
        return str(self.node.get("pod", name, self.here)["status"]["phase"])

    def _object(self, kind: str, name: str, spec: dict[str, Any]) -> Manifest:
        return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


ENDS: Sequence[str] = ("Succeeded", "Failed")
KEY = "AmoveStorageKey"
WHOLE = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "BUCKET_NAME",
}
"""What a Secret of the default format holds for one bucket."""


def is_ready(item: Manifest) -> bool:
    """For the object as it is now."""
    generation = item["metadata"]["generation"]
    return any(
        each["type"] == "Ready"
        and each["status"] == "True"
        and each.get("observedGeneration") == generation
        for each in item.get("status", {}).get("conditions", [])
    )


def _pod(name: str, env_from: str, volume: str) -> Manifest:
    mounts = [{"name": "script", "mountPath": "/script"}]
    volumes: list[Manifest] = [{"name": "script", "configMap": {"name": name}}]
    if volume:
        mounts.append({"name": "key", "mountPath": "/key"})
        volumes.append({"name": "key", "secret": {"secretName": volume}})
    container: Manifest = {
        "name": "main",
        "image": APPLICATION,
        "imagePullPolicy": "Never",
        "args": ["/script/main.py"],
        "env": [{"name": "AWS_CA_BUNDLE", "value": CA_FILE}],
        "envFrom": [{"secretRef": {"name": env_from}}] if env_from else [],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": volumes,
        "securityContext": security,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
