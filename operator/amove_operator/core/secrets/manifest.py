"""The Secret that a key is written to: whose it is, and what is put into it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from amove_operator.core.secrets.record import (
    ISSUED_AT,
    MANAGED,
    MANAGED_BY,
    MANAGER,
    OWNER_UID,
    RETIRING,
    ROTATE_REQUEST,
    SecretRecord,
    Written,
)
from amove_operator.core.secrets.rendering import checksum, format_digest
from amove_operator.models import AmoveStorageKey, SecretSpec
from amove_operator.models.shared import API_VERSION, GROUP, OwnerReference

OPAQUE = "Opaque"
KIND = "AmoveStorageKey"
# Annotations that not every record has: an older record's would be read as this one's.
_NOT_ALWAYS = (ISSUED_AT, ROTATE_REQUEST, RETIRING)
_OWN_LABELS = (MANAGED, MANAGED_BY)
_NEVER_COMPARED = {RETIRING, MANAGED_BY}


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """Labels, annotations and owners of a Secret as it is."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: tuple[OwnerReference, ...]
    type: str


@dataclass(frozen=True, slots=True)
class SecretOwner:
    """The CR that a Secret is written for. ``owning``: the Secret goes with the CR."""

    namespace: str
    name: str
    uid: str
    owning: bool = True

    def reference(self) -> dict[str, Any]:
        """As an entry of ``metadata.ownerReferences``."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


@dataclass(frozen=True, slots=True)
class DesiredSecret:
    """The Secret of one AmoveStorageKey as its spec asks for it, whichever key it is to hold."""

    owner: SecretOwner
    name: str
    spec: SecretSpec

    @classmethod
    def of(cls, key: AmoveStorageKey, *, trusted: bool) -> DesiredSecret:
        """What the CR asks for; under a permitted ``Retain`` the Secret does not go with it."""
        meta, retained = key.metadata, trusted and key.spec.deletion_policy == "Retain"
        owner = SecretOwner(meta.namespace, meta.name, meta.uid, owning=not retained)
        return cls(owner, key.secret_name, key.spec.secret)

    @property
    def type(self) -> str:
        """Its type, which nobody can change."""
        return self.spec.type or OPAQUE

    @property
    def format8(self) -> str:
        """Eight hexadecimal digits that change when format or template does."""
        return format_digest(self.spec)

    # -- what a Secret of that name is -----------------------------------------------------------

    def whose(self, seen: SecretMetadata) -> tuple[str | None, bool]:
        """Why a Secret is not ours (``None``: it is), and whether it will be collected by itself.

        Ours is what we wrote for the CR of this UID, what nobody else controls, and what has the
        type that the spec asks for. A name proves nothing: if ``spec.secret.name`` is that of a
        database's password, going by the name alone would overwrite it. A key that was deleted and
        made again under its name meets the former one's Secret: it belongs to another UID, and the
        garbage collector takes it away in a moment, so that one is waited for.
        """
        owner = self.owner
        others = [ref for ref in seen.owners if ref.controller and ref.uid != owner.uid]
        leftover = any(ref.kind == KIND and ref.name == owner.name for ref in others)
        written_for = seen.annotations.get(OWNER_UID)
        if written_for != owner.uid:
            if leftover:
                return "it belongs to an earlier key of this name and is being collected", True
            if written_for is not None and not seen.owners:
                return "it was kept by deletionPolicy Retain of an earlier key", False
            return "it was not written for this key", False
        if others:
            return f"{others[0].kind} {others[0].name} controls it", leftover
        if seen.type != self.type:
            return f"its type is {seen.type}, not {self.type}", False
        return None, False

    def metadata_drifted(self, seen: SecretMetadata, record: SecretRecord) -> bool:
        """Whether labels, annotations or owner are not as we would write them.

        The list of retiring keys is not compared, since it may name keys that are revoked by now;
        nor is ``managed-by``: a tool that writes its own and this operator would never come to
        rest.
        """
        patch = self._metadata_patch(seen, record, record.written)
        for part, have in (("labels", seen.labels), ("annotations", seen.annotations)):
            wanted: Mapping[str, str | None] = patch[part]
            if any(have.get(name) != wanted[name] for name in wanted.keys() - _NEVER_COMPARED):
                return True
        return self._owns(seen) != self.owner.owning

    # -- what is written -------------------------------------------------------------------------

    def recorded(self, record: SecretRecord, data: Mapping[str, str]) -> SecretRecord:
        """``record`` with the checksum and the names of what is about to be written."""
        encoded = {name: text.encode() for name, text in data.items()}
        digest = checksum(self.owner.uid, record.key_id, encoded)
        full = replace(record, checksum=digest, written=Written(tuple(sorted(data))))
        return self.of_today(full)

    def of_today(self, record: SecretRecord) -> SecretRecord:
        """``record`` with the names of labels and annotations that the spec asks for today.

        An annotation of the format that was edited away is written anew.
        """
        names = (tuple(sorted(each or {})) for each in (self.spec.labels, self.spec.annotations))
        written = Written(record.written.data, *names)
        return replace(record, format8=record.format8 or self.format8, written=written)

    def manifest(self, record: SecretRecord, data: Mapping[str, str]) -> dict[str, Any]:
        """The manifest of a Secret that does not exist yet."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": self.type,
            "metadata": {
                "name": self.name,
                "namespace": self.owner.namespace,
                **self._metadata(record),
                "ownerReferences": self._owners(),
            },
            "data": _encoded(data),
        }

    def patch(
        self,
        seen: SecretMetadata,
        record: SecretRecord,
        data: Mapping[str, str] | None,
        former: Written,
    ) -> dict[str, Any]:
        """The merge patch that makes an existing Secret of ours say ``record``.

        ``data`` of ``None`` leaves the data alone. ``former``: the names that we wrote before.
        Those that are not written any more go: without that, a Secret that changes from the format
        ``AWS`` to ``CredentialsFile`` would keep ``AWS_ACCESS_KEY_ID`` of a key that is revoked
        soon, and pods would go on with it. Everything else in the Secret stays: a label that a
        backup tool put on is none of ours.
        """
        patch: dict[str, Any] = {"metadata": self._metadata_patch(seen, record, former)}
        if data is not None:
            patch["data"] = {**dict.fromkeys(former.data), **_encoded(data)}
        return patch

    def altered(
        self, sent: Mapping[str, Any], seen: SecretMetadata, data: Mapping[str, bytes]
    ) -> list[str]:
        """The fields of ``sent`` that are not so in the Secret with which it was answered.

        ``sent``: a manifest or a patch. Fields are named, values never. What admission adds is its
        own affair; but a data key that was to go holds a former key, and may not stay.
        """
        meta, sent_data = sent["metadata"], sent.get("data") or {}
        parts: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
            ("metadata.labels", meta["labels"], seen.labels),
            ("metadata.annotations", meta["annotations"], seen.annotations),
            ("data", {name: _decoded(text) for name, text in sent_data.items()}, data),
        )
        fields = [
            f"{part}[{name}]"
            for part, wanted, have in parts
            for name, value in wanted.items()
            if have.get(name) != value and (value is not None or _must_go(part, name))
            if name != MANAGED_BY
        ]
        owners = [_reference(ref).items() for ref in seen.owners]
        kept = all(
            any(sent.items() <= found for found in owners) for sent in meta["ownerReferences"]
        )
        if not kept or self._owns(seen) != self.owner.owning:
            fields.append("metadata.ownerReferences")
        return fields + (["type"] if sent.get("type", seen.type) != seen.type else [])

    def _metadata(self, record: SecretRecord) -> dict[str, Any]:
        spec = self.spec
        return {
            "labels": {**(spec.labels or {}), MANAGED: "true", MANAGED_BY: MANAGER},
            "annotations": {**(spec.annotations or {}), **record.annotations(self.owner.uid)},
        }

    def _metadata_patch(
        self, seen: SecretMetadata, record: SecretRecord, former: Written
    ) -> dict[str, Any]:
        wanted = self._metadata(self.of_today(record))
        if MANAGED_BY in seen.labels:
            del wanted["labels"][MANAGED_BY]  # somebody else's by now, or as we wrote it
        labels = dict.fromkeys(name for name in former.labels if name not in _OWN_LABELS)
        annotations = dict.fromkeys((*former.annotations, *_NOT_ALWAYS))
        others = [_reference(ref) for ref in seen.owners if ref.uid != self.owner.uid]
        return {
            "labels": {**labels, **wanted["labels"]},
            "annotations": {**annotations, **wanted["annotations"]},
            "ownerReferences": [*others, *self._owners()],
        }

    def _owns(self, seen: SecretMetadata) -> bool:
        """Whether a Secret goes with the CR."""
        return any(ref.uid == self.owner.uid for ref in seen.owners)

    def _owners(self) -> list[dict[str, Any]]:
        return [self.owner.reference()] if self.owner.owning else []


def _reference(ref: OwnerReference) -> dict[str, Any]:
    """As an entry of ``metadata.ownerReferences``."""
    return ref.model_dump(by_alias=True, exclude_none=True)


def _must_go(part: str, name: str) -> bool:
    """Whether what is taken out may not be put back by others: data, and what only we state."""
    return part == "data" or name.startswith(f"{GROUP}/")


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _encoded(data: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
