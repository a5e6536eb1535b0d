"""The commands against the emulator, and a cluster that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from amove_operator.kube import Kube
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings, load_settings

if TYPE_CHECKING:
    from amove_emulator import Emulator


class StandInCluster:
    """The objects of a cluster, for commands that only read them."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {kind.plural: [] for kind in Kind}
        self.asked: list[str | None] = []
        self.installed = True

    def holds(self, kind: Kind, namespace: str, name: str, **body: Any) -> None:
        meta = {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}", "generation": 1}
        found = {"metadata": {**meta, **body.pop("metadata", {})}, **body}
        self.objects[kind.plural].append(found)

    async def missing_crds(self) -> list[str]:
        return [] if self.installed else [kind.plural for kind in Kind]

    async def each_object(
        self, kind: Kind, take: Callable[[dict[str, Any]], None], namespace: str | None = None
    ) -> str:
        self.asked.append(namespace)
        for body in self.objects[kind.plural]:
            if namespace in (None, body["metadata"]["namespace"]):
                take(body)
        return "1"

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandInCluster:
    """The cluster that the commands find."""
    cluster = StandInCluster()

    async def connect() -> StandInCluster:
        return cluster

    monkeypatch.setattr(Kube, "connect", connect)
    return cluster


@pytest.fixture
def make_login_settings(
    emulator: Emulator, tmp_path: Path, make_settings: Callable[..., Settings]
) -> Callable[..., Settings]:
    """The same with a user name and a password in place of a token."""

    def make(username: str, password: str, **changes: str) -> Settings:
        for name, text in (("username", username), ("password", password)):
            (tmp_path / name).write_text(text)
        files = {f"{name}_file": str(tmp_path / name) for name in ("username", "password")}
        role = str(emulator.facts()["loginType"])
        return make_settings(token_file="", login_type=role, **files, **changes)

    return make


@pytest.fixture
def make_settings(emulator: Emulator, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for the emulator; ``changes`` are texts, by the names of fields."""
    token = tmp_path / "token"
    token.write_text(emulator.api_token)

    def make(**changes: str) -> Settings:
        given = {
            "api_url": emulator.url,
            "auth_url": emulator.url,
            "token_file": str(token),
            "rate_limit": "1000",
        }
        chosen = {**given, **changes}
        return load_settings({}, {name: text for name, text in chosen.items() if text})

    return make
