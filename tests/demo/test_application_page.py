"""examples/app's page, used by another site in its user's browser, and by who sends nonsense."""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from demo.names import APP
from tests.patience import PATIENCE

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Store:
    """What the page asks of S3."""

    def __init__(self) -> None:
        self.names = {"beach.txt"}

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return {"Contents": [{"Key": name, "Size": 1} for name in sorted(self.names)]}

    def put_object(self, **given: Any) -> None:
        self.names.add(given["Key"])

    def delete_object(self, **given: Any) -> None:
        self.names.discard(given["Key"])


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def page(store: Store) -> Iterator[httpx.Client]:
    spec = importlib.util.spec_from_file_location("application_page", APP.with_name("app.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Page.s3, module.Page.bucket = store, "photos"
    server = ThreadingHTTPServer(("127.0.0.1", 0), module.Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_person_deletes_by_the_page_that_they_look_at(page: httpx.Client, store: Store) -> None:
    own = str(page.base_url).rstrip("/")
    for origin in ({"Origin": own}, {}):
        store.names.add("beach.txt")
        assert page.post("/delete", data={"key": "beach.txt"}, headers=origin).status_code == 303
        assert store.names == set()


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
@pytest.mark.parametrize("path", ["/delete", "/upload"])
def test_no_other_site_deletes_or_uploads_by_the_browser_of_who_looks_at_it(
    page: httpx.Client, store: Store, path: str, origin: str
) -> None:
    """A form there may be sent here, and a port-forward is reached at localhost by every site."""
    form = {"key": "beach.txt" if path == "/delete" else "evil.html"}
    assert page.post(path, data=form, headers={"Origin": origin}).status_code == 403
    assert store.names == {"beach.txt"}


@pytest.mark.parametrize("length", ["-1", "many", "65537", "1e3"])
def test_a_length_that_is_none_or_too_much_is_refused_before_anything_is_read(
    page: httpx.Client, length: str
) -> None:
    """``read(-1)`` would take in all that somebody goes on sending."""
    with socket.create_connection((page.base_url.host, page.base_url.port or 0), PATIENCE) as wire:
        wire.sendall(f"POST /upload HTTP/1.0\r\nContent-Length: {length}\r\n\r\nkey=a".encode())
        status = int(wire.makefile("rb").readline().split()[1])
    assert status == (413 if length == "65537" else 400)


def test_a_form_that_is_no_text_is_refused_or_read_and_never_a_broken_connection(
    page: httpx.Client,
) -> None:
    assert page.post("/upload", content=b"key=a\xff", headers=FORM).status_code == 400
