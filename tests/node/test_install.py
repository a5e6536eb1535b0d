"""The chart as its README installs it, and applications' pods that use the Secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.chart.waiting import until
from tests.node.release import HERE, NAME, NAMESPACE, SELECTOR, Release
from tests.node.scripts import FROM_FILES, ONCE
from tests.node.team import Team, is_ready

pytestmark = pytest.mark.node
KUBECTL_AMOVE = "import sys; from amove_operator.kubectl_amove import main; sys.exit(main())"


def test_two_replicas_are_ready_under_restricted_and_one_leads(release: Release) -> None:
    pods = release.pods()

    assert len(pods) == 2
    (preferred,) = pods[0]["spec"]["affinity"]["podAntiAffinity"].values()
    assert preferred[0]["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert release.wait_for_leader()
    assert set(release.restarts().values()) == {0}
    enforced = release.node.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_kubelets_own_probes_find_it_alive_and_ready(release: Release) -> None:
    for pod in release.pods():
        (container,) = pod["spec"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        assert conditions["Ready"] == "True"
    names = {pod["metadata"]["name"] for pod in release.pods()}
    events = release.node.get("events", HERE)["items"]
    own = [each["message"] for each in events if each["involvedObject"]["name"] in names]
    assert [message for message in own if "Liveness probe failed" in message] == []


def test_the_process_is_nobody_and_its_log_warns_of_no_setting(release: Release) -> None:
    leader = release.wait_for_leader()
    script = "import os; print(os.getuid(), os.getgid(), os.getgroups())"
    command = ("exec", leader, HERE, "--", "python3", "-c", script)

    assert release.node.kubectl(*command).strip() == "65532 65532 [65532]"
    assert "is not a setting" not in release.logs()


@pytest.mark.parametrize("way", ["env-from", "volume"])
def test_a_pod_with_boto3_writes_and_reads(team: Team, way: str) -> None:
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()

    if way == "env-from":
        team.run("consumer", ONCE, env_from="writer")
    else:
        team.run("consumer", FROM_FILES + ONCE, volume="writer")

    assert team.finished("consumer") == "hello 65532\n"


def test_an_uninstall_leaves_all_that_matters_and_an_install_issues_nothing_anew(
    release: Release, team: Team
) -> None:
    team.apply(team.bucket("kept"), team.key("writer", "kept"))
    team.wait_until_ready()
    secret, keys = team.secret("writer"), team.live_access_keys()
    seq = release.service.control.last_seq()

    release.uninstall()

    left = release.node.kubectl("get", "crds,validatingadmissionpolicies", "--output=name")
    assert len(re.findall(r"amove(buckets|storagekeys)\.storage|amove-fence", left)) == 3
    assert team.secret("writer") == secret
    assert team.live_access_keys() == keys
    assert all(is_ready(item) for item in team.objects())
    team.run("meanwhile", ONCE, env_from="writer")
    assert team.finished("meanwhile") == "hello 65532\n"

    release.install()
    release.wait_for_leader()
    until(
        "the new leader has read the list of keys",
        lambda: release.service.control.journal("get_storage_key", after=seq),
    )
    # A bucket that is made after all others were seen again.
    team.apply(team.bucket("later"))
    team.wait_until_ready()

    calls = {each["call"] for each in release.service.control.journal(after=seq)}
    assert calls.isdisjoint({"create_storage_key", "delete_storage_key"})
    assert team.secret("writer") == secret


@pytest.mark.parametrize("command", ["doctor", "orphans", "import"])
def test_kubectl_amove_runs_in_the_operators_pod_what_needs_its_credentials(
    release: Release, team: Team, command: str
) -> None:
    team.apply(team.bucket("photos"))
    team.wait_until_ready()
    plane = release.node.plane
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AMOVE_")}
    path = f"{plane.bin}:{os.environ['PATH']}"

    done = subprocess.run(
        [sys.executable, "-c", KUBECTL_AMOVE, command],
        env=inherited | {"KUBECONFIG": str(plane.kubeconfig), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = {"doctor": "held by", "orphans": "orphan", "import": "photos"}
    assert said[command] in done.stdout + done.stderr
    assert release.token not in done.stdout + done.stderr


def test_what_an_engineer_on_call_types_first(release: Release, team: Team) -> None:
    node = release.node
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()
    created = release.service.control.add_key("of-nobody")

    orphans = node.kubectl("exec", f"deploy/{NAME}", HERE, "--", "amove-operator", "orphans")
    assert created["id"] not in orphans, "a key without this cluster's mark is never named"

    node.helm("test", NAME, HERE, "--timeout=60s")

    shown = node.kubectl("describe", "amovestoragekey", "writer", team.here)
    assert "Issued" in shown
    assert team.secret("writer")["AWS_SECRET_ACCESS_KEY"] not in shown

    described = node.kubectl("describe", "pods", HERE, f"--selector={SELECTOR}")
    assert re.search(r"Ready +True", described)
    lines = release.logs().splitlines()
    written = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]
    assert any("lead" in json.dumps(each).lower() for each in written)
    text = "\n".join(lines)
    for hidden in [*release.service.control.issued_secrets(), release.service.api_token]:
        assert hidden not in text
