"""kubectl and helm on one cluster: one of our own, or one that was there before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.errors import DemoError

Manifest = dict[str, Any]


class Cluster:
    """``bin`` holds kubectl and helm; ``environ`` tells them which cluster (KUBECONFIG)."""

    def __init__(self, bin: Path, environ: Mapping[str, str]) -> None:
        self.bin = bin
        self._environ = {**os.environ, **environ}

    @property
    def kubeconfig(self) -> str:
        return self._environ["KUBECONFIG"]

    def kubectl(self, *args: str, given: str = "", seconds: float = 120.0) -> str:
        """What kubectl prints.

        Raises DemoError, with kubectl's own words, when it fails or takes longer than ``seconds``.
        """
        return self._run("kubectl", args, given, seconds)

    def helm(self, *args: str, seconds: float = 120.0) -> str:
        """Like kubectl()."""
        return self._run("helm", args, "", seconds)

    def get(self, *args: str) -> Manifest:
        """``kubectl get … --output=json``."""
        found: Manifest = json.loads(self.kubectl("get", *args, "--output=json"))
        return found

    def items(self, *args: str) -> list[Manifest]:
        """The objects of a list."""
        items: list[Manifest] = self.get(*args)["items"]
        return items

    def exists(self, *args: str) -> bool:
        """Whether the object named by ``kubectl get …`` is there."""
        return bool(self.kubectl("get", *args, "--ignore-not-found", "--output=name").strip())

    def service_account_kubeconfig(self, namespace: str, name: str) -> bytes:
        """A kubeconfig (JSON) with a fresh token of this ServiceAccount and nothing more."""
        view = self.kubectl("config", "view", "--minify", "--flatten", "--raw", "--output=json")
        (cluster,) = json.loads(view)["clusters"]
        # A kept demo may be played with for hours. The token dies with the ServiceAccount.
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=12h")
        context = {"cluster": cluster["name"], "user": name, "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": name, "user": {"token": token.strip()}}],
            "contexts": [{"name": "demo", "context": context}],
            "current-context": "demo",
        }
        return json.dumps(config).encode()

    def _run(self, program: str, args: Sequence[str], given: str, seconds: float) -> str:
        try:
            done = subprocess.run(
                [str(self.bin / program), *args],
                input=given,
                env=self._environ,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(f"{program} {args[0]} did not end within {seconds:.0f} s") from None
        if done.returncode != 0:
            raise DemoError(f"{program} {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout
