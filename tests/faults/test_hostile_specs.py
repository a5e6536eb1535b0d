"""Hostile specs: refused by the API server, or stalled with a reason; and nobody waits for them.

One for each field, bound and rule of both CRDs (tests/specs), and what hypothesis makes of the
schemas. The API server must refuse what the operator refuses, and the other way round. An older CRD
may have let any of it in: then the operator meets it beside healthy objects, here in memory.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amove_operator.core.reading import read_object
from amove_operator.models.refs import Kind, Ref
from tests.cluster.harness_cluster import Cluster
from tests.specs.hostile import HOSTILE_TEXTS, Schema, hostile_rows, plain_spec, spec_schema
from tests.specs.tables import Manifest, Row, manifest
from tests.unit.bucket_cluster import BucketCluster, on_cluster

ROWS = hostile_rows()
STORED = [row for row in ROWS if row.written.get("spec") is not None]
"""An object without a spec is read as one with an empty spec, which for a bucket says all."""
PAIRS = 5
"""So many healthy buckets, with a key each."""
KINDS = ("AmoveBucket", "AmoveStorageKey")
REFUSED_BY_US = {"InvalidSpec", "NotPermitted"}


# ---------------------------------------------------------------- at admission


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.it)
def test_the_api_server_refuses_it_and_names_the_field(row: Row, whole_cluster: Cluster) -> None:
    said = whole_cluster.refused(row.written)
    assert row.refused is not None
    assert row.refused in said


# ---------------------------------------------------------------- beside healthy objects


def stored(cluster: BucketCluster, written: Manifest, number: int) -> Ref:
    """An object as an older CRD let it in."""
    name, spec = written["metadata"]["name"], copy.deepcopy(written.get("spec"))
    if written["kind"] == "AmoveBucket":
        ref = cluster.apply(f"team-{number}", name)
    else:
        ref = cluster.apply_key(f"team-{number}", name)
    cluster.kube.crs[ref]["spec"] = spec
    cluster.annotate(ref)
    return ref


async def calls_until_ready(cluster: BucketCluster) -> int:
    """Healthy objects are declared; the calls that were made until all of them were settled."""
    before = len(cluster.service.calls)
    healthy = []
    for number in range(PAIRS):
        healthy.append(cluster.apply("healthy", f"fine-{number}"))
        healthy.append(cluster.apply_key("healthy", f"fine-{number}", f"fine-{number}"))
    for _ in range(60):
        if all(settled(cluster, ref) for ref in healthy):
            return len(cluster.service.calls) - before
        await cluster.passes(1)
    raise AssertionError({ref: cluster.says(ref) for ref in healthy})


def settled(cluster: BucketCluster, ref: Ref) -> bool:
    """Whether both conditions are True."""
    told = cluster.says(ref)
    return {told.get(one, ("",))[0] for one in ("Ready", "Synced")} == {"True"}


def calls_on_a_quiet_day() -> int:
    """What the healthy objects cost alone."""
    counted: list[int] = []

    async def scenario(cluster: BucketCluster) -> None:
        counted.append(await calls_until_ready(cluster))

    on_cluster(scenario)
    return counted[0]


def test_what_an_older_crd_let_in_stalls_with_a_reason_costs_no_call_and_delays_nobody() -> None:
    on_a_quiet_day = calls_on_a_quiet_day()

    async def scenario(cluster: BucketCluster) -> None:
        hostile = [stored(cluster, row.written, number) for number, row in enumerate(STORED)]
        assert await calls_until_ready(cluster) == on_a_quiet_day
        for item in list(cluster.d.store):
            cluster.d.queue.add(item)
        await cluster.passes(3600)
        for ref, row in zip(hostile, STORED, strict=True):
            assert row.refused is not None
            assert row.refused in why_stalled(cluster, ref), row.it
        of_hostile = [name for _, name in cluster.service.calls if name and "fine" not in name]
        assert of_hostile == []
        for ref in hostile:
            cluster.delete(ref)
        await cluster.passes(60)
        assert not [ref for ref in hostile if ref in cluster.kube.crs]

    on_cluster(scenario)


def why_stalled(cluster: BucketCluster, ref: Ref) -> str:
    """The message, where it is stalled for its spec."""
    conditions = cluster.kube.crs[ref]["status"]["conditions"]
    told = [one for one in conditions if one["type"] == "Stalled"]
    return "".join(one["message"] for one in told if one["reason"] in REFUSED_BY_US)


# ---------------------------------------------------------------- what hypothesis makes


def values(node: Schema) -> st.SearchStrategy[Any]:
    """Values of a node: mostly of its type, and within its bounds now and then."""
    match node["type"]:
        case "boolean":
            right: st.SearchStrategy[Any] = st.booleans()
        case "array":
            right = st.lists(values(node["items"]), max_size=3)
        case "object":
            right = objects(node)
        case _:
            right = texts(node)
    return right | st.sampled_from((None, 0, "", [], {}))


def texts(node: Schema) -> st.SearchStrategy[Any]:
    """Words of an enum, what matches the pattern, hostile ones, and those around the bounds."""
    longest = node.get("maxLength", 64)
    likely = st.sampled_from(("a" * longest, "a" * (longest + 1), "1h", *HOSTILE_TEXTS))
    if "enum" in node:
        return st.sampled_from((*node["enum"], *node["enum"], "Other"))
    if "pattern" in node:
        return st.from_regex(node["pattern"], fullmatch=True) | likely
    return likely | st.text(max_size=20)


def objects(node: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Some of its members, mostly with the required ones."""
    if "additionalProperties" in node:
        return st.dictionaries(st.sampled_from(("a", "b/c", "x.io/y", ".z", "A B")), values(
            node["additionalProperties"]
        ), max_size=3)  # fmt: skip
    members = {name: values(child) for name, child in node.get("properties", {}).items()}
    required = {name: members.pop(name) for name in node.get("required", ()) if name in members}
    return st.fixed_dictionaries(required, optional=members)


SPECS = {kind: objects(spec_schema(kind)) for kind in KINDS}


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """An object of either kind: a plain spec with a few members of a hostile one."""
    kind = draw(st.sampled_from(KINDS))
    made = draw(SPECS[kind])
    chosen = draw(st.lists(st.sampled_from(sorted(made)), max_size=3)) if made else []
    spec = {**plain_spec(kind), **{name: made[name] for name in chosen}}
    return manifest(kind, "made", spec)


def as_stored(written: Any) -> Any:
    """As the API server would store it: a member that is null is none."""
    if not isinstance(written, dict):
        return [as_stored(one) for one in written] if isinstance(written, list) else written
    return {name: as_stored(one) for name, one in written.items() if one is not None}


def fault_of(written: Manifest) -> str:
    """What the operator has against an object; empty where it would serve it."""
    meta = {"namespace": "team", "uid": "uid", "generation": 1, "resourceVersion": "1"}
    body = {**as_stored(written), "metadata": {**written["metadata"], **meta}}
    _, fault = read_object(Kind(written["kind"]), body)
    return "" if fault is None else fault.synced.message


@settings(max_examples=300)
@given(manifests())
def test_no_spec_is_served_here_that_the_api_server_refuses_nor_the_other_way_round(
    whole_cluster: Cluster, written: Manifest
) -> None:
    said = whole_cluster.refused(written)
    assert bool(said) == bool(fault_of(written)), (said, fault_of(written))


@settings(max_examples=30)
@given(st.lists(manifests(), min_size=10, max_size=10))
def test_whatever_spec_an_older_crd_let_in_delays_nobody(written: list[Manifest]) -> None:
    async def scenario(cluster: BucketCluster) -> None:
        refused = [
            stored(cluster, each, number) for number, each in enumerate(written) if fault_of(each)
        ]
        assert await calls_until_ready(cluster) == QUIET_DAY
        assert all(why_stalled(cluster, ref) for ref in refused)

    on_cluster(scenario)


QUIET_DAY = calls_on_a_quiet_day()
