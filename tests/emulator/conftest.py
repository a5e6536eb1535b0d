"""Fixtures of the emulator's own tests: a bare API client and real S3 clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.config import Config

from amove_emulator import Emulator, EmulatorControl
from amove_emulator.plain_client import PlainClient

S3Factory = Callable[..., Any]


@pytest.fixture
def control(emulator: Emulator) -> EmulatorControl:
    return emulator.control


@pytest.fixture
def api(emulator: Emulator) -> Iterator[PlainClient]:
    with PlainClient(emulator.url, emulator.api_token) as client:
        yield client


@pytest.fixture
def as_user(emulator: Emulator) -> Iterator[Callable[[str | None], PlainClient]]:
    """A client with another token, or with none."""
    with ExitStack() as stack:
        yield lambda token: stack.enter_context(PlainClient(emulator.url, token))


@pytest.fixture
def s3(emulator: Emulator) -> Iterator[S3Factory]:
    """A boto3 client with the keys of a create_storage_key answer (and maybe a wrong secret)."""
    with ExitStack() as stack:

        def connect(key: dict[str, Any], secret: str | None = None) -> Any:
            client = boto3.client(
                "s3",
                endpoint_url=emulator.s3_url,
                aws_access_key_id=key["accessKey"],
                aws_secret_access_key=secret or key["secretKey"],
                region_name="us-east-1",
                # No retries, and no proxy of the developer's in between.
                config=Config(retries={"max_attempts": 0}, proxies={}),
            )
            stack.callback(client.close)
            return client

        yield connect
