"""Which rights ``doctor`` asks for follows from the settings."""

from __future__ import annotations

from pathlib import Path

from amove_operator.commands.doctor.roles import needed_rights
from amove_operator.kube.diagnosis import Access
from amove_operator.settings import Settings

GROUP = "storage.amove.io"


def rights(**changes: object) -> list[Access]:
    return needed_rights(Settings.model_validate({"token_file": Path("t"), **changes}), "system")


def test_an_operator_of_the_whole_cluster_needs_its_rights_everywhere() -> None:
    found = rights()
    assert Access("create", "", "secrets") in found
    assert Access("attest", GROUP, "amovebuckets/status", name="system") in found
    assert len(found) == len(set(found))


def test_with_watched_namespaces_it_needs_them_in_each_and_little_everywhere() -> None:
    found = rights(watch_namespaces=("a", "b"))
    for namespace in ("a", "b"):
        assert Access("create", "", "secrets", namespace) in found
        assert Access("attest", GROUP, "amovestoragekeys/status", name=namespace) in found
    everywhere = {(one.verb, one.resource) for one in found if not one.namespace and not one.name}
    assert everywhere == {
        (verb, kind) for verb in ("get", "patch") for kind in ("amovebuckets", "amovestoragekeys")
    }


def test_without_leader_election_no_right_to_leases_is_needed() -> None:
    assert [one for one in rights(leader_election=False) if one.resource == "leases"] == []
    named = rights(lease_namespace="leases", lease_name="mine")
    assert Access("update", "coordination.k8s.io", "leases", "leases", "mine") in named


def test_a_right_is_named_as_people_say_it() -> None:
    assert str(Access("create", "", "secrets", "team-a")) == "create secrets in team-a"
    assert str(Access("get", "", "namespaces", name="kube-system")) == "get namespaces kube-system"
