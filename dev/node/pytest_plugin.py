"""The fixture ``node``: one for the whole run, which `make test-node` starts inside a box."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from controlplane import ControlPlaneError

if TYPE_CHECKING:
    from node.running import Node


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A running node with the project's images. Tests that need it fail, and never skip."""
    from node.images import ensure_images  # noqa: PLC0415 (other runs need none of it)
    from node.running import Node  # noqa: PLC0415

    with _visible(request.config):
        try:
            node = Node(ensure_images(print)).__enter__()
        except ControlPlaneError as failure:
            pytest.fail(f"no node: {failure}", pytrace=False)
    yield node
    with _visible(request.config):
        node.__exit__(None, None, None)


def _visible(config: pytest.Config) -> contextlib.AbstractContextManager[Any]:
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return contextlib.nullcontext()
    visible: contextlib.AbstractContextManager[Any] = capture.global_and_fixture_disabled()
    return visible
