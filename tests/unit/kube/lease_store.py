"""A Lease in memory, and candidates for it that need no network."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from amove_operator.errors import Conflict, NotLeading
from amove_operator.kube import Kube, LeaseElection
from amove_operator.kube.failures import Gone
from amove_operator.kube.transport import Request, Transport

DURATION, DEADLINE, RETRY = 15.0, 10.0, 2.0


class LeaseStore:
    """What an API server does with one Lease: compare and swap on its resourceVersion."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.reads = 0

    def serve(self, request: Request) -> dict[str, Any]:
        body: Any = json.loads(json.dumps(request.body))
        if request.method == "GET":
            self.reads += 1
            if self.lease is None:
                raise Gone("no such lease", status=404)
        elif request.method == "POST":
            if self.lease is not None:
                raise Conflict("it exists")
            self.write(body)
        else:
            seen = body["metadata"]["resourceVersion"]
            if self.lease is None or seen != self.lease["metadata"]["resourceVersion"]:
                raise Conflict("it changed")
            self.write(body)
        answer: dict[str, Any] = json.loads(json.dumps(self.lease))
        return answer

    def write(self, body: dict[str, Any]) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.lease = body

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec


class StoreTransport(Transport):
    """Requests end in a function instead of the network."""

    def __init__(self, serve: Callable[[Request], Awaitable[dict[str, Any]]]) -> None:
        self._serve = serve

    async def call(
        self,
        request: Request,
        *,
        gate: Callable[[], None] | None = None,
        urgent_seconds: float | None = None,
    ) -> dict[str, Any]:
        assert gate is None, "the Lease is not gated by itself"
        assert urgent_seconds is not None, "a renewal waits for no other request"
        return await self._serve(request)


def candidate(
    identity: str,
    serve: Callable[[Request], Awaitable[dict[str, Any]]],
    clock: Callable[[], float],
    retry: float = RETRY,
) -> LeaseElection:
    kube = Kube(StoreTransport(serve), namespace="team")
    return LeaseElection(
        kube,
        namespace="team",
        identity=identity,
        lease_duration=DURATION,
        renew_deadline=DEADLINE,
        retry_period=retry,
        clock=clock,
    )


def leads(election: LeaseElection) -> bool:
    try:
        election.check()
    except NotLeading:
        return False
    return True
