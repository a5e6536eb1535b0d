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
from urllib.parse import parse_qs

import boto3

BUCKET = os.environ["BUCKET_NAME"]
MOST_BYTES = 64 * 1024
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{bucket}</title>
<style>
body {{ font: 16px sans-serif; margin: 3em auto; max-width: 40em; color: #223; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; padding: .4em; border-bottom: 1px solid #ccd; }}
input, button {{ font: inherit; padding: .3em .6em; }}
</style>
<h1>Bucket {bucket}</h1>
<table><tr><th>Object</th><th>Bytes</th><th></th></tr>{rows}</table>
<h2>Upload</h2>
<form method="post" action="/upload">
<input name="key" placeholder="name" required> <input name="text" placeholder="content">
<button>Upload</button></form></html>
"""
ROW = """<tr><td>{key}</td><td>{size}</td><td><form method="post" action="/delete">
<input type="hidden" name="key" value="{key}"><button>Delete</button></form></td></tr>"""


class Page(BaseHTTPRequestHandler):
    """``GET /`` lists; ``POST /upload`` and ``POST /delete`` do what they say and show the list."""

    s3: Any = None

    def do_GET(self) -> None:
        if self.path != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        rows = "".join(
            ROW.format(key=html.escape(each["Key"], quote=True), size=each["Size"])
            for each in listed
        )
        body = PAGE.format(bucket=html.escape(BUCKET), rows=rows).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > MOST_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        form = parse_qs(self.rfile.read(length).decode())
        key = form.get("key", [""])[0]
        if not key:
            self.send_error(HTTPStatus.BAD_REQUEST, "key is empty")
        elif self.path == "/upload":
            text = form.get("text", [""])[0]
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
            self._back()
        elif self.path == "/delete":
            self.s3.delete_object(Bucket=BUCKET, Key=key)
            self._back()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _back(self) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        self.end_headers()


def main() -> None:
    Page.s3 = boto3.client("s3")
    ThreadingHTTPServer(("0.0.0.0", 8000), Page).serve_forever()  # noqa: S104 - in a pod


if __name__ == "__main__":
    main()
