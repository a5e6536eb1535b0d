"""The chart's values: what is wrong is refused in a sentence, and the README tells of each."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, REQUIRED, Manifest

Run = Callable[..., subprocess.CompletedProcess[str]]

SETS = sorted((CHART / "ci").glob("*-values.yaml"))
CREDENTIALS, IMAGE = REQUIRED["credentials"], REQUIRED["image"]
MOUNT = {"name": "ca", "mountPath": "/etc/ca"}
VOLUME = {"name": "ca", "configMap": {"name": "ca"}}
# What is given, the path that the complaint begins with, and a piece of its sentence.
WRONG: list[tuple[Manifest, str, str]] = [
    ({"credentials": {"existingSecret": ""}}, "credentials/existingSecret", "is required"),
    ({"credentials": {"token": "secret"}}, "credentials", "'token' not allowed"),
    ({"credentials": {**CREDENTIALS, "login": {"type": 3}}}, "credentials/login/type", "one of"),
    ({"image": {"repository": ""}}, "image/repository", "where you pushed the image"),
    ({"image": {"repository": "here/op:1"}}, "image/repository", "without tag"),
    ({"image": {**IMAGE, "digest": "latest"}}, "image/digest", "write sha256:"),
    ({"settings": None}, "", "missing property 'settings'"),
    ({"settings": {"resyncIntervall": "5m"}}, "settings", "'resyncIntervall' not allowed"),
    ({"settings": {"resyncInterval": "5 minutes"}}, "settings/resyncInterval", "such as 30s"),
    ({"settings": {"resyncInterval": "500ms"}}, "settings/resyncInterval", "at least 1s"),
    ({"settings": {"maxGrace": "5s10m"}}, "settings/maxGrace", "the largest unit first"),
    ({"settings": {"apiUrl": "api.amove.io"}}, "settings/apiUrl", "such as https://"),
    ({"settings": {"apiUrl": "http://api.amove.io"}}, "settings/apiUrl", "plain http would show"),
    ({"settings": {"authUrl": "https://me:pw@a.io"}}, "settings/authUrl", "without user"),
    ({"settings": {"storageDn": "https://s3.a.io"}}, "settings/storageDn", "without https://"),
    ({"settings": {"rateLimit": "fast"}}, "settings/rateLimit", "a number of calls a second"),
    ({"settings": {"rateLimit": "0.0"}}, "settings/rateLimit", "a number above 0"),
    ({"settings": {"rateLimit": 0}}, "settings/rateLimit", "exclusiveMinimum"),
    ({"settings": {"concurrency": 1.5}}, "settings/concurrency", "want null or integer"),
    ({"settings": {"leaderElection": "yes"}}, "settings/leaderElection", "want null or boolean"),
    ({"settings": {"leaderElection": False}}, "replicas", "set replicas to 1"),
    ({"settings": {"watchNamespaces": "team-a"}}, "settings/watchNamespaces", "want array"),
    ({"settings": {"watchNamespaces": ["team-*"]}}, "settings/watchNamespaces/0", "write it out"),
    ({"settings": {"trustedNamespaces": ["A"]}}, "settings/trustedNamespaces/0", "glob"),
    ({"settings": {"logLevel": "LOUD"}}, "settings/logLevel", "'DEBUG', 'INFO'"),
    ({"settings": {"cloudAccountId": "main"}}, "settings/cloudAccountId", "a UUID in lower case"),
    ({"settings": {"leaseName": "Not A Name"}}, "settings/leaseName", "lower-case letters"),
    ({"settings": {"healthPort": 80}}, "settings/healthPort", "want 1,024"),
    ({"settings": {"healthPort": 9090}}, "settings/metricsPort", "settings.healthPort as well"),
    ({"replicas": -1}, "replicas", "minimum"),
    ({"replicaCount": 2}, "", "'replicaCount' not allowed"),
    ({"fullnameOverride": "my.operator"}, "fullnameOverride", "cannot name a Service"),
    ({"serviceAccount": {"create": False}}, "serviceAccount/name", "set serviceAccount.name"),
    ({"commonLabels": {"owner": "a b"}}, "commonLabels/owner", "is not the value of a label"),
    ({"podLabels": {"tier": 1}}, "podLabels/tier", "want string"),
    ({"resources": {"limit": {"memory": "1Gi"}}}, "resources", "'limit' not allowed"),
    ({"resources": {"limits": {"memory": "512MB"}}}, "resources/limits/memory", "such as 100m"),
    ({"extraEnv": [{"name": "AMOVE_TOKEN_FILE"}]}, "extraEnv/0/name", "use credentials.*"),
    ({"extraEnv": [{"name": "A", "value": 1}]}, "extraEnv/0/value", "want string"),
    ({"extraObjects": [{"kind": "A"}]}, "extraObjects/0", "'apiVersion', 'metadata'"),
    ({"extraEnv": [{"name": "A"}, {"name": "A"}]}, "extraEnv/1/name", "there twice"),
    ({"extraVolumes": [{"name": "credentials"}]}, "extraVolumes/0/name", "another name"),
    ({"extraVolumeMounts": [MOUNT]}, "extraVolumeMounts/0/name", "there is no volume"),
    (
        {
            "extraVolumes": [VOLUME],
            "extraVolumeMounts": [{**MOUNT, "mountPath": "/var/run/secrets/"}],
        },
        "extraVolumeMounts/0/mountPath",
        "would hide",
    ),
    ({"livenessProbe": {"timeoutSeconds": 0}}, "livenessProbe/timeoutSeconds", "want 1"),
    ({"terminationGracePeriodSeconds": 30}, "terminationGracePeriodSeconds", "want 90"),
    ({"topologySpreadConstraints": [{}]}, "topologySpreadConstraints/0", "'topologyKey'"),
    ({"affinity": {"podAffinty": {}}}, "affinity", "'podAffinty' not allowed"),
    (
        {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
        "metrics/service/enabled",
        "needs metrics.service.enabled",
    ),
    (
        {"metrics": {"serviceMonitor": {"scrapeTimeout": "1m"}}},
        "metrics/serviceMonitor/scrapeTimeout",
        "longer than the interval",
    ),
    (
        {"metrics": {"service": {"ipFamilyPolicy": "Dual"}}},
        "metrics/service/ipFamilyPolicy",
        "'PreferDualStack'",
    ),
    (
        {"metrics": {"prometheusRule": {"runbookUrl": "docs"}}},
        "metrics/prometheusRule/runbookUrl",
        "such as https://",
    ),
]


def test_each_wrong_value_is_refused_by_its_path_in_a_sentence(attempt: Run) -> None:
    assert len(WRONG) >= 25
    for values, path, sentence in WRONG:
        done = attempt({**REQUIRED, **values})
        assert done.returncode != 0, values
        said = [line for line in done.stderr.splitlines() if line.startswith("- at '")]
        begin = f"- at '/{path}': " if path else "- at '': "
        assert any(line.startswith(begin) and sentence in line for line in said), done.stderr
        assert len(said) == 1, done.stderr


def test_all_that_is_wrong_is_said_at_once(attempt: Run) -> None:
    done = attempt({"settings": {"region": "?", "healthPort": 9090}, "extraVolumeMounts": [MOUNT]})
    paths = re.findall(r"^- at '/([^']+)'", done.stderr, re.MULTILINE)
    assert paths == [
        "settings/region",
        "credentials/existingSecret",
        "image/repository",
        "settings/metricsPort",
        "extraVolumeMounts/0/name",
    ]
    assert "kubectl create secret generic" in done.stderr


RIGHT: list[Manifest] = [
    {"settings": {"apiUrl": "http://127.0.0.1:8080", "authUrl": "http://localhost:1/a"}},
    {"settings": {"resyncInterval": "1h30m", "maxGrace": "0h20m", "listingSettle": "1500ms"}},
    {"settings": {"rateLimit": "2.5", "storageDn": "s3.example.com:9000"}},
    {"settings": {"rateLimit": 0.00001, "trustedNamespaces": ["*", "team-[ab]?"]}},
    {"image": {"repository": "localhost:5000/op", "tag": "v1", "digest": f"sha256:{'0' * 64}"}},
    {"resources": {"limits": {"cpu": 1, "memory": "1.5Gi"}, "requests": {"cpu": "100m"}}},
    dict.fromkeys(("resources", "affinity", "extraEnv", "tolerations", "fullnameOverride")),
    {"resources": {}, "podLabels": {"a.b/c": ""}, "priorityClassName": "system-node-critical"},
    {"extraVolumes": [VOLUME], "extraVolumeMounts": [MOUNT, {**MOUNT, "mountPath": "/two"}]},
]


@pytest.mark.parametrize("values", RIGHT)
def test_what_is_right_is_not_refused(attempt: Run, values: Manifest) -> None:
    done = attempt({**REQUIRED, **values})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", SETS, ids=lambda file: file.stem)
def test_helm_lint_finds_nothing_in_the_sets_of_values(helm: Run, file: Any) -> None:
    done = helm("lint", str(CHART), "--strict", "--values", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[INFO]" not in done.stdout, "not even advice"


def paths(values: Manifest, start: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that has no values below it, by its path as --set takes it."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from paths(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value


def test_the_readme_has_a_row_for_each_value_with_its_default_and_no_other() -> None:
    text = (CHART / "README.md").read_text()
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)`)? ?\| (.+) \|$", text, re.MULTILINE)
    defaults = {name: yaml.safe_load(shown or "null") for name, shown, _ in rows}
    own = dict(paths(yaml.safe_load((CHART / "values.yaml").read_text())))
    assert defaults == {name: None if value == "" else value for name, value in own.items()}
    assert list(defaults) == list(own), "in the order of values.yaml"


def test_every_value_that_a_page_names_is_there() -> None:
    root = CHART.parents[2]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    pages = [root / "README.md", CHART / "README.md", *sorted((root / "docs").rglob("*.md"))]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"`(\w+(?:\.\w+)+)", page.read_text())
        if name.partition(".")[0] in values and not name.endswith((".py", ".md"))
    }
    assert len(named) > 50
    assert {each for each in named if not is_value(values, each[1])} == set()


def is_value(values: Any, name: str) -> bool:
    """Whether values.yaml has it, or a map or list above it that is empty there: as in a Pod."""
    for part in name.split("."):
        if not values:
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def test_every_value_is_read_by_a_template() -> None:
    """Maps that are handed on whole, or setting by setting, have no names of their own there."""
    templates = [path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()]
    read = set(re.findall(r"\.([A-Za-z]\w*)", "\n".join(templates)))
    whole = {"settings", "resources", "livenessProbe", "readinessProbe", "metrics.dashboard.labels"}
    values = dict(paths(yaml.safe_load((CHART / "values.yaml").read_text())))
    by_name = [name for name in values if not name.startswith(tuple(f"{each}." for each in whole))]
    assert [name for name in by_name if name.rpartition(".")[2] not in read] == []
