"""The files and command lines of etcd, kube-apiserver and kube-controller-manager."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from controlplane.certificates import (
    Authority,
    new_private_key,
    private_pem,
    public_pem,
    write_private,
)
from controlplane.errors import StartError
from controlplane.kubeconfigs import Cluster, certificate_user, write_kubeconfig

LOOPBACK = "127.0.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)
# What a cluster with a node has work for besides.
NODE_CONTROLLERS = (
    "disruption-controller",
    "endpointslice-controller",
    "job-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "taint-eviction-controller",
)
SERVICES = "10.0.0.0/24"
# The first address of SERVICES: where pods find the API server.
SERVICE_ADDRESS = "10.0.0.1"
# Who asked for what, without bodies: a Secret's content must not reach a log.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Site:
    """Where the API server is reached, and whether kubelets join it.

    ``address`` is loopback, or one of a network namespace of its own: then it listens on all.
    """

    address: str = LOOPBACK
    has_nodes: bool = False

    @property
    def controllers(self) -> tuple[str, ...]:
        return CONTROLLERS + (NODE_CONTROLLERS if self.has_nodes else ())

    @property
    def names(self) -> list[str]:
        """What the API server's certificate proves."""
        own = [LOOPBACK, "localhost", "kubernetes.default.svc"]
        return [*own, self.address, SERVICE_ADDRESS] if self.has_nodes else own


@dataclass(frozen=True)
class Layout:
    """Where everything of one control plane lies; ``root`` is readable by its owner only."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def kubeconfigs(self) -> Path:
        return self.root / "kubeconfigs"

    @property
    def ca_file(self) -> Path:
        return self.pki / "ca.crt"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def etcd_data(self) -> Path:
        return self.root / "etcd"

    @property
    def worthless(self) -> list[Path]:
        """What nobody wants once the control plane is dead, unlike its logs."""
        return [self.etcd_data, self.pki, self.kubeconfigs, self.client_homes]

    @property
    def client_homes(self) -> Path:
        """Where kubectl and helm keep their caches: never in a person's own."""
        return self.root / "clients"


def prepare(layout: Layout, server: str, site: Site) -> Authority:
    """Write all files that the programs read; answer the authority that signs for the cluster."""
    for folder in (layout.pki, layout.logs, layout.client_homes):
        folder.mkdir()
    authority, store_authority = Authority("controlplane"), Authority("controlplane-etcd")
    # etcd has an authority of its own: a tenant's certificate must not open the store.
    write_pair(layout, "etcd", store_authority.server("etcd", [LOOPBACK]))
    write_pair(layout, "etcd-client", store_authority.client("kube-apiserver"))
    (layout.pki / "etcd-ca.crt").write_bytes(store_authority.pem)
    write_pair(layout, "apiserver", authority.server("kube-apiserver", site.names))
    # It asks kubelets for logs, and to run commands in pods.
    to_kubelets = authority.client("kube-apiserver", ["system:masters"])
    write_pair(layout, "apiserver-kubelet-client", to_kubelets)
    layout.ca_file.write_bytes(authority.pem)
    signing = new_private_key()
    write_private(layout.pki / "sa.key", private_pem(signing))
    (layout.pki / "sa.pub").write_bytes(public_pem(signing))
    cluster = Cluster(server, authority.pem)
    admin = certificate_user(*authority.client("controlplane-admin", ["system:masters"]))
    write_kubeconfig(layout.kubeconfig, cluster, admin)
    manager = certificate_user(*authority.client("system:kube-controller-manager"))
    write_kubeconfig(layout.pki / "kube-controller-manager.kubeconfig", cluster, manager)
    (layout.pki / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
    return authority


def etcd_command(binaries: Path, layout: Layout, port: int) -> list[str]:
    """A single member on loopback; both kinds of clients must show a certificate."""
    pki = layout.pki
    url, peer_url = f"https://{LOOPBACK}:{port}", f"https://{LOOPBACK}:0"
    return [
        str(binaries / "etcd"),
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--cert-file={pki}/etcd.crt",
        f"--key-file={pki}/etcd.key",
        f"--trusted-ca-file={pki}/etcd-ca.crt",
        "--client-cert-auth",
        # There are no peers; port 0 takes whatever is free.
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        f"--peer-cert-file={pki}/etcd.crt",
        f"--peer-key-file={pki}/etcd.key",
        f"--peer-trusted-ca-file={pki}/etcd-ca.crt",
        "--peer-client-cert-auth",
        # The data goes with the control plane, so it need not survive a power cut.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_command(
    binaries: Path, layout: Layout, port: int, etcd_port: int, site: Site
) -> list[str]:
    """RBAC, default admission (Pod Security among it), TLS, service-account tokens, audit log."""
    pki = layout.pki
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers=https://{LOOPBACK}:{etcd_port}",
        f"--etcd-cafile={pki}/etcd-ca.crt",
        f"--etcd-certfile={pki}/etcd-client.crt",
        f"--etcd-keyfile={pki}/etcd-client.key",
        *_site_options(layout, site),
        f"--secure-port={port}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={layout.ca_file}",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICES}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--audit-policy-file={pki}/audit-policy.json",
        f"--audit-log-path={layout.audit_log}",
        # Room for a benchmark: a rotated log would lose what tests count.
        "--audit-log-maxsize=2048",
    ]


def _site_options(layout: Layout, site: Site) -> list[str]:
    if not site.has_nodes:
        return [
            f"--bind-address={site.address}",
            f"--advertise-address={site.address}",
            # A loopback address may not be an endpoint, and nobody here uses that Service.
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
        ]
    return [
        "--bind-address=0.0.0.0",
        f"--advertise-address={site.address}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # A node's name is known to no resolver.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={layout.ca_file}",
        f"--kubelet-client-certificate={layout.pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={layout.pki}/apiserver-kubelet-client.key",
    ]


def controller_manager_command(binaries: Path, layout: Layout, site: Site) -> list[str]:
    """The controllers without which no namespace, token, Deployment or owned object behaves."""
    kubeconfig = layout.pki / "kube-controller-manager.kubeconfig"
    return [
        str(binaries / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(site.controllers)}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.pki}/sa.key",
        f"--root-ca-file={layout.ca_file}",
        # It serves nothing that is wanted here, so it opens no port.
        "--secure-port=0",
    ]


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nothing listens on, from below the range for outgoing connections.

    From that range a client's own connection could take the port while the API server restarts
    (it may even connect to itself).
    """
    found: list[int] = []
    for port in random.sample(range(15000, _first_outgoing_port()), k=500):
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise StartError(f"found no {count} free ports on {LOOPBACK}: stop what uses them")


def _first_outgoing_port() -> int:
    try:
        setting = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    except OSError:
        return 32768
    # A machine that gives nearly all ports away leaves no safe range: take the usual one.
    return int(setting) if int(setting) > 20000 else 32768


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the Go programs do; without it a port counts as taken a minute after its last use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def write_pair(layout: Layout, name: str, pair: tuple[bytes, bytes]) -> None:
    """Write ``<name>.crt`` and ``<name>.key`` beside the others."""
    certificate, key = pair
    (layout.pki / f"{name}.crt").write_bytes(certificate)
    write_private(layout.pki / f"{name}.key", key)
