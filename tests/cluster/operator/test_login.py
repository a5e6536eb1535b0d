"""The operator by user name and password: one session, and a wrong password tried once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amove_emulator import Emulator
from tests.cluster.fixtures import RunOperator
from tests.cluster.harness import BUCKET, KEY, a_bucket, a_key, condition, eventually, refs
from tests.cluster.harness_cluster import Cluster


@pytest.fixture
def login(emulator: Emulator, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The settings of a login; writes the files."""

    def make(password: str | None = None) -> dict[str, Any]:
        facts = emulator.facts()
        files = {"username": facts["username"], "password": password or facts["password"]}
        for name, text in files.items():
            (tmp_path / name).write_text(f"{text}\n")
        return {
            "token_file": None,
            "username_file": tmp_path / "username",
            "password_file": tmp_path / "password",
            "login_type": facts["loginType"],
        }

    return make


def test_the_whole_job_takes_one_session_and_a_new_one_where_it_ends(
    login: Callable[..., dict[str, Any]],
    emulator: Emulator,
    cluster: Cluster,
    run_operator: RunOperator,
) -> None:
    operator = run_operator(**login())
    names = [f"team-{number}" for number in range(12)]
    cluster.apply(*(a_bucket(name) for name in names))
    cluster.apply(*(a_key(name, bucketRefs=refs(name)) for name in names))
    for name in names:
        cluster.ready(KEY, name)
    assert emulator.control.count("login") == 1

    emulator.control.end_sessions()
    cluster.apply(a_bucket("later"))
    cluster.ready(BUCKET, "later")
    assert emulator.control.count("login") == 2

    known = emulator.control.credentials()
    for credential in (*known["secretKeys"], *known["others"]):
        assert credential not in operator.log


def test_a_wrong_password_is_tried_once_and_said_and_a_corrected_one_is_taken_at_once(
    login: Callable[..., dict[str, Any]],
    emulator: Emulator,
    cluster: Cluster,
    run_operator: RunOperator,
) -> None:
    operator = run_operator(**login("a-typing-mistake"))
    cluster.apply(a_bucket("photos"), a_bucket("logs"))
    for name in ("photos", "logs"):
        seen = cluster.until(BUCKET, name, "Synced", "ApiUnauthorized", status="False")
        message = condition(seen, "Synced")["message"]
        assert "AMOVE_PASSWORD_FILE" in message
        assert "typing" not in message
    asked = cluster.now().timestamp()
    # What would hammer it has had its time: both objects come again, and the breaker probes.
    eventually(lambda: cluster.now().timestamp() - asked > 8, what="some retries")
    assert emulator.control.count("login") == 1

    login()

    for name in ("photos", "logs"):
        cluster.ready(BUCKET, name)
    assert emulator.control.count("login") == 2
    assert "a-typing-mistake" not in operator.log
