"""A copy of a settled pair passes for one that the operator itself made."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from amove_operator.core.naming import marker_of, names_digest, parse_name
from amove_operator.core.secrets.record import sound_record
from bench.bare import Bare, Body
from bench.objects import bucket, key
from bench.settled import Pair, renamed

CLUSTER = "cluster-uid"
KEY_STATUS = {"id": "4711-of-old", "name": "name-of-old", "accessKey": "access-of-old", "serial": 1}
ISSUED = {"id": "4712-of-new", "accessKey": "access-of-new", "secretKey": "secret-of-new"}
RECORD = {
    "storage.amove.io/owner-uid": "uid-of-old-key",
    "storage.amove.io/key-id": "4711-of-old",
    "storage.amove.io/checksum": "of the old data",
    "storage.amove.io/written": '[["AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY"],[],[]]',
}


def encoded(data: dict[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}


def with_uid(manifest: Body, uid: str, status: Body) -> Body:
    return manifest | {"metadata": manifest["metadata"] | {"uid": uid}, "status": status}


PAIR = Pair(
    with_uid(bucket(0), "uid-of-old-bucket", {"ownerUID": "uid-of-old-bucket"}),
    with_uid(key(0), "uid-of-old-key", {"ownerUID": "uid-of-old-key", "key": KEY_STATUS}),
    {
        "metadata": {
            "name": "key-00000",
            "namespace": "bench",
            "annotations": RECORD,
            "managedFields": [{"manager": "operator of bench/a"}],
        },
        "data": encoded(
            {"AWS_ACCESS_KEY_ID": "access-of-old", "AWS_SECRET_ACCESS_KEY": "secret-of-old"}
        ),
    },
    CLUSTER,
)


class Server:
    """Takes what is created, and notes what was sent; UIDs are ``uid-of-new-<name>``."""

    def __init__(self, answer: Body | None = None) -> None:
        self.sent: list[tuple[str, Body]] = []
        self._answer = answer

    async def send(self, _method: str, path: str, body: Body) -> Any:
        self.sent.append((path, body))
        if self._answer is not None:
            return self._answer
        uid = f"uid-of-new-{body['metadata']['name']}"
        return body | {"metadata": body["metadata"] | {"uid": uid}}

    async def patch(self, path: str, body: Body) -> None:
        self.sent.append((path, body))

    def body(self, ending: str) -> Body:
        """Of the one request to a path with that end."""
        [found] = [body for path, body in self.sent if path.endswith(ending)]
        return found


@pytest.fixture
def copied() -> tuple[Server, Server]:
    kube, emulator = Server(), Server(ISSUED)
    asyncio.run(PAIR.copy(42, cast(Bare, kube), cast(Bare, emulator)))
    return kube, emulator


def test_its_secret_is_sound_and_holds_the_new_key(copied: tuple[Server, Server]) -> None:
    secret = copied[0].body("/secrets?fieldManager=operator+of+bench%2Fa")
    data = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    record, sound = sound_record(
        "uid-of-new-key-00042",
        secret["metadata"]["annotations"],
        data,
        remembered=None,
        status_key_id="4712-of-new",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        max_grace=timedelta(hours=1),
    )
    assert sound
    assert record.key_id == "4712-of-new"
    assert data["AWS_SECRET_ACCESS_KEY"] == b"secret-of-new"


def test_its_key_has_the_marker_of_the_new_object(copied: tuple[Server, Server]) -> None:
    name = copied[1].body("/keys")["name"]
    parsed = parse_name(name)
    assert parsed is not None
    assert parsed.marker == marker_of(CLUSTER, "uid-of-new-key-00042")
    assert parsed.names == names_digest(["bench-00042"])
    assert copied[0].body("/key-00042/status")["status"]["key"]["name"] == name


def test_its_status_proves_the_new_objects_own(copied: tuple[Server, Server]) -> None:
    for name in ("bench-00042", "key-00042"):
        status = copied[0].body(f"/{name}/status")["status"]
        assert status["ownerUID"] == f"uid-of-new-{name}"


def test_nothing_of_the_old_pair_is_left(copied: tuple[Server, Server]) -> None:
    assert "of-old" not in str([server.sent for server in copied])
    assert "00000" not in str([server.sent for server in copied])


def test_a_copy_has_nothing_that_the_server_gives_and_leaves_the_model_as_it_is() -> None:
    model: Body = {"metadata": {"name": "key-00000", "resourceVersion": "7", "finalizers": ["f"]}}
    copy = renamed(model, {"key-00000": "key-00042"})
    assert copy["metadata"] == {"name": "key-00042", "finalizers": ["f"]}
    assert model["metadata"]["name"] == "key-00000"
