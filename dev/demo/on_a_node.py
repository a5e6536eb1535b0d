"""What differs where there is a node: addresses, certificates, images."""

from __future__ import annotations

import shlex
import sys

from demo.emulator import Tls
from demo.installation import Values
from demo.keep import Hints
from demo.names import APP, TENANT
from demo.operator_pod import OperatorPod
from demo.page import CA_FILE, NAME, Page
from node import Node
from node.box import Plan
from node.images import OPERATOR


def tls_on(node: Node) -> Tls:
    """For a service that pods reach: the operator trusts no plain http but that of loopback."""
    certificate, key = node.plane.server_certificate("amove", [node.address])
    return Tls(node.address, certificate, key, node.plane.ca_file)


def values_on_a_node(api_url: str, replicas: int) -> Values:
    """For the image that was built, and a service whose certificate the cluster signed."""
    repository, _, tag = OPERATOR.rpartition(":")
    others = {
        "image.repository": repository,
        "image.tag": tag,
        "image.pullPolicy": "Never",
        "extraEnv[0].name": "SSL_CERT_FILE",
        "extraEnv[0].value": CA_FILE,
    }
    return Values(api_url, install_crds=True, one_namespace=False, replicas=replicas, others=others)


def hints_on_a_node(operator: OperatorPod, page: Page) -> Hints:
    """The ways to the page and into the box, whose network is its own."""
    keeper = Plan.of_this_process().keeper
    node = f"{shlex.quote(sys.executable)} -m node"
    here = f"kubectl --namespace {TENANT}"
    return Hints(
        first=(f"{node} shell --keeper {keeper}",),
        last=(
            operator.log_command,
            f"# the application of {APP.name} has its Secret's values from when it started",
            f"{here} rollout restart deployment/{NAME}",
            "# its page for your browser: in a third terminal, outside of the box",
            f"{node} forward --keeper {keeper} {page.address}",
        ),
        end=f"Ctrl-C here, or kill {keeper}",
    )
