"""docs/conditions.md is held to the code: users and alerts match on its words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings

from amove_operator.core.buckets import steps
from amove_operator.core.buckets.plan import plan_bucket
from amove_operator.core.buckets.snapshot import BucketSnapshot
from amove_operator.core.conditions import Conclusion
from amove_operator.core.policy import invalid
from amove_operator.core.reasons import EventReason, Reason
from amove_operator.models import BucketSpec
from amove_operator.models.shared import CONDITION_REASON_PATTERN
from tests.unit.core.buckets.bucket_snapshots import fault_of, worlds

DOCS = Path(__file__).resolve().parents[3] / "docs"
# The sources that conclude for one kind only.
BUCKET_SOURCES = ("core/buckets/*.py", "controllers/buckets/*.py")
KEY_SOURCES = ("core/keys/*.py", "controllers/keys/*.py")
KINDS = {"On buckets": "bucket", "On keys": "key", "On buckets and keys": "both"}


class Documented(NamedTuple):
    """What stands below the heading of one reason."""

    reason: str
    kind: str
    conditions: frozenset[str]
    meaning: str
    advice: str


def documented() -> Iterator[Documented]:
    for section in (DOCS / "conditions.md").read_text().split("\n### ")[1:]:
        heading, text = section.split("\n## ")[0].split("\n", 1)
        where, meaning = text.split("\n\n", 1)
        meaning, advice = meaning.split("\n\n**To do:** ")
        kind, conditions = where.split(": ")
        verdicts = frozenset(re.findall(r"`(\w+=\w+)`", conditions))
        yield Documented(heading, KINDS[kind], verdicts, meaning.strip(), advice.strip())


ROWS = {row.reason: row for row in documented()}


def said(conclusion: Conclusion) -> Iterator[tuple[str, str]]:
    """Each verdict of a conclusion as ``("Ready=True", reason)``."""
    for kind, verdict in (
        ("Ready", conclusion.ready),
        ("Synced", conclusion.synced),
        ("Reconciling", conclusion.reconciling),
        ("Stalled", conclusion.stalled),
    ):
        if verdict is not None:
            yield f"{kind}={verdict.status}", verdict.reason.value


def test_every_reason_is_documented_once_and_no_other() -> None:
    assert sorted(row.reason for row in documented()) == sorted(Reason)


def test_every_reason_is_in_the_list_above_its_section() -> None:
    page = (DOCS / "conditions.md").read_text()
    for section in page.split("\n## ")[1:]:
        listed = re.findall(r"\[(\w+)\]\(#\w+\)", section.split("\n### ")[0])
        assert listed == re.findall(r"^### (\w+)$", section, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.reason)
def test_a_documented_reason_says_what_it_means_and_what_to_do(row: Documented) -> None:
    assert row.kind in ("bucket", "key", "both")
    assert row.conditions <= {
        "Ready=True",
        "Ready=False",
        "Synced=True",
        "Synced=False",
        "Reconciling=True",
        "Stalled=True",
    }
    assert row.conditions
    assert row.meaning.endswith(".")
    assert row.advice.endswith((".", ")."))


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.reason)
def test_a_reason_that_stalls_is_documented_as_not_ready(row: Documented) -> None:
    if "Stalled=True" in row.conditions:
        assert {"Ready=False", "Synced=False"} <= row.conditions


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_what_a_bucket_shows_is_documented_under_its_reason(world: BucketSnapshot) -> None:
    step = plan_bucket(world)
    if isinstance(step, steps.Finish | steps.WriteStatus | steps.AwaitKeyList):
        for verdict, reason in said(step.conclusion):
            assert verdict in ROWS[reason].conditions, (verdict, reason)
            assert ROWS[reason].kind in ("bucket", "both")


def test_what_the_rules_of_our_own_show_is_documented() -> None:
    refused = fault_of(BucketSpec(public=True), trusted=False)
    for conclusion in (refused, invalid(["spec.a: wrong"])):
        assert conclusion is not None
        for verdict, reason in said(conclusion):
            assert verdict in ROWS[reason].conditions


@pytest.mark.parametrize(("sources", "kind"), [(BUCKET_SOURCES, "bucket"), (KEY_SOURCES, "key")])
def test_a_reason_is_documented_for_the_kind_whose_code_uses_it(
    sources: tuple[str, ...], kind: str
) -> None:
    package = DOCS.parent / "operator" / "amove_operator"
    used = {
        name
        for pattern in sources
        for path in package.glob(pattern)
        for name in re.findall(
            r"(?:stalled|unsynced|progressing|in_sync|usable|Verdict)\([^)]*?"
            r"Reason\.(\w+)",
            path.read_text(),
        )
    }
    assert used
    for name in used:
        assert ROWS[Reason[name].value].kind in (kind, "both"), name


def test_every_reason_is_a_word_that_kubernetes_takes() -> None:
    for reason in (*Reason, *EventReason):
        assert re.fullmatch(CONDITION_REASON_PATTERN, reason.value)
        assert re.fullmatch(r"([A-Z][a-z]+)+", reason.value)


def events() -> Iterator[list[str]]:
    """The rows of the table of Events: reason, where, type, meaning, advice."""
    section = (DOCS / "conditions.md").read_text().split("\n## Events\n")[1]
    for line in section.split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`\w+`", cells[0]):
            yield cells


def test_every_reason_that_only_an_event_has_is_documented_once_and_no_other() -> None:
    assert [row[0].strip("`") for row in events()] == list(EventReason)
    assert not set(EventReason) & set(Reason)


def test_a_documented_event_says_where_it_is_what_it_means_and_what_to_do() -> None:
    for reason, where, kind, meaning, advice in events():
        assert where in ("bucket", "key", "the operator's Deployment"), reason
        assert kind in ("Normal", "Warning"), reason
        assert meaning.endswith("."), reason
        assert advice.endswith("."), reason


def test_every_listed_event_is_sent_from_somewhere() -> None:
    """That no other one is, mypy says: whoever sends one takes a reason of either list."""
    package = DOCS.parent / "operator" / "amove_operator"
    source = "".join(path.read_text() for path in package.rglob("*.py"))
    assert set(re.findall(r"EventReason\.(\w+)", source)) == set(EventReason)


@pytest.mark.parametrize("page", ["conditions.md", "policies.md"])
def test_the_pages_name_only_reasons_that_exist(page: str) -> None:
    text = (DOCS / page).read_text()
    fields = {"Ready", "Synced", "Reconciling", "Stalled", "True", "False"}
    policies = {"Manage", "Observe", "Never", "IfExists", "Retain", "Delete", "Created", "Adopted"}
    kinds = {"AmoveBucket", "AmoveStorageKey"}
    known = fields | policies | kinds | {"Normal", "Warning"} | set(Reason) | set(EventReason)
    for word in re.findall(r"`([A-Z][a-z]\w*)`", text):
        assert word in known, word
