"""Kopf's own connection: how it reads, and that Kopf takes it for what it would make itself."""

from __future__ import annotations

from typing import Any

import kopf
from aiohttp import web

from amove_operator.kube.kopf_session import KopfSession
from tests.stand_ins.apiserver import serving


def _info(url: str, token: str = "a-token") -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(server=url, scheme="Bearer", token=token)


async def test_lists_are_read_without_the_fields_that_somebody_wrote() -> None:
    fields: dict[str, Any] = {f"f:{number:07}": {} for number in range(100_000)}
    body = {"metadata": {"managedFields": [{"fieldsV1": fields}]}}

    async def large(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    async with serving() as server:
        server.answer_next("/large", large)
        async with (
            KopfSession(_info(server.url)).aiohttp_session as session,
            session.get(f"{server.url}/large") as answer,
        ):
            assert await answer.json() == {"metadata": {"managedFields": [{"fieldsV1": {}}]}}


async def test_it_is_equal_by_its_credentials_so_that_refused_ones_are_known() -> None:
    url = "https://127.0.0.1:1"
    assert KopfSession(_info(url)) == KopfSession(_info(url))
    assert KopfSession(_info(url)) != KopfSession(_info(url, "another"))
    assert "a-token" not in repr(KopfSession(_info(url)))
