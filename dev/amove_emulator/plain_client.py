"""The API's calls, one method each, with nothing around them: for tests and for trying by hand.

It gives the bare HTTP answer, raises for no status, and retries nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from amove_emulator.settings import CLOUD_ACCOUNT_ID


class PlainClient:
    def __init__(self, url: str, token: str | None, *, timeout: float = 10.0) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=timeout)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _storage(self, method: str, action: str, **request: Any) -> httpx.Response:
        return self.http.request(method, f"/api/v1/storage/{action}", **request)

    def get_storage_key(self, **query: Any) -> httpx.Response:
        return self._storage("GET", "get_storage_key", params=query)

    def create_storage_key(self, name: str = "a-key", /, **changes: Any) -> httpx.Response:
        """A read-write key for the bucket "one-bucket"; a change to None leaves a member out."""
        body = {
            "name": name,
            "region": "us-east-1",
            "storageDn": "127.0.0.1",
            "permission": 2,
            "allBuckets": False,
            "selectedBuckets": ["one-bucket"],
            "cloudAccountId": CLOUD_ACCOUNT_ID,
        }
        return self._storage("POST", "create_storage_key", json=_changed(body, changes))

    def delete_storage_key(self, key_id: str) -> httpx.Response:
        return self._storage("DELETE", "delete_storage_key", params={"id": key_id})

    def create_bucket(self, name: str = "one-bucket", /, **changes: Any) -> httpx.Response:
        return self._storage("POST", "create_bucket", json=_bucket(name, changes))

    def bucket_status(self, name: str = "one-bucket", /, **changes: Any) -> httpx.Response:
        return self._storage("POST", "bucket_status", json=_bucket(name, changes))

    def update_bucket(self, name: str = "one-bucket", /, **changes: Any) -> httpx.Response:
        return self._storage("PUT", "update_bucket", json=_bucket(name, changes))

    def delete_bucket(self, name: str = "one-bucket", /, **changes: Any) -> httpx.Response:
        return self._storage("DELETE", "delete_bucket", params=_bucket(name, changes))

    def get_all(self) -> httpx.Response:
        return self.http.get("/api/v1/cloudaccount/get_all")

    def list_buckets(self, **changes: Any) -> httpx.Response:
        body = {"cloudAccountId": CLOUD_ACCOUNT_ID, "includeRegion": True}
        return self.http.post("/api/v1/cloudaccount/list_buckets", json=_changed(body, changes))

    def request_token(self) -> httpx.Response:
        return self.http.post("/api/authentication/request_token")

    def login(self, **body: Any) -> httpx.Response:
        """``requestToken``, ``username``, ``password``, ``type``."""
        return self.http.post("/api/authentication/login", json=body)


def _bucket(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    return _changed({"cloudAccountId": CLOUD_ACCOUNT_ID, "bucketName": name}, changes)


def _changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (body | changes).items() if value is not None}
