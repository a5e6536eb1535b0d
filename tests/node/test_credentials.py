"""What a kubelet mounts changes while pods run: keys that rotate, and the operator's own token."""

from __future__ import annotations

import json
import time

import pytest

from tests.chart.waiting import until
from tests.node.release import Release
from tests.node.scripts import REREADING, UNTIL_REFUSED
from tests.node.team import Team

pytestmark = pytest.mark.node

GRACE = 15
"""Seconds; above the time in which a kubelet brings a changed Secret into its pods."""


def rotate(team: Team, key: str, request: str) -> str:
    """Ask for a rotation; the new access key, once the Secret holds it."""
    old = team.secret(key)["AWS_ACCESS_KEY_ID"]
    annotation = f"storage.amove.io/rotate-requested-at={request}"
    team.node.kubectl("annotate", "amovestoragekey", key, annotation, "--overwrite", team.here)
    return until("a new key", lambda: _other(team, key, old))


def _other(team: Team, key: str, old: str) -> str:
    new = team.secret(key)["AWS_ACCESS_KEY_ID"]
    return "" if new == old else new


def test_a_pod_that_reads_its_volume_again_loses_no_request_through_two_rotations(
    release: Release, team: Team
) -> None:
    rotation = {"gracePeriod": f"{GRACE}s"}
    team.apply(team.bucket("photos"), team.key("writer", "photos", rotation=rotation))
    team.wait_until_ready()
    first = team.secret("writer")["AWS_ACCESS_KEY_ID"]
    team.run("volume", REREADING, volume="writer")
    team.run("environment", UNTIL_REFUSED, env_from="writer")
    until("the first works", lambda: "working" in team.wrote("volume"))
    until("the second works", lambda: "working" in team.wrote("environment"))

    begun = time.monotonic()
    second = rotate(team, "writer", "1")
    until("the first key is revoked", lambda: first not in team.live_access_keys())
    assert time.monotonic() - begun >= GRACE - 1
    third = rotate(team, "writer", "2")
    until("the second key is revoked", lambda: second not in team.live_access_keys())
    until("the pod took up the third", lambda: third in team.wrote("volume"))
    team.node.kubectl("exec", "volume", team.here, "--", "sh", "-c", "kill -TERM 1")

    seen = json.loads(team.finished("volume").splitlines()[-1])
    assert seen["lost"] == 0
    assert seen["keys"] == [first, second, third]
    refused = json.loads(team.finished("environment").splitlines()[-1])
    assert refused["error"] == "InvalidAccessKeyId"
    assert refused["seconds"] >= GRACE - 1


def test_a_new_api_token_in_its_secret_is_taken_up_without_a_restart(
    release: Release, team: Team
) -> None:
    control = release.service.control
    before = release.restarts()
    former, fresh = release.token, control.set_token()

    release.write_token(fresh)
    control.revoke_token(former)
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()

    assert release.restarts() == before
    team.require_one_key_each()


def test_a_user_name_and_a_password_will_do_as_well(release: Release, team: Team) -> None:
    user = release.service.control.facts()
    release.write_secret("amove-login", {name: user[name] for name in ("username", "password")})

    release.install(
        **{
            "credentials.existingSecret": "amove-login",
            "credentials.login.type": str(user["loginType"]),
        }
    )
    team.apply(team.bucket("photos"), team.key("writer", "photos"))
    team.wait_until_ready()

    team.require_one_key_each()
    assert user["password"] not in release.logs()
