"""The example repository for Argo CD, applied as Argo CD applies it: wave by wave, each waited for
by our health checks in Argo CD's Lua engine, then compared, and pruned in the opposite order.

Argo CD itself is not run.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any

import pytest
import yaml

from amove_emulator import Emulator
from controlplane import CommandError
from judges import argocd_health
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key
from tests.gitops.consumers.applications import secret_of_deployment
from tests.gitops.consumers.argocd import APPLY, EXAMPLE, check_of
from tests.gitops.consumers.lives import HEALTHY

pytestmark = [pytest.mark.gitops, pytest.mark.usefixtures("operator")]

SHOP = EXAMPLE / "shop"
WAVE = "argocd.argoproj.io/sync-wave"


def waves() -> list[list[dict[str, Any]]]:
    """What the kustomization names, a list for each wave."""

    def wave_of(manifest: dict[str, Any]) -> int:
        return int(manifest["metadata"].get("annotations", {}).get(WAVE, "0"))

    named = yaml.safe_load((SHOP / "kustomization.yaml").read_text())["resources"]
    manifests = [one for file in named for one in yaml.safe_load_all((SHOP / file).read_text())]
    in_order = sorted(manifests, key=wave_of)
    return [list(wave) for _, wave in groupby(in_order, wave_of)]


def healthy(team: Cluster, manifest: dict[str, Any]) -> bool:
    """Whether Argo CD would say so; of a kind of Kubernetes' own it says so by itself."""
    if manifest["kind"] not in (BUCKET, KEY):
        return True
    seen = team.found(manifest["kind"], manifest["metadata"]["name"])
    (answer,) = argocd_health(check_of(manifest["kind"]), [seen])
    assert "error" not in answer, answer
    return answer["status"] == HEALTHY


def test_the_repository_goes_in_and_out_wave_by_wave(team: Cluster, service: Emulator) -> None:
    in_order = waves()
    assert [[one["kind"] for one in wave] for wave in in_order] == [[BUCKET], [KEY], ["Deployment"]]
    for wave in in_order:
        text = (SHOP / "deployment.yaml").read_text()
        if wave[0]["kind"] == "Deployment":
            assert team.secret(secret_of_deployment(text))["BUCKET_NAME"] == "shop-uploads"
        team.kubectl("apply", *APPLY, "-f", "-", given=wave)
        for one in wave:
            eventually(partial(healthy, team, one), what=f"{one['kind']} Healthy")

    # Nothing to ignore: what is there is what Git says.
    declared = [one for wave in in_order for one in wave if one["kind"] in (BUCKET, KEY)]
    assert team.kubectl("diff", *APPLY, "-f", "-", given=declared) == ""

    for wave in reversed(in_order):
        for one in wave:
            kind, name = one["kind"].lower(), one["metadata"]["name"]
            team.kubectl("delete", kind, name, "--cascade=foreground", "--timeout=120s")
    assert not any(one["buckets"] == ["shop-uploads"] for one in service.control.live_keys())
    assert team.get("Secret", "shop-uploads") is None
    # Retain, the default: the data are where they were.
    assert "shop-uploads" in service.control.buckets()


def test_no_check_of_ours_and_no_example_asks_to_ignore_differences() -> None:
    application = yaml.safe_load((EXAMPLE / "application.yaml").read_text())
    assert "ignoreDifferences" not in application["spec"]
    assert not {"Replace=true", "Force=true"} & set(
        application["spec"]["syncPolicy"]["syncOptions"]
    )
    (config,) = yaml.safe_load_all((EXAMPLE / "argocd-cm.yaml").read_text())
    assert all(".health." in name for name in config["data"])


def test_the_project_lets_a_commit_make_nothing_outside_the_teams_namespace() -> None:
    application = yaml.safe_load((EXAMPLE / "application.yaml").read_text())["spec"]
    project = yaml.safe_load((EXAMPLE / "project.yaml").read_text())
    limits = project["spec"]
    assert application["project"] == project["metadata"]["name"] != "default"
    assert limits["sourceRepos"] == [application["source"]["repoURL"]]
    assert limits["destinations"] == [application["destination"]]
    assert "*" not in str(limits["destinations"])
    # So none of these is ever asked for: Argo CD would refuse the namespace as well.
    assert limits["clusterResourceWhitelist"] == []
    assert "CreateNamespace=true" not in application["syncPolicy"]["syncOptions"]


def test_a_rotation_that_a_person_asked_for_is_no_difference_and_is_not_undone(
    team: Cluster,
) -> None:
    declared = [a_bucket("turned"), a_key("turned", bucketRefs=refs("turned"))]
    team.kubectl("apply", *APPLY, "-f", "-", given=declared)
    first = team.ready(KEY, "turned")["status"]["key"]["id"]
    team.annotate(KEY, "turned", rotate_requested_at="now")
    another_key(team, KEY, "turned", first)
    assert team.kubectl("diff", *APPLY, "-f", "-", given=declared) == ""
    before = team.found(KEY, "turned")
    team.kubectl("apply", *APPLY, "-f", "-", given=declared)
    assert team.found(KEY, "turned") == before


def test_a_forced_replace_leaves_the_data_and_says_whose_they_were(
    team: Cluster, service: Emulator
) -> None:
    team.apply(a_bucket("forced"))
    team.ready(BUCKET, "forced")
    service.control.put_object("forced", "precious", "data")
    team.kubectl("replace", "--force", "--timeout=120s", "-f", "-", given=[a_bucket("forced")])
    seen = team.until(BUCKET, "forced", "Stalled", "BucketExists")
    assert "kubectl patch" in condition(seen, "Stalled")["message"]
    assert "forced" in service.control.buckets()


def test_a_replace_by_what_git_holds_is_refused_and_harms_nothing(team: Cluster) -> None:
    team.apply(a_bucket("replaced"), a_key("replaced", bucketRefs=refs("replaced")))
    key = team.ready(KEY, "replaced")
    for manifest in (a_bucket("replaced"), a_key("replaced", bucketRefs=refs("replaced"))):
        with pytest.raises(CommandError, match="finalizer"):
            team.kubectl("replace", "-f", "-", given=[manifest])
    after = team.ready(KEY, "replaced")
    assert after["metadata"]["uid"] == key["metadata"]["uid"]
    assert after["status"]["key"] == key["status"]["key"]
