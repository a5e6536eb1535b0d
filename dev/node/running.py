"""A control plane with one node: ``with Node(images) as node: …``, inside a box."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane import ControlPlane, Site, ensure_binaries, ensure_node_binaries
from controlplane.probe import wait_until
from controlplane.processes import Program, Warden
from controlplane.progress import Finish, to_stderr
from node.box import Plan
from node.components import NODE_NAME, kubelet_command, proxy_command, scheduler_command
from node.containers import Containers
from node.images import Image
from node.network import ADDRESS

STOP_GRACE = 2.0
START_SECONDS = 120.0


class Node:
    """kubelet, containerd, kube-scheduler and kube-proxy, and a control plane that they belong to.

    Everything is reached at ``address``, from pods too. Raises ControlPlaneError where it cannot be
    had, with the end of the log of what failed.
    """

    address = ADDRESS
    name = NODE_NAME

    def __init__(self, images: Sequence[Image], *, report: Finish = to_stderr) -> None:
        self._images = images
        self._report = report
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        plan = Plan.of_this_process()
        self.folder = Path(plan.folder) / "node"
        (self.folder / "logs").mkdir(parents=True)
        self._warden = Warden(remove=[])
        self.plane = ControlPlane(
            Path(plan.folder) / "plane",
            report=self._report,
            site=Site(ADDRESS, has_nodes=True),
            binaries=ensure_binaries(report=self._report),
        )
        self.plane.start()
        try:
            self._start_node(plan.name)
        except BaseException:
            self._stop()
            self.plane.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self.plane.stop()

    def kubectl(self, *args: str, **options: Any) -> str:
        """What kubectl prints; see ControlPlane.kubectl()."""
        return self.plane.kubectl(*args, **options).stdout

    def helm(self, *args: str, **options: Any) -> str:
        """Like kubectl()."""
        return self.plane.helm(*args, **options).stdout

    def get(self, *args: str) -> dict[str, Any]:
        """``kubectl get … --output=json``."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *args, "--output=json"))
        return found

    def name_image_too(self, image: str, other: str) -> None:
        """Give an image a second name, for a rollout from one to the other."""
        self.containers.name_too(image, other)

    @property
    def environ(self) -> dict[str, str]:
        """Variables for a shell in the box."""
        path = f"{self.plane.bin}:{os.environ.get('PATH', os.defpath)}"
        return {**self.plane.client_environment(), "PATH": path}

    def require_running(self) -> None:
        """Raise StartError when one of the programs has died."""
        self.plane.require_running()
        for program in self._programs:
            program.require_running()

    def _start_node(self, cgroup: str) -> None:
        binaries = ensure_node_binaries(report=self._report)
        self.containers = Containers(self.folder / "containerd")
        self.containers.prepare()
        self._start(self.containers.command())
        self._wait("containerd answers", self.containers.is_ready)
        self._start(scheduler_command(binaries, self.plane))
        for image in self._images:
            self.containers.load(image)
        self._start(kubelet_command(binaries, self.folder, self.plane, self.containers, cgroup))
        self._wait("the node is Ready", self._is_ready)
        # It asks for the node's address, and again only after a long pause.
        self._start(proxy_command(binaries, self.folder, self.plane))

    def _is_ready(self) -> bool:
        found = self.plane.kubectl(
            "get", "node", NODE_NAME, "--output=json", "--ignore-not-found", check=False
        ).stdout
        conditions = json.loads(found)["status"]["conditions"] if found.strip() else []
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _start(self, command: list[str]) -> None:
        self._programs.append(Program.start(command, self.folder, self._warden))

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        wait_until(what, holds, START_SECONDS, self.require_running)

    def _stop(self) -> None:
        for program in reversed(self._programs):
            program.stop(STOP_GRACE)
        self._programs.clear()
        self._warden.dismiss()
