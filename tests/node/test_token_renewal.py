"""A token that the kubelet renews, as the operator's own: the wait for it takes eight minutes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.chart.waiting import until
from tests.node import pods
from tests.node.release import HERE, NAME, REPLICAS, Manifest, Release
from tests.node.team import Team

pytestmark = [pytest.mark.node, pytest.mark.long]

LIFE = 600
"""Seconds, the fewest that Kubernetes grants. A kubelet renews a token at four fifths of it."""
VOLUME = "credentials"


def test_a_projected_token_is_renewed_under_the_running_operator_and_taken_up(
    release: Release, team: Team
) -> None:
    project_the_token(release)
    team.apply(team.bucket("first"), team.key("first", "first"))
    team.wait_until_ready()
    restarts, files = release.restarts(), token_files(release)
    former = [file.read_text() for file in files]
    assert [life(token) for token in former] == [LIFE] * REPLICAS

    until(
        "the kubelet has renewed the token of each pod",
        lambda: all(file.read_text() not in former for file in files),
        deadline=LIFE,
    )
    for file in files:
        release.service.control.set_token(file.read_text())
    for token in former:
        release.service.control.revoke_token(token)
    team.apply(team.bucket("second"), team.key("second", "second"))
    team.wait_until_ready()

    assert release.restarts() == restarts, "no pod was replaced, and none started again"
    team.require_one_key_each()
    # Whatever comes next installs the chart afresh, with its token in a Secret.
    release.uninstall()


def project_the_token(release: Release) -> None:
    """Have the pods mount a ServiceAccount's token where the Secret with the API token was.

    The service takes each of these tokens as soon as a pod has it.
    """
    token = {"path": "token", "expirationSeconds": LIFE, "audience": "amove.example.com"}
    source = {"sources": [{"serviceAccountToken": token}]}
    volume = {"name": VOLUME, "secret": None, "projected": source}
    patch = {"spec": {"template": {"spec": {"volumes": [volume]}}}}
    release.node.kubectl("patch", "deployment", NAME, HERE, f"--patch={json.dumps(patch)}")
    until("the service takes the tokens of both pods", lambda: _accept_tokens(release) == REPLICAS)
    release.node.kubectl("rollout", "status", f"deployment/{NAME}", HERE, "--timeout=120s")
    until("no other pod is left", lambda: len(release.pods()) == len(token_files(release)))


def _accept_tokens(release: Release) -> int:
    files = token_files(release)
    for file in files:
        release.service.control.set_token(file.read_text())
    return len(files)


def token_files(release: Release) -> list[Path]:
    """The projected tokens, as running processes see them: each is gone when its process ends."""
    running = (pod for pod in release.pods() if _has_projected_token(pod))
    paths = (_token_file(pod) for pod in running)
    return [path for path in paths if path.exists()]


def _has_projected_token(pod: Manifest) -> bool:
    return any(v["name"] == VOLUME and "projected" in v for v in pod["spec"]["volumes"])


def _token_file(pod: Manifest) -> Path:
    (container,) = pod["spec"]["containers"]
    environ = {each["name"]: each.get("value", "") for each in container["env"]}
    try:
        root = f"/proc/{pods.process_of(pod)}/root"
    except AssertionError:
        root = "/process/not/started"
    # /var/run is a link to /run, which would lead out of the container.
    return Path(root + environ["AMOVE_TOKEN_FILE"].removeprefix("/var"))


def life(token: str) -> int:
    """Seconds between its issue and its end, as it says itself."""
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return int(claims["exp"] - claims["iat"])
