"""kstatus and Argo CD's health checks, by the libraries that Flux and Argo CD use, over objects as
the API server showed them through whole lives.
"""

from __future__ import annotations

import pytest
import yaml

from amove_emulator import Emulator
from judges import argocd_health, kstatus
from tests.cluster.harness import BUCKET, KEY, Manifest, condition
from tests.cluster.harness_cluster import Cluster
from tests.gitops.consumers.argocd import EXAMPLE, check_of
from tests.gitops.consumers.conftest import OperatorOf
from tests.gitops.consumers.lives import (
    CURRENT,
    DEGRADED,
    FAILED,
    HEALTHY,
    IN_PROGRESS,
    PROGRESSING,
    STAGES,
    SUSPENDED,
    TERMINATING,
    live,
)
from tests.gitops.consumers.watching import Watched

pytestmark = pytest.mark.gitops

IN_ARGOCD = {CURRENT: HEALTHY, IN_PROGRESS: PROGRESSING, FAILED: DEGRADED}
"""By the word of kstatus: Argo CD's."""


@pytest.fixture(scope="module")
def lives(
    team: Cluster,
    service: Emulator,
    operators: OperatorOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> Watched:
    """Whole lives, as watches saw them."""
    return live(team, service, operators, tmp_path_factory.mktemp("watches"))


def states(lives: Watched) -> list[Manifest]:
    """Every state that any object was seen in."""
    return [*lives.states(BUCKET), *lives.states(KEY)]


def generation_of_ready(seen: Manifest) -> int:
    """The generation of the spec that Ready=True speaks of; 0 where it is not True."""
    ready = condition(seen, "Ready")
    return int(ready["observedGeneration"]) if ready.get("status") == "True" else 0


def told_paused(seen: Manifest) -> bool:
    """Whether the operator has said so, of the spec as it is."""
    one = condition(seen, "Synced")
    of_now = one.get("observedGeneration") == seen["metadata"]["generation"]
    return of_now and bool(one["reason"] == "Paused")


def test_kstatus_reads_each_stage_as_what_it_is(lives: Watched) -> None:
    answers = kstatus(lives.stages[stage] for stage in STAGES)
    read = {stage: answer["status"] for stage, answer in zip(STAGES, answers, strict=True)}
    assert read == {stage: expected for stage, (expected, _) in STAGES.items()}


def test_no_state_reads_as_current_before_the_spec_as_it_is_was_ready(lives: Watched) -> None:
    seen = states(lives)
    assert len(seen) > len(STAGES)
    for state, answer in zip(seen, kstatus(seen), strict=True):
        generation = state["metadata"]["generation"]
        if answer["status"] == CURRENT:
            assert generation_of_ready(state) == generation, state
        elif answer["status"] != TERMINATING:
            assert generation_of_ready(state) != generation or "Reconciling" in str(state), state


def test_from_its_creation_to_its_first_ready_an_object_reads_as_in_progress(
    lives: Watched,
) -> None:
    for kind, name in ((BUCKET, "photos"), (KEY, "app"), (BUCKET, "late")):
        seen = lives.states(kind, name)
        read = [answer["status"] for answer in kstatus(seen)]
        first = read.index(CURRENT)
        assert first > 0
        assert set(read[:first]) == {IN_PROGRESS}
        assert seen[0]["status"] == {"observedGeneration": -1}


def test_a_rotation_is_at_most_in_progress_and_leaves_the_key_ready(lives: Watched) -> None:
    seen = lives.states(KEY, "app")
    begun = seen.index(lives.stages["a key that is issued"])
    done = seen.index(lives.stages["a key that was rotated"])
    rotation = seen[begun : done + 1]
    assert {answer["status"] for answer in kstatus(rotation)} <= {CURRENT, IN_PROGRESS}
    assert {condition(state, "Ready")["status"] for state in rotation} == {"True"}


@pytest.mark.parametrize("kind", [BUCKET, KEY])
def test_argo_cd_reads_each_stage_as_what_it_is(lives: Watched, kind: str) -> None:
    of_kind = {
        stage: health
        for stage, (_, health) in STAGES.items()
        if lives.stages[stage]["kind"] == kind and health is not None
    }
    answers = argocd_health(check_of(kind), (lives.stages[stage] for stage in of_kind))
    read = {stage: answer.get("status") for stage, answer in zip(of_kind, answers, strict=True)}
    assert read == of_kind


@pytest.mark.parametrize("kind", [BUCKET, KEY])
def test_argo_cd_and_kstatus_agree_on_every_state(lives: Watched, kind: str) -> None:
    seen = lives.states(kind)
    both = zip(seen, kstatus(seen), argocd_health(check_of(kind), seen), strict=True)
    for state, by_kstatus, by_argocd in both:
        if by_kstatus["status"] == TERMINATING:
            assert "error" not in by_argocd
        elif told_paused(state):
            assert by_argocd["status"] == SUSPENDED
        else:
            assert by_argocd["status"] == IN_ARGOCD[by_kstatus["status"]], state


def test_argo_cd_is_told_the_reason_and_the_words(lives: Watched) -> None:
    taken = lives.stages["a bucket that is another's"]
    (answer,) = argocd_health(check_of(BUCKET), [taken])
    stalled = condition(taken, "Stalled")
    assert answer["message"] == f"BucketExists: {stalled['message']}"
    edited = lives.stages["a key edited while the service is down"]
    (answer,) = argocd_health(check_of(KEY), [edited])
    assert answer["message"].startswith("Api")


def test_both_forms_of_the_checks_are_one() -> None:
    (config,) = yaml.safe_load_all((EXAMPLE / "argocd-cm.yaml").read_text())
    for kind in (BUCKET, KEY):
        in_config = config["data"][f"resource.customizations.health.storage.amove.io_{kind}"]
        assert in_config == check_of(kind).read_text()
    assert check_of(BUCKET).read_text() == check_of(KEY).read_text()


@pytest.mark.parametrize("kind", [BUCKET, KEY])
def test_the_folder_has_the_tests_that_argo_cd_wants_and_they_pass(kind: str) -> None:
    folder = check_of(kind).parent
    for test in yaml.safe_load((folder / "health_test.yaml").read_text())["tests"]:
        seen = yaml.safe_load((folder / test["inputPath"]).read_text())
        (answer,) = argocd_health(check_of(kind), [seen])
        assert answer == test["healthStatus"]


@pytest.mark.parametrize("status", [None, {}, {"conditions": []}, {"observedGeneration": 1}])
def test_an_object_of_which_nothing_is_known_is_no_error(status: Manifest | None) -> None:
    seen = {"metadata": {"generation": 1}, "spec": {}}
    if status is not None:
        seen["status"] = status
    (answer,) = argocd_health(check_of(KEY), [seen])
    assert answer["status"] == PROGRESSING
