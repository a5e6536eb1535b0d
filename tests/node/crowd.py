"""Create thousands of objects: as fast as the API server takes them, which kubectl does not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from urllib.parse import urlsplit

from controlplane.probe import client_context
from node import Node
from tests.node.release import Manifest

CLIENTS = 4
SECONDS = 120.0


def create_all(node: Node, path: str, manifests: Iterable[Manifest]) -> None:
    """POST each to ``path`` of the API, as the administrator. Raises AssertionError if refused."""
    everything = [json.dumps(each) for each in manifests]
    context = client_context(node.plane.kubeconfig)
    host = urlsplit(node.plane.server)

    def send(part: Sequence[str]) -> None:
        connection = HTTPSConnection(
            host.hostname or "", host.port, timeout=SECONDS, context=context
        )
        for body in part:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 201, text[:500]
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, (everything[n::CLIENTS] for n in range(CLIENTS))))
