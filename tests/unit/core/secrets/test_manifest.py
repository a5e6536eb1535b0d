"""Whose a Secret is, and what a write makes of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.core.secrets.manifest import DesiredSecret, SecretMetadata, SecretOwner
from amove_operator.core.secrets.record import (
    CHECKSUM,
    ISSUED_AT,
    KEY_ID,
    MANAGED,
    MANAGED_BY,
    MANAGER,
    OWNER_UID,
    RETIRING,
    ROTATE_REQUEST,
    Retiring,
    SecretRecord,
    Written,
    read_record,
)
from amove_operator.models import SecretSpec
from amove_operator.models.shared import OwnerReference

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMITS = NOON, timedelta(days=7)
OWNER = SecretOwner("team", "reader", "uid-1")
US = OwnerReference.model_validate(OWNER.reference())
EARLIER = US.model_copy(update={"uid": "uid-0"})
HELM = OwnerReference(
    api_version="apps/v1", kind="Deployment", name="web", uid="u9", controller=True
)
WATCHER = HELM.model_copy(update={"controller": None})
RECORD = SecretRecord("key-1", NOON, "monday", "0123abcd", "", (Retiring("key-0", NOON),))
SPEC = SecretSpec(labels={"team": "media"}, annotations={"example.com/note": "hello"})
DESIRED = DesiredSecret(OWNER, "reader", SPEC)
PLAIN = replace(DESIRED, spec=SecretSpec())
RETAINED = replace(DESIRED, owner=replace(OWNER, owning=False))
DATA = {"a": "1", "b": "2"}


def seen(
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owners: tuple[OwnerReference, ...] = (US,),
    kind: str = "Opaque",
) -> SecretMetadata:
    """A Secret of ours, unless said otherwise."""
    return SecretMetadata(
        {MANAGED: "true"} if labels is None else labels,
        {OWNER_UID: "uid-1"} if annotations is None else annotations,
        owners,
        kind,
    )


# ---------------------------------------------------------------- whose


@pytest.mark.parametrize(
    ("secret", "why", "collected"),
    [
        pytest.param(seen(), None, False, id="ours"),
        pytest.param(seen(owners=()), None, False, id="ours under Retain"),
        pytest.param(seen(owners=(US, WATCHER)), None, False, id="ours, and others depend on it"),
        pytest.param(seen({}, {}, ()), "it was not written for this key", False, id="foreign"),
        pytest.param(seen({}), None, False, id="ours, its labels taken away"),
        pytest.param(
            seen({MANAGED_BY: "platform"}), None, False, id="ours, another says to manage it"
        ),
        pytest.param(
            seen(annotations={}), "it was not written for this key", False, id="without our UID"
        ),
        pytest.param(
            seen(annotations={OWNER_UID: "uid-0"}, owners=(WATCHER,)),
            "it was not written for this key",
            False,
            id="written for another object",
        ),
        pytest.param(
            seen(annotations={OWNER_UID: "uid-0"}, owners=(EARLIER,)),
            "it belongs to an earlier key of this name and is being collected",
            True,
            id="left by an earlier object of this name",
        ),
        pytest.param(
            seen(annotations={OWNER_UID: "uid-0"}, owners=()),
            "it was kept by deletionPolicy Retain of an earlier key",
            False,
            id="kept by Retain",
        ),
        pytest.param(
            seen(owners=(US, HELM)), "Deployment web controls it", False, id="controlled by another"
        ),
        pytest.param(
            seen(kind="kubernetes.io/tls"),
            "its type is kubernetes.io/tls, not Opaque",
            False,
            id="of another type",
        ),
    ],
)
def test_whose_a_secret_is(secret: SecretMetadata, why: str | None, collected: bool) -> None:
    assert DESIRED.whose(secret) == (why, collected)


some_labels = st.dictionaries(
    st.sampled_from([MANAGED, MANAGED_BY]), st.sampled_from(["true", MANAGER, "Helm"])
)
some_annotations = st.dictionaries(
    st.sampled_from([OWNER_UID, KEY_ID]), st.sampled_from(["uid-1", "uid-0"])
)


@given(
    some_labels,
    some_annotations,
    st.lists(st.sampled_from([US, EARLIER, HELM, WATCHER]), max_size=3),
)
def test_a_secret_is_ours_by_the_uid_in_its_annotation_where_no_other_controls_it(
    labels: dict[str, str], annotations: dict[str, str], owners: list[OwnerReference]
) -> None:
    why, _ = DESIRED.whose(SecretMetadata(labels, annotations, tuple(owners), "Opaque"))
    controlled = {EARLIER.uid, HELM.uid} & {one.uid for one in owners if one.controller}
    assert (why is None) == (annotations.get(OWNER_UID) == "uid-1" and not controlled)


# ---------------------------------------------------------------- a new one


def test_a_new_secret_carries_data_record_labels_and_owner_in_one_manifest() -> None:
    full = DESIRED.recorded(RECORD, DATA)
    manifest = DESIRED.manifest(full, DATA)
    assert (manifest["kind"], manifest["type"]) == ("Secret", "Opaque")
    metadata = manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("reader", "team")
    assert metadata["labels"] == {"team": "media", MANAGED: "true", MANAGED_BY: MANAGER}
    assert metadata["annotations"]["example.com/note"] == "hello"
    assert read_record(metadata["annotations"], *LIMITS) == full
    assert metadata["ownerReferences"] == [OWNER.reference()]
    found = {name: base64.b64decode(text) for name, text in manifest["data"].items()}
    assert found == {"a": b"1", "b": b"2"}
    assert full.matches("uid-1", found)
    assert full.written == Written(("a", "b"), ("team",), ("example.com/note",))


def test_a_secret_under_retain_has_no_owner_and_says_nothing_of_its_buckets() -> None:
    metadata = RETAINED.manifest(RECORD, DATA)["metadata"]
    assert metadata["ownerReferences"] == []
    owned = DESIRED.manifest(RECORD, DATA)["metadata"]
    assert metadata["annotations"] == owned["annotations"]


def test_a_user_cannot_overwrite_our_own_label_or_record() -> None:
    greedy = SecretSpec.model_construct(
        labels={MANAGED: "no", MANAGED_BY: "me"},
        annotations={OWNER_UID: "me", KEY_ID: "me"},
        type=None,
    )
    metadata = replace(DESIRED, spec=greedy).manifest(RECORD, DATA)["metadata"]
    assert metadata["labels"] == {MANAGED: "true", MANAGED_BY: MANAGER}
    assert metadata["annotations"][OWNER_UID] == "uid-1"
    assert metadata["annotations"][KEY_ID] == "key-1"


# ---------------------------------------------------------------- an existing one


def merged(before: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """RFC 7386 on a flat map, as the apiserver does it."""
    after = {**before, **patch}
    return {name: value for name, value in after.items() if value is not None}


def patched(secret: SecretMetadata, patch: Mapping[str, Any]) -> SecretMetadata:
    metadata = patch["metadata"]
    return SecretMetadata(
        merged(secret.labels, metadata["labels"]),
        merged(secret.annotations, metadata["annotations"]),
        tuple(OwnerReference.model_validate(one) for one in metadata["ownerReferences"]),
        secret.type,
    )


words = st.sampled_from(
    ["a", "b", "example.com/c", MANAGED, MANAGED_BY, KEY_ID, CHECKSUM, ROTATE_REQUEST]
)
own_words = st.sampled_from(["a", "b", "example.com/c"])
texts = st.sampled_from(["1", "2", ""])
specs = st.builds(
    SecretSpec,
    labels=st.one_of(st.none(), st.dictionaries(own_words, texts)),
    annotations=st.one_of(st.none(), st.dictionaries(own_words, texts)),
)
written = st.builds(
    Written,
    data=st.lists(own_words, unique=True).map(tuple),
    labels=st.lists(words, unique=True).map(tuple),
    annotations=st.lists(words, unique=True).map(tuple),
)
records = st.builds(
    SecretRecord,
    key_id=st.just("key-1"),
    issued_at=st.sampled_from([None, NOON]),
    rotate_request=st.sampled_from(["", "monday"]),
    format8=st.just("0123abcd"),
    checksum=st.just("sum"),
    retiring=st.sampled_from([(), (Retiring("key-0", NOON),)]),
    written=written,
)
desires = st.builds(
    DesiredSecret,
    owner=st.sampled_from([OWNER, RETAINED.owner]),
    name=st.just("reader"),
    spec=specs,
)
secrets = st.builds(
    SecretMetadata,
    labels=st.dictionaries(words, texts),
    annotations=st.dictionaries(
        st.one_of(words, st.sampled_from([ISSUED_AT, RETIRING, OWNER_UID])), texts
    ),
    owners=st.lists(st.sampled_from([US, WATCHER]), unique_by=lambda one: one.uid).map(tuple),
    type=st.just("Opaque"),
)


@given(secrets, desires, records, written)
def test_a_secret_that_we_patched_is_tidy(
    secret: SecretMetadata,
    desired: DesiredSecret,
    record: SecretRecord,
    former: Written,
) -> None:
    full = desired.recorded(record, DATA)
    after = patched(secret, desired.patch(secret, full, DATA, former))
    assert not desired.metadata_drifted(after, full)
    assert read_record(after.annotations, *LIMITS) == full


@given(secrets, desires, records)
def test_tidying_alone_is_enough_and_leaves_the_data(
    secret: SecretMetadata, desired: DesiredSecret, record: SecretRecord
) -> None:
    patch = desired.patch(secret, record, None, record.written)
    assert "data" not in patch
    after = patched(secret, patch)
    told = read_record(after.annotations, *LIMITS)
    assert not desired.metadata_drifted(after, told)
    again = desired.patch(after, told, None, told.written)
    assert patched(after, again) == after


@given(secrets, desires, records, written)
def test_labels_annotations_and_owners_of_others_stay(
    secret: SecretMetadata,
    desired: DesiredSecret,
    record: SecretRecord,
    former: Written,
) -> None:
    mine = {"theirs/label": "kept"}
    full = SecretMetadata(
        {**secret.labels, **mine},
        {**secret.annotations, **mine},
        (*secret.owners, HELM),
        secret.type,
    )
    after = patched(full, desired.patch(full, record, DATA, former))
    assert after.labels["theirs/label"] == after.annotations["theirs/label"] == "kept"
    assert HELM in after.owners
    assert (WATCHER in after.owners) == (WATCHER in secret.owners)
    assert (US in after.owners) == desired.owner.owning


FULL = DESIRED.recorded(RECORD, DATA)
TIDY = seen(
    {MANAGED: "true", MANAGED_BY: MANAGER, "team": "media"},
    {**FULL.annotations("uid-1"), "example.com/note": "hello"},
)


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"labels": {**TIDY.labels, "team": "other"}}, id="a label changed"),
        pytest.param({"labels": {MANAGED: "true"}}, id="a label gone"),
        pytest.param({"labels": {"team": "media"}}, id="our label gone"),
        pytest.param({"labels": {**TIDY.labels, MANAGED: "false"}}, id="our label changed"),
        pytest.param({"annotations": FULL.annotations("uid-1")}, id="an annotation gone"),
        pytest.param({"annotations": {**TIDY.annotations, KEY_ID: "x"}}, id="the record edited"),
        pytest.param({"owners": ()}, id="the owner gone"),
        pytest.param({"owners": (WATCHER,)}, id="the owner replaced"),
    ],
)
def test_an_edit_of_ours_is_untidy(edited: dict[str, Any]) -> None:
    assert not DESIRED.metadata_drifted(TIDY, FULL)
    assert DESIRED.metadata_drifted(replace(TIDY, **edited), FULL)


@pytest.mark.parametrize("says", [{}, {MANAGED_BY: "platform"}])
def test_who_else_says_to_manage_a_secret_is_never_compared(says: dict[str, str]) -> None:
    """A policy that sets that label on every Secret must cost no key, and no write for ever."""
    theirs = replace(TIDY, labels={MANAGED: "true", "team": "media", **says})
    assert DESIRED.whose(theirs) == (None, False)
    assert not DESIRED.metadata_drifted(theirs, FULL)


def test_an_owner_reference_under_retain_is_untidy() -> None:
    assert RETAINED.metadata_drifted(TIDY, FULL)
    assert not RETAINED.metadata_drifted(replace(TIDY, owners=()), FULL)


def test_what_the_spec_no_longer_asks_for_is_taken_out_again() -> None:
    full = DESIRED.recorded(RECORD, DATA)
    before = seen(
        {MANAGED: "true", "team": "media"},
        {**full.annotations("uid-1"), "example.com/note": "hello"},
    )
    assert PLAIN.metadata_drifted(before, full)
    patch = PLAIN.patch(before, full, {"a": "1"}, full.written)
    after = patched(before, patch)
    assert "team" not in after.labels
    assert "example.com/note" not in after.annotations
    assert patch["data"] == {"a": base64.b64encode(b"1").decode(), "b": None}


def test_a_rotate_request_of_an_earlier_key_is_not_left_for_the_next() -> None:
    """Or the same request, made again later, would be taken for served."""
    before = seen(annotations={OWNER_UID: "uid-1", ROTATE_REQUEST: "monday"})
    record = replace(RECORD, rotate_request="")
    after = patched(before, DESIRED.patch(before, record, DATA, Written()))
    assert read_record(after.annotations, *LIMITS).rotate_request == ""


def test_a_list_of_retiring_keys_that_are_revoked_by_now_is_not_untidy() -> None:
    full = PLAIN.recorded(RECORD, DATA)
    before = seen(annotations=full.annotations("uid-1"))
    assert not PLAIN.metadata_drifted(before, replace(full, retiring=()))


# ---------------------------------------------------------------- what admission makes of a write


def answered(sent: dict[str, Any], **changes: Any) -> tuple[SecretMetadata, dict[str, bytes]]:
    """The Secret that the API server answers with; ``changes`` by part, None takes a name out."""
    meta = sent["metadata"]
    parts = {"labels": meta["labels"], "annotations": meta["annotations"], "data": sent["data"]}
    merged = {
        part: {
            name: text
            for name, text in {**had, **changes.get(part, {})}.items()
            if text is not None
        }
        for part, had in parts.items()
    }
    owners = changes.get("owners", meta["ownerReferences"])
    metadata = SecretMetadata(
        merged["labels"],
        merged["annotations"],
        tuple(OwnerReference.model_validate(owner) for owner in owners),
        changes.get("type", sent.get("type", "Opaque")),
    )
    return metadata, {name: base64.b64decode(text) for name, text in merged["data"].items()}


CREATED = DESIRED.manifest(DESIRED.recorded(RECORD, DATA), DATA)
FORMER = Written(("a", "old"), ("tier",), ("example.com/was",))
PATCHED = DESIRED.patch(seen(owners=(US, HELM)), DESIRED.recorded(RECORD, DATA), DATA, FORMER)
BLOCKING = {**OWNER.reference(), "blockOwnerDeletion": True}
ELSE = base64.b64encode(b"else").decode()


@pytest.mark.parametrize("sent", [CREATED, PATCHED], ids=["created", "patched"])
@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"labels": {"team": "ops"}}, ["metadata.labels[team]"]),
        ({"labels": {"team": None}}, ["metadata.labels[team]"]),
        ({"labels": {MANAGED: None}}, [f"metadata.labels[{MANAGED}]"]),
        ({"labels": {MANAGED_BY: "platform"}}, []),
        ({"labels": {MANAGED_BY: None}}, []),
        ({"labels": {"added": "yes", "tier": "gold"}}, []),
        ({"annotations": {"example.com/note": "bye"}}, ["metadata.annotations[example.com/note]"]),
        ({"annotations": {OWNER_UID: None}}, [f"metadata.annotations[{OWNER_UID}]"]),
        ({"annotations": {RETIRING: "{}"}}, [f"metadata.annotations[{RETIRING}]"]),
        ({"annotations": {"added": "yes", "example.com/was": "that"}}, []),
        ({"data": {"a": ELSE}}, ["data[a]"]),
        ({"data": {"b": None}}, ["data[b]"]),
        ({"data": {"added": ELSE}}, []),
        ({"owners": []}, ["metadata.ownerReferences"]),
        ({"owners": [{**OWNER.reference(), "name": "other"}]}, ["metadata.ownerReferences"]),
    ],
    ids=str,
)
def test_what_of_a_write_is_otherwise_in_its_answer_is_named_and_additions_are_fine(
    sent: dict[str, Any], changes: dict[str, Any], fields: list[str]
) -> None:
    if "owners" not in changes:
        changes = {**changes, "owners": [BLOCKING, *sent["metadata"]["ownerReferences"][:-1]]}
    assert DESIRED.altered(sent, *answered(sent, **changes)) == fields


def test_another_type_is_named() -> None:
    assert DESIRED.altered(CREATED, *answered(CREATED, type="example.org/x")) == ["type"]


def test_a_former_data_key_and_a_former_record_that_are_put_back_are_named() -> None:
    """A pod would go on with the former key; a label that admission sets again does no harm."""
    sent = DESIRED.patch(seen(), replace(RECORD, retiring=()), DATA, FORMER)
    assert sent["metadata"]["annotations"][RETIRING] is None
    back = {"data": {"old": ELSE}, "annotations": {RETIRING: "{}"}, "labels": {"tier": "gold"}}
    fields = [f"metadata.annotations[{RETIRING}]", "data[old]"]
    assert DESIRED.altered(sent, *answered(sent, **back)) == fields


def test_an_owner_that_is_taken_off_and_put_back_is_named() -> None:
    sent = RETAINED.patch(seen(), RECORD, DATA, Written())
    assert RETAINED.altered(sent, *answered(sent)) == []
    back = answered(sent, owners=[OWNER.reference()])
    assert RETAINED.altered(sent, *back) == ["metadata.ownerReferences"]


def test_what_others_wrote_of_their_own_ownership_is_left_to_them() -> None:
    theirs = HELM.model_copy(update={"block_owner_deletion": True})
    patch = DESIRED.patch(seen(owners=(US, theirs)), RECORD, None, Written())
    assert patch["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is True
