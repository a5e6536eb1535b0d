"""examples/app as its manifest says: a page over a bucket, used in a real browser."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml

from node.browser import Browser
from node.images import APPLICATION, ROOT
from tests.chart.waiting import until
from tests.node.release import CA_FILE, Manifest
from tests.node.team import Team

pytestmark = pytest.mark.node

APP = ROOT / "examples/app/app.yaml"
WRITER = "photos-writer"
"""The key of the quickstart, whose Secret the manifest names."""
URL = "http://localhost:8000"
NASTY = (
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><script>document.title='owned'</script>",
    '100%25 "quoted" & <b>bold</b> \'+&amp;',
)
MOST_BYTES = 100 * 1024
PNG = b"\x89PNG"


@pytest.fixture
def page(team: Team) -> Iterator[str]:
    """The application in its pod, behind the port-forward that the manifest's head tells of."""
    team.apply(team.bucket("photos"), team.key(WRITER, "photos"), *application())
    team.wait_until_ready()
    team.node.kubectl("rollout", "status", "deployment/photos", team.here, "--timeout=120s")
    line = APP.read_text().partition("kubectl port-forward")[2].partition("#")[0]
    words = line.replace("amove-demo", team.namespace).split()
    kubectl = [str(team.node.plane.bin / "kubectl"), "port-forward", *words]
    with subprocess.Popen(
        kubectl, env={**os.environ, **team.node.environ}, stdout=subprocess.PIPE, text=True
    ) as forward:
        assert forward.stdout is not None
        assert "8000" in forward.stdout.readline()
        yield URL
        forward.terminate()


def application() -> list[Manifest]:
    """What the manifest says, with the authority that signed for the emulated store."""
    manifests = list(yaml.safe_load_all(APP.read_text()))
    pod = manifests[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == APPLICATION
    container["env"] = [{"name": "AWS_CA_BUNDLE", "value": CA_FILE}]
    pod["automountServiceAccountToken"] = True
    return manifests


class Store:
    """The bucket as another client of its key sees it."""

    def __init__(self, team: Team) -> None:
        secret = team.secret(WRITER)
        self.bucket = secret["BUCKET_NAME"]
        self._s3 = boto3.client(
            "s3",
            endpoint_url=secret["AWS_ENDPOINT_URL_S3"],
            region_name=secret["AWS_REGION"],
            aws_access_key_id=secret["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
            verify=str(team.node.plane.ca_file),
        )

    def names(self) -> list[str]:
        """In S3's own order, which is that of the page."""
        listed = self._s3.list_objects_v2(Bucket=self.bucket)
        return [str(each["Key"]) for each in listed.get("Contents", [])]


def names(browser: Browser) -> list[str]:
    return browser.texts("td:first-child")


def upload(browser: Browser, name: str, text: str) -> None:
    browser.type("input[name=key]:not([type=hidden])", name)
    browser.type("input[name=text]", text)
    browser.click("form[action='/upload'] button")
    until(f"{name} is listed", lambda: name in names(browser))


def delete(browser: Browser, store: Store, name: str) -> None:
    browser.click("form[action='/delete'] button", names(browser).index(name))
    until(f"{name} is listed no more", lambda: name not in names(browser))
    assert name not in store.names()


def test_a_person_uses_the_page_in_a_browser_whatever_objects_are_called(
    team: Team, page: str, tmp_path: Path
) -> None:
    store, shown = Store(team), Path(os.environ.get("SCREENSHOT") or tmp_path / "page.png")
    with Browser() as browser:
        browser.open(page)
        assert browser.texts("h1") == [f"Bucket {store.bucket}"]
        assert names(browser) == []

        upload(browser, "2026/beach.txt", "sun and sand")
        upload(browser, "2026/mountains.txt", "snow")
        shown.write_bytes(browser.screenshot())
        delete(browser, store, "2026/beach.txt")
        assert names(browser) == ["2026/mountains.txt"]

        for name in NASTY:
            upload(browser, name, "an object may be called anything")
        assert names(browser) == store.names(), "they are read as text, letter by letter"
        assert browser.run("return [document.images.length, document.scripts.length]") == [0, 0]
        assert browser.run("return document.querySelectorAll('td b').length") == 0
        assert browser.run("return document.title") == store.bucket
        for name in NASTY:
            delete(browser, store, name)
        assert names(browser) == store.names() == ["2026/mountains.txt"]
    assert shown.read_bytes().startswith(PNG)
    assert shown.stat().st_size < MOST_BYTES
