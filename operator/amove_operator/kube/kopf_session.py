"""Kopf's own connection, whose lists are read as ours are (:mod:`~amove_operator.kube.nesting`)."""

from __future__ import annotations

from typing import Any

import aiohttp
import kopf

from amove_operator.kube.nesting import read_answer


class KopfSession(kopf.AiohttpSession):
    """The session that Kopf would make of ``info``, but for how it reads.

    It is equal to another of the same ``info``: so Kopf knows credentials that were refused. And it
    is made when Kopf takes it: Kopf closes no others.
    """

    def __init__(self, info: kopf.ConnectionInfo) -> None:
        for name, value in (("server", info.server), ("info", info)):
            object.__setattr__(self, name, value)  # it is frozen

    info: kopf.ConnectionInfo

    @property
    def aiohttp_session(self) -> aiohttp.ClientSession:
        """A new one, which the caller closes."""
        info = self.info
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            proxy=info.proxy_url,
            trust_env=info.trust_env,
            response_class=_Answer,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KopfSession) and self.info == other.info

    def __hash__(self) -> int:
        return hash(self.server)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server})"


class _Answer(aiohttp.ClientResponse):
    async def json(self, **given: Any) -> Any:
        return await super().json(**{"loads": read_answer, **given})
