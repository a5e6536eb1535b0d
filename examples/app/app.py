"""A web page that lists, uploads and deletes the objects of one bucket.

It knows nothing of Amove: boto3 reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3
and AWS_REGION from the environment, where `envFrom` puts the Secret's values; BUCKET_NAME is ours.
"""

from __future__ import annotations

import html
import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

PORT = 8000
MOST_BYTES = 64 * 1024
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # Nothing of this page runs scripts or loads anything, whatever an object is called.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{bucket}</title>
<style>
body {{ font: 16px sans-serif; margin: 3em auto; max-width: 40em; color: #223; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; padding: .4em; border-bottom: 1px solid #ccd; }}
td {{ overflow-wrap: anywhere; }}
input, button {{ font: inherit; padding: .3em .6em; }}
</style>
<h1>Bucket {bucket}</h1>
<table><tr><th>Object</th><th>Bytes</th><th></th></tr>{rows}</table>
<p>{note}</p>
<h2>Upload</h2>
<form method="post" action="/upload">
<input name="key" placeholder="name" required> <input name="text" placeholder="content">
<button>Upload</button></form></html>
"""
# A browser changes the line ends in a form's values, and a name may have some: hence its quoting.
ROW = """<tr><td>{name}</td><td>{size}</td><td><form method="post" action="/delete">
<input type="hidden" name="key" value="{key}"><button>Delete</button></form></td></tr>"""


def page(bucket: str, listing: dict[str, Any]) -> str:
    """HTML that shows ``listing``, S3's answer to ListObjectsV2. Names in it may be anything."""
    found = listing.get("Contents", [])
    rows = (
        ROW.format(
            name=html.escape(each["Key"]), size=each["Size"], key=quote(each["Key"], safe="")
        )
        for each in found
    )
    note = f"The first {len(found)}." if listing.get("IsTruncated") else ""
    return PAGE.format(bucket=html.escape(bucket), rows="".join(rows), note=note)


class Page(BaseHTTPRequestHandler):
    """``GET /`` lists; ``POST /upload`` and ``POST /delete`` do what they say and show the list."""

    s3: Any = None
    bucket = ""
    timeout = 30  # seconds in which a browser must go on with what it sends

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(self._list)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_of_this_page():
            self.send_error(HTTPStatus.FORBIDDEN, "the form is another site's")
            return
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) > MOST_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        sent = self.rfile.read(int(length)) if length.isdecimal() else b""
        form = parse_qs(sent.decode()) if sent.isascii() else {}
        key, text = (form.get(name, [""])[0] for name in ("key", "text"))
        if not key:
            self.send_error(HTTPStatus.BAD_REQUEST, "key is empty")
        elif self.path == "/upload":
            self._answer(lambda: self._upload(key, text))
        elif self.path == "/delete":
            self._answer(lambda: self._delete(unquote(key)))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _is_of_this_page(self) -> bool:
        """A browser says whose form it sends: any site may have one that is sent here."""
        origin = self.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == self.headers.get("Host")

    def _answer(self, act: Any) -> None:
        try:
            act()
        except (BotoCoreError, ClientError) as failure:
            self.log_error("%s", failure)
            self.send_error(HTTPStatus.BAD_GATEWAY, "the store refused", str(failure))

    def _list(self) -> None:
        body = page(self.bucket, self.s3.list_objects_v2(Bucket=self.bucket)).encode()
        self.send_response(HTTPStatus.OK)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _upload(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())
        self._back()

    def _delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)
        self._back()

    def _back(self) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    Page.s3 = boto3.client("s3")
    Page.bucket = os.environ["BUCKET_NAME"]
    ThreadingHTTPServer(("0.0.0.0", PORT), Page).serve_forever()  # noqa: S104 - in a pod


if __name__ == "__main__":
    main()
