"""The files and command lines of kubelet, kube-scheduler and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controlplane import ControlPlane
from node.containers import Containers
from node.network import ADDRESS, PODS

NODE_NAME = "node-1"


def kubelet_command(
    binaries: Path, folder: Path, plane: ControlPlane, containers: Containers, cgroup: str
) -> list[str]:
    """As a node of the cluster; the machine's own settings are asked for and never changed."""
    certificate, key = plane.server_certificate("kubelet", [ADDRESS, NODE_NAME])
    settings = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.ca_file)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["none"],
        "containerRuntimeEndpoint": f"unix://{containers.socket}",
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "protectKernelDefaults": True,
        "makeIPTablesUtilChains": False,
        "imageGCHighThresholdPercent": 100,
        # The disk is the machine's, and what fills it is not ours to judge.
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0.01%",
            "imagefs.available": "0.01%",
            "nodefs.inodesFree": "0.01%",
        },
        "podLogsDir": str(folder / "pods"),
        "volumePluginDir": str(folder / "plugins"),
        "clusterDomain": "cluster.local",
        # Nobody answers there: nothing here asks for a name.
        "clusterDNS": ["10.0.0.10"],
        "resolvConf": "",
        # How soon a changed Secret is in its pods.
        "syncFrequency": "5s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "nodeStatusUpdateFrequency": "4s",
        "registerNode": True,
    }
    return [
        str(binaries / "kubelet"),
        f"--config={_written(folder / 'kubelet.json', settings)}",
        f"--kubeconfig={plane.user_kubeconfig(f'system:node:{NODE_NAME}', ['system:nodes'])}",
        f"--root-dir={folder}/kubelet",
        f"--cert-dir={folder}/kubelet-pki",
        f"--node-ip={ADDRESS}",
        f"--hostname-override={NODE_NAME}",
    ]


def scheduler_command(binaries: Path, plane: ControlPlane) -> list[str]:
    kubeconfig = plane.user_kubeconfig("system:kube-scheduler")
    return [
        str(binaries / "kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        # It serves nothing that is wanted here.
        "--secure-port=0",
    ]


def proxy_command(binaries: Path, folder: Path, plane: ControlPlane) -> list[str]:
    settings = {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "clientConnection": {"kubeconfig": str(plane.user_kubeconfig("system:kube-proxy"))},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NODE_NAME,
        "conntrack": {"maxPerCore": 0},
    }
    return [str(binaries / "kube-proxy"), f"--config={_written(folder / 'proxy.json', settings)}"]


def _written(path: Path, settings: dict[str, Any]) -> Path:
    path.write_text(json.dumps(settings, indent=2))
    return path
