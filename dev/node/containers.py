"""containerd with runc and a bridge network: its configuration, and images imported into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from node.commands import run
from node.images import PAUSE, Image
from node.network import PODS

CNI_PROGRAMS = "/usr/lib/cni"
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
CONFIGURATION = """
version = 2
root = "{folder}/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/net.d"
"""


@dataclass(frozen=True)
class Containers:
    """containerd in ``folder``, which must be on a disk and not on an overlay."""

    folder: Path

    @property
    def socket(self) -> str:
        return "/run/containerd/containerd.sock"

    def prepare(self) -> None:
        """Write what containerd reads."""
        (self.folder / "net.d").mkdir(parents=True)
        (self.folder / "net.d/10-pods.conflist").write_text(json.dumps(NETWORK))
        text = CONFIGURATION.format(
            folder=self.folder, socket=self.socket, pause=PAUSE, cni=CNI_PROGRAMS
        )
        (self.folder / "containerd.toml").write_text(text)

    def command(self) -> list[str]:
        return ["/usr/bin/containerd", "--config", str(self.folder / "containerd.toml")]

    def load(self, image: Image) -> None:
        """Import an archive, under the name that it holds."""
        self._ctr("images", "import", str(image.archive))

    def name_too(self, image: str, other: str) -> None:
        """Give an image a second name: another image, as far as a Deployment can tell."""
        self._ctr("images", "tag", image, other)

    def is_ready(self) -> bool:
        return Path(self.socket).exists()

    def _ctr(self, *arguments: str) -> None:
        command = ["/usr/bin/ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments]
        run(command, f"ctr {' '.join(arguments[:2])}")
