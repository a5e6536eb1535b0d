"""The Secret's data: from an issued key and its place to the bytes that pods consume."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from amove_operator.core.scope import Scope
from amove_operator.models.key import SecretSpec

_PLACEHOLDER = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[^{}]*)\}|(?P<stray>))")
PLACEHOLDERS = (
    "accessKey",
    "secretKey",
    "endpoint",
    "storageDn",
    "region",
    "bucket",
    "buckets",
    "keyName",
)
MAX_BYTES = 1_000_000
"""Kubernetes refuses a Secret over 1 MiB in all; the rest is left to metadata."""


class TemplateFault(ValueError):
    """A template that cannot be filled in. The text says what to change, never a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is used: what goes into a Secret beside the pair itself."""

    scope: Scope
    endpoint: str
    key_name: str


def render(secret: SecretSpec, place: Place, access_key: str, secret_key: str) -> dict[str, str]:
    """The Secret's data as text by key. Raises TemplateFault."""
    if secret.template is not None:
        values = _values(place, access_key, secret_key)
        rendered = {key: _fill(key, text, values) for key, text in secret.template.items()}
    elif secret.format == "CredentialsFile":
        rendered = {"credentials": _credentials_file(place, access_key, secret_key)}
    else:
        rendered = _aws(place, access_key, secret_key)
    if sum(len(key) + len(text.encode()) for key, text in rendered.items()) > MAX_BYTES:
        raise TemplateFault("spec.secret.template: the Secret would be over 1 MB; shorten it")
    return rendered


def template_fault(secret: SecretSpec, place: Place) -> str | None:
    """What is wrong with the template, found before any key is issued."""
    try:
        render(secret, place, "A" * 128, "S" * 128)
    except TemplateFault as fault:
        return str(fault)
    return None


def format_digest(secret: SecretSpec) -> str:
    """Eight hexadecimal digits that change when format or template does."""
    shape: object = secret.template if secret.template is not None else secret.format or "AWS"
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]


def checksum(owner_uid: str, key_id: str, data: Mapping[str, bytes]) -> str:
    """A digest of the data keys that we write, bound to their key and owner."""
    parts = hashlib.sha256()
    for piece in (owner_uid, key_id):
        parts.update(piece.encode() + b"\0")
    for name in sorted(data):
        parts.update(name.encode() + b"\0" + hashlib.sha256(data[name]).digest())
    return parts.hexdigest()


def _aws(place: Place, access_key: str, secret_key: str) -> dict[str, str]:
    scope = place.scope
    rendered = {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_ENDPOINT_URL_S3": place.endpoint,
        "AWS_REGION": scope.region,
        "AWS_DEFAULT_REGION": scope.region,
    }
    if len(scope.buckets) == 1:
        rendered["BUCKET_NAME"] = scope.buckets[0]
    elif scope.buckets:
        rendered["BUCKET_NAMES"] = ",".join(scope.buckets)
    return rendered


def _credentials_file(place: Place, access_key: str, secret_key: str) -> str:
    return (
        "[default]\n"
        f"aws_access_key_id = {access_key}\n"
        f"aws_secret_access_key = {secret_key}\n"
        f"region = {place.scope.region}\n"
        f"endpoint_url = {place.endpoint}\n"
    )


def _values(place: Place, access_key: str, secret_key: str) -> dict[str, str]:
    scope = place.scope
    values = {
        "accessKey": access_key,
        "secretKey": secret_key,
        "endpoint": place.endpoint,
        "storageDn": scope.storage_dn,
        "region": scope.region,
        "buckets": ",".join(scope.buckets),
        "keyName": place.key_name,
    }
    if len(scope.buckets) == 1:
        values["bucket"] = scope.buckets[0]
    return values


def _fill(key: str, text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = found["name"]
        if name is None:
            raise TemplateFault(
                f"spec.secret.template[{key}]: a lone $: write $$ for a dollar sign"
            )
        if name == "bucket" and name not in values:
            raise TemplateFault(
                f"spec.secret.template[{key}]: ${{bucket}} needs a key of exactly one bucket; "
                "use ${buckets}"
            )
        if name not in values:
            raise TemplateFault(
                f"spec.secret.template[{key}]: unknown placeholder ${{{name[:40]}}}; "
                f"known are {', '.join(PLACEHOLDERS)}"
            )
        return values[name]

    return _PLACEHOLDER.sub(value, text)
