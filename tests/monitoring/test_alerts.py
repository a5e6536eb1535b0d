"""The chart's alerts: each fires and resolves under promtool, and leads to a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_operator.telemetry import Metrics
from tests.monitoring.conftest import RunPromtool

ROOT = Path(__file__).parents[2]
FILES = ROOT / "deploy/helm/amove-operator/files"
ALERTS = FILES / "alerts.yaml"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
}
STORIES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("alerts_test.yaml").read_text()
)["tests"]
RUNBOOKS = ROOT / "docs/runbooks"
PARTS = ("What it means", "What to look at", "What to do")


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"amove_operator_\w+", expression))


def exported() -> set[str]:
    """Every name under which something of ours is exported."""
    found = set()
    for one in Metrics().registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        found |= {one.name + end for end in ends.get(one.type, ("_info" * (one.type == "info"),))}
    return found


def test_the_rules_are_a_rule_file(promtool: RunPromtool) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", str(ALERTS))


def test_there_is_a_story_for_each_alert() -> None:
    assert {story["name"].split(",")[0] for story in STORIES} == set(RULES)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["name"].replace(" ", "-"))
def test_an_alert_is_silent_then_fires_and_resolves(
    story: dict[str, Any], promtool: RunPromtool, tmp_path: Path
) -> None:
    moments = [bool(each["exp_alerts"]) for each in story["alert_rule_test"]]
    assert moments[-2:] == [True, False]
    for each in story["alert_rule_test"]:
        fixed = RULES[each["alertname"]]["annotations"]
        for alert in each["exp_alerts"]:
            alert["exp_annotations"] = {**fixed, **alert.get("exp_annotations", {})}
    test = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [story]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yaml"))


@pytest.mark.parametrize("name", RULES)
def test_an_alert_asks_for_what_there_is_and_says_how_urgent_it_is(name: str) -> None:
    rule = RULES[name]
    assert metrics_of(rule["expr"])
    assert metrics_of(rule["expr"]) <= exported()
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert all(rule["annotations"][each].endswith(".") for each in ("summary", "description"))


@pytest.mark.parametrize("name", RULES)
def test_an_alert_leads_to_a_page_that_says_what_it_means_and_what_to_do(name: str) -> None:
    page = (ROOT / RULES[name]["annotations"]["runbook_url"]).read_text()
    assert f"`{name}`" in page.split("\n## ")[0]
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == PARTS
    assert all(re.search(r"\w{3}", part) for part in page.split("\n## ")[1:])
    assert metrics_of(page.replace("\n", " ")) <= exported() | {"amove_operator"}


def test_there_is_no_page_without_an_alert_and_the_list_has_all() -> None:
    linked = {Path(rule["annotations"]["runbook_url"]).name for rule in RULES.values()}
    assert {page.name for page in RUNBOOKS.glob("*.md")} == linked
    section = (ROOT / "docs/monitoring.md").read_text().split("\n## Alerts\n")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(RULES)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_reads_the_log_of_every_replica_and_whole(page: Path) -> None:
    """`logs deployment/…` takes one Pod of several, and a selector alone the last ten lines."""
    logs = re.findall(r"^kubectl .*\blogs .*$", page.read_text(), re.MULTILINE)
    assert all("--selector app.kubernetes.io/name=" in each for each in logs), logs
    assert all("--prefix" in each and "--tail=" in each for each in logs), logs


def test_every_runbook_belongs_to_an_alert() -> None:
    led_to = {ROOT / rule["annotations"]["runbook_url"] for rule in RULES.values()}
    assert set(RUNBOOKS.glob("*.md")) == led_to
