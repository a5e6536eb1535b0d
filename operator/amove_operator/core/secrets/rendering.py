"""The Secret's data: from an issued key and its place to the bytes that pods consume."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from amove_operator.core.scope import Scope
from amove_operator.models import KeySpec, SecretSpec, spelling_of

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
MAX_BYTES = 65_536
"""The data of a Secret that a template makes. A text of placeholders grows four hundredfold."""


class TemplateFault(ValueError):
    """A template that cannot be filled in. The text says what to change, never a value."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """Where a key is used: what goes into a Secret beside the pair itself."""

    scope: Scope
    endpoint: str
    key_name: str


def render(
    secret: SecretSpec, place: RenderContext, access_key: str, secret_key: str
) -> dict[str, str]:
    """The Secret's data as text by key. Raises TemplateFault, before anything is filled in."""
    if secret.template is not None:
        values = _values(place, access_key, secret_key)
        _check(secret.template, values)
        return {key: _fill(text, values) for key, text in secret.template.items()}
    if secret.format == "CredentialsFile":
        return {"credentials": _credentials_file(place, access_key, secret_key)}
    return _aws(place, access_key, secret_key)


def template_fault(secret: SecretSpec, place: RenderContext) -> str | None:
    """What is wrong with the template, found before any key is issued, and without rendering."""
    if secret.template is None:
        return None
    try:
        _check(secret.template, _values(place, "A" * 128, "S" * 128))
    except TemplateFault as fault:
        return str(fault)
    return None


def longest_context(spec: KeySpec, wanted: Scope | None) -> RenderContext:
    """A context no shorter than the key's will be: a template is checked before an issue.

    While an AmoveBucket is not there, its own name stands for the one of its bucket.
    """
    if wanted is not None:
        return RenderContext(wanted, f"https://{wanted.storage_dn}", "k" * 63)
    refs = sorted({ref.name for ref in spec.bucket_refs or ()})
    # Numbered, so that two long names with one beginning stay two.
    stand_ins = [f"{number:02}{name}"[:63] for number, name in enumerate(refs)]
    names = stand_ins or spec.bucket_names or ()
    scope = Scope.of("a" * 36, "r" * 63, "d" * 253, spec.permission, names)
    return RenderContext(scope, "https://" + "d" * 253, "k" * 63)


def format_digest(secret: SecretSpec) -> str:
    """Eight hexadecimal digits that change when format or template does."""
    shape: object = secret.template if secret.template is not None else secret.format or "AWS"
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:8]


def checksum(owner_uid: str, key_id: str, data: Mapping[str, bytes]) -> str:
    """A digest of the data keys that we write, bound to their key and owner."""
    parts = hashlib.sha256()
    for piece in (owner_uid, spelling_of(key_id)):
        parts.update(piece.encode() + b"\0")
    for name in sorted(data):
        parts.update(name.encode() + b"\0" + hashlib.sha256(data[name]).digest())
    return parts.hexdigest()


def _aws(place: RenderContext, access_key: str, secret_key: str) -> dict[str, str]:
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


def _credentials_file(place: RenderContext, access_key: str, secret_key: str) -> str:
    return (
        "[default]\n"
        f"aws_access_key_id = {access_key}\n"
        f"aws_secret_access_key = {secret_key}\n"
        f"region = {place.scope.region}\n"
        f"endpoint_url = {place.endpoint}\n"
    )


def _values(place: RenderContext, access_key: str, secret_key: str) -> dict[str, str]:
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


def _check(template: Mapping[str, str], values: Mapping[str, str]) -> None:
    """That every placeholder has a value, and how large all becomes. Raises TemplateFault."""
    lengths = {name: len(value.encode()) for name, value in values.items()}
    size = 0
    for key, text in template.items():
        size += len(key) + len(text.encode())
        for found in _PLACEHOLDER.finditer(text):
            size += _length(key, found, lengths) - len(found[0].encode())
    if size > MAX_BYTES:
        raise TemplateFault(
            f"spec.secret.template: the Secret would hold {size} bytes, and at most {MAX_BYTES} "
            "(64 KiB) are allowed; shorten the texts, or name fewer buckets"
        )


def _length(key: str, found: re.Match[str], lengths: Mapping[str, int]) -> int:
    """The bytes that take the place of one placeholder. Raises TemplateFault for a wrong one."""
    if found["dollar"]:
        return 1
    name = found["name"]
    if name is None:
        raise TemplateFault(f"spec.secret.template[{key}]: a lone $: write $$ for a dollar sign")
    if name == "bucket" and name not in lengths:
        raise TemplateFault(
            f"spec.secret.template[{key}]: ${{bucket}} needs a key of exactly one bucket; "
            "use ${buckets}"
        )
    if name not in lengths:
        raise TemplateFault(
            f"spec.secret.template[{key}]: unknown placeholder ${{{name[:40]}}}; "
            f"known are {', '.join(PLACEHOLDERS)}"
        )
    return lengths[name]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: "$" if found["dollar"] else values[found["name"]], text)
