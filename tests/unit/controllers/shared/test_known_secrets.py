"""The Secrets that the watch shows, by the key that they say to hold."""

from __future__ import annotations

import pytest

from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.core.secrets.record import KEY_ID
from amove_operator.kube.secret_watch import SecretMeta


def secret(namespace: str, key_id: str | None, version: str = "1") -> SecretMeta:
    notes = {} if key_id is None else {KEY_ID: key_id}
    return SecretMeta(namespace, "app", f"uid-{namespace}", version, notes)


def test_every_secret_that_says_to_hold_a_key_is_found() -> None:
    known = KnownSecrets()
    both = secret("a", "key"), secret("b", "key")
    for one in (*both, secret("c", "another"), secret("d", None)):
        known.put(one)
    assert known.claiming("key") == list(both)
    assert known.claiming("unheard-of") == []
    assert len(list(known)) == 4


def test_a_secret_that_changed_says_only_what_it_says_now() -> None:
    known = KnownSecrets()
    known.put(secret("a", "key"))
    known.put(secret("a", "another", "2"))
    assert known.claiming("key") == []
    assert known.claiming("another") == [secret("a", "another", "2")]


def test_a_secret_that_is_gone_says_nothing_and_leaves_nothing_behind() -> None:
    known = KnownSecrets()
    for one in (secret("a", "key"), secret("b", None)):
        known.put(one)
        known.drop((one.namespace, one.name))
    known.drop(("never", "seen"))
    assert (list(known), known.claiming("key")) == ([], [])
    assert known.__dict__ == KnownSecrets().__dict__


@pytest.mark.parametrize("scope", [None, "a"])
def test_what_a_watch_that_is_not_in_sync_showed_is_no_proof(scope: str | None) -> None:
    known = KnownSecrets()
    for one in (secret("a", "key"), secret("b", "key")):
        known.put(one)
    known.note_sync(scope, in_sync=False)
    assert known.get(("a", "app")) is None
    assert (known.get(("b", "app")) is None) is (scope is None)
    assert len(known.claiming("key")) == 2, "a hint stays one: its Secret is read before it counts"
    assert not known.all_in_sync
    known.note_sync(scope, in_sync=True)
    assert known.get(("a", "app")) == secret("a", "key")
    assert known.all_in_sync
