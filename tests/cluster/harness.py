"""What the cluster tests say things with: manifests, and waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.patience import PATIENCE, PAUSE

Manifest = dict[str, Any]
T = TypeVar("T")

GROUP = "storage.amove.io"
VERSION = f"{GROUP}/v1alpha1"
BUCKET = "AmoveBucket"
KEY = "AmoveStorageKey"


def eventually(
    ask: Callable[[], T], deadline: float = PATIENCE, *, what: str = "", pause: float = PAUSE
) -> T:
    """Ask until the answer is true, and return it. An AssertionError counts as not yet.

    Raises AssertionError after ``deadline`` seconds, with the last answer.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            answer = ask()
            told = f"the last answer was {answer!r}"
        except AssertionError as failure:
            answer, told = None, str(failure)
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what or 'that'}: {told}")
        time.sleep(pause)


def a_bucket(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """An AmoveBucket; ``spec`` in the manifest's own names: ``public=True``."""
    return _resource(BUCKET, name, spec, annotations)


def a_key(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """An AmoveStorageKey; ``permission`` is ReadWrite unless told."""
    return _resource(KEY, name, {"permission": "ReadWrite", **spec}, annotations)


def refs(*buckets: str) -> list[dict[str, str]]:
    """A ``bucketRefs``."""
    return [{"name": name} for name in buckets]


def _resource(kind: str, name: str, spec: Manifest, annotations: dict[str, str] | None) -> Manifest:
    metadata: Manifest = {"name": name}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"apiVersion": VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def condition(resource: Manifest | None, condition_type: str) -> Manifest:
    """One condition: ``{status, reason, message, observedGeneration, …}``; empty if absent."""
    found = ((resource or {}).get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == condition_type), {})


@contextmanager
def s3_with_only(variables: dict[str, str]) -> Iterator[Any]:
    """A boto3 S3 client whose whole environment is ``variables``, as with ``envFrom``."""
    with patch.dict("os.environ", variables, clear=True):
        # The session reads its environment once, here.
        client = boto3.session.Session().client("s3", config=Config(retries={"max_attempts": 0}))
    try:
        yield client
    finally:
        client.close()


def refusal(call: Callable[..., Any], **arguments: Any) -> str | None:
    """The code with which S3 refused the call; None when it was done."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None
