"""Ids of the service: one key, however its id is spelt."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from amove_operator.models import CurrentKey, ServiceId, canonical_id, spelling_of
from amove_operator.models.key_status import RetiringKey
from tests.unit.core.keys.key_snapshots import FIRST, NOW, current

SMALL = "8a6f3c1e-7b8e-4d0a-b7c5-2f7f4f1f9a21"
LARGE = SMALL.upper()


def test_two_spellings_of_a_uuid_are_one_id_in_sets_too() -> None:
    assert ServiceId(LARGE) == ServiceId(SMALL) == SMALL
    assert {ServiceId(LARGE)} == {SMALL}
    assert {ServiceId(LARGE): 1}[ServiceId(SMALL)] == 1


def test_the_spelling_that_was_read_is_kept() -> None:
    assert spelling_of(ServiceId(LARGE)) == LARGE
    assert spelling_of(ServiceId(ServiceId(LARGE))) == LARGE
    assert spelling_of(copy.deepcopy(ServiceId(LARGE))) == LARGE
    assert spelling_of("key-1") == "key-1"


def test_what_is_no_uuid_stays_as_it_is() -> None:
    assert ServiceId("Key-1") != ServiceId("key-1")
    assert canonical_id("") == ""


@given(st.text())
def test_whatever_stands_for_an_id_it_raises_nothing_and_means_itself(text: str) -> None:
    assert canonical_id(canonical_id(text)) == canonical_id(text)


def test_status_compares_ids_as_uuids_and_is_written_as_it_was_spelt() -> None:
    named = {"id": LARGE, "userId": LARGE, "cloudAccountId": LARGE}
    key = CurrentKey.model_validate({**current(FIRST).to_kube(), **named})
    assert (key.id, key.user_id, key.cloud_account_id) == (SMALL, SMALL, SMALL)
    assert key.to_kube()["id"] == LARGE
    retiring = RetiringKey(id=key.id, revoke_after=NOW)
    assert (retiring.id, retiring.to_kube()["id"]) == (SMALL, LARGE)
    assert key.model_copy(update={"serial": 2}).to_kube()["id"] == LARGE
