"""Too many keys gone at once, or another user's token, replaces, revokes and releases nothing."""

from __future__ import annotations

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key, live_ids, live_of, mints, revoked

NAMES = [f"app-{number}" for number in range(6)]


def issued(cluster: Cluster) -> dict[str, str]:
    """Six keys, by the names of their CRs."""
    cluster.apply(a_bucket("photos"), *(a_key(n, bucketRefs=refs("photos")) for n in NAMES))
    return {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in NAMES}


def old_enough_to_be_missed(emulator: Emulator) -> None:
    """Until the settle time has passed since its issue, a key that is not listed is not missed."""
    emulator.control.wait_for_calls(
        "get_storage_key", emulator.control.count("get_storage_key") + 4
    )


def test_a_mass_loss_of_keys_replaces_none_until_it_is_accepted_and_new_crs_go_on(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    operator = run_operator(resync_interval="2s")
    lost = issued(cluster)
    data = {name: cluster.found("Secret", name)["data"] for name in NAMES}
    old_enough_to_be_missed(emulator)
    # No listing may fall in between: one that is missing would be replaced.
    emulator.control.fault("get_storage_key", hold="before", times=None)
    for key_id in list(lost.values())[:4]:
        emulator.control.revoke_key(key_id)
    emulator.control.clear_faults()

    for name in NAMES[:4]:
        seen = cluster.until(KEY, name, "Synced", "MassKeyLoss", status="False")
        assert "accept-loss" in condition(seen, "Synced")["message"]
    eventually(lambda: operator.metric("mass_loss", kind="AmoveStorageKey") == 1)
    cluster.apply(a_key("new", bucketRefs=refs("photos")))
    cluster.ready(KEY, "new")
    cluster.delete(KEY, NAMES[1])
    cluster.until(KEY, NAMES[1], "Synced", "MassKeyLoss", status="False")
    key_lists = emulator.control.count("get_storage_key")
    emulator.control.wait_for_calls("get_storage_key", key_lists + 2)
    assert mints(emulator) == 7
    assert not set(revoked(emulator)) & set(list(lost.values())[4:])
    assert cluster.get(KEY, NAMES[1]) is not None
    assert {name: cluster.found("Secret", name)["data"] for name in NAMES} == data

    cluster.annotate(KEY, NAMES[0], accept_loss="1")
    cluster.annotate(KEY, NAMES[1], accept_loss="1")

    key = another_key(cluster, KEY, NAMES[0], lost[NAMES[0]])
    assert live_of(emulator, key) == [key["status"]["key"]["id"]]
    cluster.gone(KEY, NAMES[1])
    # Two of six are missing now: no mass any more.
    for name in NAMES[2:4]:
        another_key(cluster, KEY, name, lost[name])
    assert mints(emulator) == 10


def test_keys_that_are_back_end_a_mass_loss_without_a_new_one(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="2s")
    issued(cluster)
    old_enough_to_be_missed(emulator)
    # A token of another user sees none of them.
    stranger = emulator.control.add_user(email="stranger@example.com")
    mine = next(u["id"] for u in emulator.control.state()["users"] if u["id"] != stranger)
    emulator.control.set_token(emulator.api_token, stranger)
    for name in NAMES:
        cluster.until(KEY, name, "Synced", "MassKeyLoss", status="False")

    emulator.control.set_token(emulator.api_token, mine)

    for name in NAMES:
        cluster.until(KEY, name, "Synced")
    assert mints(emulator) == len(NAMES)
    assert revoked(emulator) == []


def test_another_users_token_stops_replacing_until_the_former_is_back_or_it_is_accepted(
    cluster: Cluster, emulator: Emulator, run_operator: RunOperator
) -> None:
    run_operator(resync_interval="2s")
    names = NAMES[:3]
    cluster.apply(a_bucket("photos"), *(a_key(name, bucketRefs=refs("photos")) for name in names))
    first = {name: cluster.ready(KEY, name)["status"]["key"]["id"] for name in names}
    stranger = emulator.control.add_user(email="stranger@example.com")
    mine = next(u["id"] for u in emulator.control.state()["users"] if u["id"] != stranger)
    emulator.control.set_token(emulator.api_token, stranger)

    for name in names:
        cluster.annotate(KEY, name, rotate_requested_at="now")

    for name in names:
        cluster.until(KEY, name, "Synced", "ApiUserChanged", status="False")
    assert live_ids(emulator) == set(first.values()), "what the other user was issued is revoked"
    made = mints(emulator)
    key_lists = emulator.control.count("get_storage_key")
    emulator.control.wait_for_calls("get_storage_key", key_lists + 2)
    assert mints(emulator) == made

    cluster.annotate(KEY, names[0], accept_loss="1")
    accepted = another_key(cluster, KEY, names[0], first[names[0]])
    assert accepted["status"]["key"]["userId"] == stranger

    emulator.control.set_token(emulator.api_token, mine)
    for name in names[1:]:
        key = another_key(cluster, KEY, name, first[name])
        assert key["status"]["key"]["userId"] == mine
