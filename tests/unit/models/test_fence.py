"""What counts as a fence, and when it counts: the table an operator judges the cluster by."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from amove_operator.errors import KubeRefused, KubeUnavailable
from amove_operator.kube import FenceWatch
from amove_operator.kube.fence_watch import AGAIN_SECONDS, EVERY_SECONDS, NEW_SECONDS, Found
from amove_operator.models.crds import crds_yaml
from amove_operator.models.fence import (
    AWAY,
    FENCE,
    FENCE_VERSION,
    VERSION_ANNOTATION,
    fence,
    was_away,
    weakness,
)

Edit = Callable[[Any, Any], None]


def stored(uid: str = "1", created: str = "2026-01-31T12:00:00Z") -> tuple[Any, Any]:
    """Policy and binding as the API server gives them back: with its defaults and notes."""
    policy, binding = copy.deepcopy(fence())
    constraints = policy["spec"]["matchConstraints"]
    constraints |= {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    constraints["resourceRules"][0]["scope"] = "*"
    for each in (policy, binding):
        each["metadata"] |= {"uid": f"{each['kind']}-{uid}", "creationTimestamp": created}
    return policy, binding


def rule(policy: Any) -> Any:
    return policy["spec"]["matchConstraints"]["resourceRules"][0]


def without(listed: list[str], value: str) -> None:
    listed.remove(value)


WEAKER: dict[str, tuple[Edit, str]] = {
    "an older version": (
        lambda p, _: p["metadata"]["annotations"].update({VERSION_ANNOTATION: "0"}),
        "fence-version is 0",
    ),
    "no version": (lambda p, _: p["metadata"].pop("annotations"), "fence-version is 0"),
    "a version that is no number": (
        lambda p, _: p["metadata"]["annotations"].update({VERSION_ANNOTATION: "new"}),
        "fence-version is 0",
    ),
    "a failure lets pass": (
        lambda p, _: p["spec"].update(failurePolicy="Ignore"),
        "failurePolicy is Ignore",
    ),
    "conditions on requests": (
        lambda p, _: p["spec"].update(matchConditions=[{"name": "a", "expression": "false"}]),
        "matchConditions",
    ),
    "parameters": (lambda p, _: p["spec"].update(paramKind={"kind": "ConfigMap"}), "paramKind"),
    "namespaces left out": (
        lambda p, _: p["spec"]["matchConstraints"].update(
            namespaceSelector={"matchLabels": {"a": "b"}}
        ),
        "namespaceSelector leaves requests out",
    ),
    "objects left out": (
        lambda p, _: p["spec"]["matchConstraints"].update(
            objectSelector={"matchExpressions": [{"key": "a", "operator": "Exists"}]}
        ),
        "objectSelector leaves requests out",
    ),
    "rules of exception": (
        lambda p, _: p["spec"]["matchConstraints"].update(excludeResourceRules=[{}]),
        "excludeResourceRules leaves requests out",
    ),
    "a kind left out": (
        lambda p, _: without(rule(p)["resources"], "amovestoragekeys/status"),
        "does not match CREATE of amovestoragekeys/status",
    ),
    "all resources, which are no subresources": (
        lambda p, _: rule(p).update(resources=["*"]),
        "does not match CREATE of amovebuckets/status",
    ),
    "an operation left out": (
        lambda p, _: without(rule(p)["operations"], "UPDATE"),
        "does not match UPDATE of amovebuckets",
    ),
    "certain names only": (
        lambda p, _: rule(p).update(resourceNames=["photos"]),
        "does not match",
    ),
    "what has no namespace": (lambda p, _: rule(p).update(scope="Cluster"), "does not match"),
    "another group": (lambda p, _: rule(p).update(apiGroups=["apps"]), "does not match"),
    "another version": (lambda p, _: rule(p).update(apiVersions=["v1"]), "does not match"),
    "no rule": (lambda p, _: p["spec"]["matchConstraints"].pop("resourceRules"), "does not match"),
    "a validation that admits": (
        lambda p, _: p["spec"]["validations"][0].update(expression="true"),
        "validations are not",
    ),
    "a validation left out": (lambda p, _: p["spec"]["validations"].pop(), "validations are not"),
    "a variable that admits": (
        lambda p, _: p["spec"]["variables"][0].update(expression="true"),
        "variable attests is not",
    ),
    "a binding of another policy": (
        lambda _, b: b["spec"].update(policyName="other"),
        "binding is of policy other",
    ),
    "a binding that only warns": (
        lambda _, b: b["spec"].update(validationActions=["Warn", "Audit"]),
        "does not deny",
    ),
    "a binding with parameters": (
        lambda _, b: b["spec"].update(paramRef={"name": "a"}),
        "paramRef",
    ),
    "a binding of some namespaces": (
        lambda _, b: b["spec"].update(
            matchResources={"namespaceSelector": {"matchLabels": {"a": "b"}}}
        ),
        "matchResources.namespaceSelector leaves requests out",
    ),
    "a binding of some objects": (
        lambda _, b: b["spec"].update(matchResources={"objectSelector": {"matchLabels": {}}}),
        "matchResources.objectSelector leaves requests out",
    ),
    "a binding of some kinds": (
        lambda _, b: b["spec"].update(matchResources={"resourceRules": [{}]}),
        "matchResources.resourceRules leaves requests out",
    ),
}


@pytest.mark.parametrize(("edit", "told"), WEAKER.values(), ids=list(WEAKER))
def test_a_fence_that_was_weakened_is_told_by_its_weakness(edit: Edit, told: str) -> None:
    policy, binding = stored()
    edit(policy, binding)
    assert told in (weakness(policy, binding) or "")


STRONGER: dict[str, Edit] = {
    "as the API server stores it": lambda _p, _b: None,
    "a later version, whatever it refuses": lambda p, _: (
        p["metadata"]["annotations"].update({VERSION_ANNOTATION: str(FENCE_VERSION + 1)}),
        p["spec"].update(validations=[{"expression": "false"}], variables=[]),
    )[0],
    "a further validation": lambda p, _: p["spec"]["validations"].append({"expression": "false"}),
    "a further variable": lambda p, _: p["spec"]["variables"].append(
        {"name": "mine", "expression": "1"}
    ),
    "every operation on everything": lambda p, _: rule(p).update(
        apiGroups=["*"], operations=["*"], resources=["*/*"]
    ),
    "other words": lambda p, _: p["spec"]["validations"][0].update(message="no"),
    "a binding that also audits": lambda _, b: b["spec"].update(
        validationActions=["Deny", "Audit"]
    ),
    "a binding that spells out that it takes all": lambda _, b: b["spec"].update(
        matchResources={"namespaceSelector": {}, "objectSelector": {}, "matchPolicy": "Equivalent"}
    ),
    "a release's labels": lambda p, _: p["metadata"].update(labels={"helm.sh/chart": "x"}),
}


@pytest.mark.parametrize("edit", STRONGER.values(), ids=list(STRONGER))
def test_a_fence_that_refuses_as_much_or_more_is_taken(edit: Edit) -> None:
    policy, binding = stored()
    edit(policy, binding)
    assert weakness(policy, binding) is None


def test_half_a_fence_is_none() -> None:
    policy, binding = stored()
    assert weakness(None, binding) == f"there is no ValidatingAdmissionPolicy {FENCE}"
    assert weakness(policy, None) == f"there is no ValidatingAdmissionPolicyBinding {FENCE}"


def test_the_fence_is_printed_with_the_definitions() -> None:
    assert crds_yaml().count(f"name: {FENCE}\n") == 2


@pytest.mark.parametrize(
    ("noted", "now", "told"),
    [
        (None, "policy-1", False),
        (None, AWAY, False),
        ("policy-1", "policy-1", False),
        ("policy-1", AWAY, False),
        (AWAY, AWAY, False),
        (AWAY, "policy-1", True),
        ("policy-1", "policy-2", True),
    ],
)
def test_that_the_fence_was_away_is_told_once_another_or_a_mended_one_stands(
    noted: str | None, now: str, *, told: bool
) -> None:
    assert was_away(noted, now) is told


# ---------------------------------------------------------------- when it counts


class World:
    """A cluster with or without a fence, and a clock that only the test moves."""

    def __init__(self, *, required: bool = True) -> None:
        self.now = 1000.0
        self.found: Found = (None, None)
        self.error: Exception | None = None
        self.watch = FenceWatch(
            self._read,
            required=required,
            server_now=lambda: datetime(2026, 1, 31, 13, tzinfo=UTC).timestamp() + self.now,
            clock=lambda: self.now,
        )

    async def _read(self) -> Found:
        if self.error is not None:
            raise self.error
        return self.found

    def made(self, seconds_ago: float, uid: str = "1") -> None:
        """Put up a fence that the API server has had for so long."""
        moment = datetime(2026, 1, 31, 13, tzinfo=UTC).timestamp() + self.now - seconds_ago
        self.found = stored(uid, datetime.fromtimestamp(moment, UTC).isoformat())


async def test_nobody_leads_before_the_first_look() -> None:
    assert "not looked at yet" in (World().watch.why_not() or "")


async def test_a_fence_older_than_the_process_counts_at_once() -> None:
    world = World()
    world.made(seconds_ago=NEW_SECONDS)
    await world.watch.check()
    assert world.watch.why_not() is None


async def test_a_fence_that_was_made_as_the_process_began_counts_after_its_ten_seconds() -> None:
    world = World()
    world.made(seconds_ago=4)
    await world.watch.check()
    assert "it counts in 6 s" in (world.watch.why_not() or "")
    world.now += 6
    assert world.watch.why_not() is None


async def test_a_fence_that_was_changed_as_the_process_began_is_as_new_as_its_change() -> None:
    world = World()
    world.made(seconds_ago=10_000)
    policy, _ = world.found
    assert policy is not None
    changed = datetime(2026, 1, 31, 13, tzinfo=UTC).timestamp() + world.now
    noted = {"time": datetime.fromtimestamp(changed, UTC).isoformat()}
    policy["metadata"]["managedFields"] = [noted]
    await world.watch.check()
    assert world.watch.why_not() is not None
    # What the server itself notes about the policy is no change of it.
    world = World()
    world.made(seconds_ago=10_000)
    policy, _ = world.found
    assert policy is not None
    policy["metadata"]["managedFields"] = [{**noted, "subresource": "status"}]
    await world.watch.check()
    assert world.watch.why_not() is None


@pytest.mark.parametrize("before", ["absent", "weak", "another"])
async def test_a_fence_that_comes_while_the_process_runs_counts_ten_seconds_later(
    before: str,
) -> None:
    world = World()
    world.made(seconds_ago=10_000)
    if before == "absent":
        world.found = (None, None)
    elif before == "weak":
        world.found[1]["spec"].update(validationActions=["Warn"])  # type: ignore[index]
    await world.watch.check()
    world.made(seconds_ago=10_000, uid="2" if before == "another" else "1")
    await world.watch.check()
    assert "is new" in (world.watch.why_not() or "")
    assert not world.watch.stands
    world.now += NEW_SECONDS
    assert world.watch.why_not() is None


async def test_a_fence_that_goes_is_told_with_what_to_do() -> None:
    world = World()
    world.made(seconds_ago=100)
    await world.watch.check()
    world.found = (world.found[0], None)
    await world.watch.check()
    told = world.watch.why_not() or ""
    assert "there is no ValidatingAdmissionPolicyBinding amove-fence" in told
    assert "amove-operator crds | kubectl apply" in told
    assert "AMOVE_REQUIRE_FENCE=false" in told
    assert world.watch.identity is None


async def test_an_api_server_that_is_away_says_nothing_about_the_fence() -> None:
    world = World()
    world.error = KubeUnavailable("down")
    await world.watch.check()
    told = world.watch.why_not() or ""
    assert "cannot be looked at: down" in told
    assert "make it anew" not in told, "it may well be there"
    world.error = None
    world.made(seconds_ago=100)
    await world.watch.check()
    world.error = KubeUnavailable("down")
    await world.watch.check()
    assert world.watch.why_not() is None


async def test_nothing_is_said_of_a_fence_before_an_api_server_has_answered() -> None:
    """Else an API server that is down would wake somebody for a fence that stands."""
    world = World()
    assert world.watch.intact is None
    world.error = KubeUnavailable("down")
    await world.watch.check()
    assert world.watch.intact is None
    world.error = KubeRefused("forbidden", status=403)
    await world.watch.check()
    assert world.watch.intact is False
    world.error = None
    world.made(seconds_ago=100)
    await world.watch.check()
    assert world.watch.intact is True
    world.found = (None, None)
    await world.watch.check()
    assert world.watch.intact is False


async def test_a_fence_that_may_not_be_read_does_not_stand_from_the_second_refusal_on() -> None:
    world = World()
    world.error = KubeRefused("forbidden", status=403)
    await world.watch.check()
    assert "may not be read: forbidden" in (world.watch.why_not() or "")
    world.error = None
    world.made(seconds_ago=100)
    await world.watch.check()
    world.error = KubeRefused("forbidden", status=403)
    world.now += 100
    await world.watch.check()
    assert world.watch.why_not() is None
    await world.watch.check()
    assert "may not be read" in (world.watch.why_not() or "")


async def test_who_does_not_require_the_fence_is_never_held_up_but_knows() -> None:
    world = World(required=False)
    assert world.watch.why_not() is None
    await world.watch.check()
    assert world.watch.why_not() is None
    assert not world.watch.stands


def test_it_is_looked_at_every_thirty_seconds_and_sooner_while_it_is_waited_for() -> None:
    assert (EVERY_SECONDS, AGAIN_SECONDS, NEW_SECONDS) == (30.0, 5.0, 10.0)
