"""What doctor takes from the objects of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amove_operator.commands.doctor import cluster
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings

USER = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"


class _Kube:
    """Shows one key."""

    def __init__(self, owner_uid: str) -> None:
        self._owner_uid = owner_uid

    async def each_object(
        self, _kind: Kind, take: Callable[[dict[str, Any]], None], _namespace: str | None
    ) -> str:
        metadata = {"name": "k", "namespace": "n", "uid": "own", "resourceVersion": "1"}
        key = {
            "id": "c3a1d8de-7e52-4f0e-8f3a-3a4b5c6d7e8f",
            "name": "k",
            "accessKey": "AK",
            "serial": 1,
            "issuedAt": "2026-11-01T00:00:00Z",
            "userId": USER,
            "cloudAccountId": "c0a8f7d2-5b1e-4e7a-9f36-61d2b7e4a932",
            "region": "us-east-1",
            "storageDn": "s3.example.com",
            "permission": "Read",
            "buckets": ["photos"],
        }
        spec = {"permission": "Read", "bucketNames": ["photos"]}
        status = {"ownerUID": self._owner_uid, "key": key}
        take({"metadata": metadata, "spec": spec, "status": status})
        return "1"


@pytest.mark.parametrize(("owner_uid", "users"), [("own", {USER}), ("another", set())])
async def test_only_a_status_of_the_object_itself_says_who_issued_its_key(
    make_settings: Callable[..., Settings], owner_uid: str, users: set[str]
) -> None:
    """A copy carries the status of another cluster's object along, and its user."""
    kube: Any = _Kube(owner_uid)
    assert await cluster._recorded_users(kube, make_settings()) == users
