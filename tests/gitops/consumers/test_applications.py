"""The examples for application developers run: each puts, gets and lists with what the operator
wrote into a Secret, against an S3 that checks every signature.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from clients import EXAMPLES, go_client, java_client, javascript_client, rust_client, tools
from tests.cluster.harness import KEY, a_key, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import another_key
from tests.cluster.harness_operator import Operator
from tests.gitops.consumers.applications import (
    APP_BUCKET,
    declare,
    environment,
    mounted,
    run,
    secret_of_deployment,
    stored,
)

pytestmark = pytest.mark.gitops

SDKS: dict[str, Callable[[], list[str]]] = {
    "Python": lambda: [sys.executable, str(EXAMPLES / "python" / "main.py")],
    "Go": go_client,
    "JavaScript": javascript_client,
    "Java": java_client,
    "Rust": rust_client,
}
SLOW = {"Rust": (pytest.mark.long, pytest.mark.timeout(1800))}
"""Whose first build takes minutes."""


@pytest.fixture(scope="module")
def shop(team: Cluster, operator: Operator) -> Cluster:
    """The namespace with what the examples declare."""
    del operator
    declare(team)
    return team


def put_got_and_listed(shop: Cluster, said: str, name: str, text: str) -> None:
    """The client read what it had written, saw it in the list, and another client reads it too."""
    assert f"read: {text}" in said, said
    assert name in said.split("read: ")[1], said
    assert stored(shop, f"hello/{name}").startswith(text)


def by_a_name(values: dict[str, str]) -> dict[str, str]:
    """The Secret with the endpoint by a host's name, as a user's is.

    Before an address no client puts the bucket's name, whatever it is told of the path's style.
    """
    named = {each: text.replace("127.0.0.1:", "localhost:") for each, text in values.items()}
    assert named != values
    return named


@pytest.mark.parametrize(
    "language", [pytest.param(each, marks=SLOW.get(each, ())) for each in SDKS]
)
def test_an_unmodified_sdk_works_with_the_secret_as_its_environment(
    shop: Cluster, tmp_path: Path, language: str
) -> None:
    values = by_a_name(shop.secret("app"))
    said = run(SDKS[language](), environment(tmp_path, **values))
    put_got_and_listed(shop, said, f"{language.lower()}.txt", f"hello from {language}")


def test_a_wrong_secret_half_is_refused_by_its_signature(shop: Cluster, tmp_path: Path) -> None:
    wrong = shop.secret("app") | {"AWS_SECRET_ACCESS_KEY": "0" * 40}
    said = run(go_client(), environment(tmp_path, **wrong), check=False)
    assert "SignatureDoesNotMatch" in said


def test_the_aws_cli_works_with_the_credentials_file(shop: Cluster, tmp_path: Path) -> None:
    volume = mounted(tmp_path, by_a_name(shop.secret("app-credentials")))
    environ = environment(
        tmp_path, AWS_SHARED_CREDENTIALS_FILE=str(volume / "credentials"), BUCKET=APP_BUCKET
    )
    said = run(["sh", str(EXAMPLES / "awscli/main.sh")], with_tools(environ))
    put_got_and_listed(shop, said, "awscli.txt", "hello from the AWS CLI")


def test_rclone_works_with_its_configuration(shop: Cluster, tmp_path: Path) -> None:
    volume = mounted(tmp_path, by_a_name(shop.secret("app-rclone")))
    environ = environment(tmp_path, RCLONE_CONFIG=str(volume / "rclone.conf"), BUCKET=APP_BUCKET)
    said = run(["sh", str(EXAMPLES / "rclone/main.sh")], with_tools(environ))
    put_got_and_listed(shop, said, "rclone.txt", "hello from rclone")


def test_s3cmd_works_with_its_configuration(shop: Cluster, tmp_path: Path) -> None:
    volume = mounted(tmp_path, by_a_name(shop.secret("app-s3cmd")))
    environ = environment(tmp_path, S3CFG=str(volume / "s3cfg"), BUCKET=APP_BUCKET)
    # The tests' S3 is on loopback and speaks plain HTTP, which the configuration rightly does not.
    said = run(["sh", str(EXAMPLES / "s3cmd/main.sh"), "--no-ssl"], with_tools(environ))
    put_got_and_listed(shop, said, "s3cmd.txt", "hello from s3cmd")


def test_duckdb_works_with_its_statement(shop: Cluster, tmp_path: Path) -> None:
    secret = by_a_name(shop.secret("app-duckdb"))
    # As above: the Secret's statement speaks TLS, the tests' S3 does not.
    plain = secret["secret.sql"].replace("'path'", "'path', USE_SSL false")
    volume = mounted(tmp_path, secret | {"secret.sql": plain})
    command = [str(tools() / "python"), str(EXAMPLES / "duckdb/main.py")]
    said = run(command, environment(tmp_path, AMOVE=str(volume)))
    assert "read: hello from DuckDB" in said
    assert f"listed: s3://{APP_BUCKET}/hello/duckdb.parquet" in said
    assert stored(shop, "hello/duckdb.parquet").startswith("PAR1")  # as Parquet files begin


def test_a_service_binding_finds_the_secret_and_a_client_its_entries(
    shop: Cluster, tmp_path: Path
) -> None:
    declared = yaml.safe_load((EXAMPLES / "service-binding/servicebinding.yaml").read_text())
    service = declared["spec"]["service"]
    # By the duck type alone, as an implementation does that knows nothing of our kinds.
    name = shop.found(service["kind"], service["name"])["status"]["binding"]["name"]
    secret = shop.found("Secret", name)
    assert secret["type"] == "servicebinding.io/s3"
    entries = shop.secret(name)
    assert (entries["type"], entries["provider"]) == ("s3", "amove")
    root = tmp_path / "bindings"
    mounted(root, by_a_name(entries)).rename(root / declared["spec"]["name"])
    command = [sys.executable, str(EXAMPLES / "service-binding/main.py")]
    said = run(command, environment(tmp_path, SERVICE_BINDING_ROOT=str(root)))
    put_got_and_listed(shop, said, "binding.txt", "hello from a binding")


def test_the_deployment_takes_the_secret_that_the_key_writes_and_names_it_to_reloader(
    shop: Cluster,
) -> None:
    text = (EXAMPLES / "deployment.yaml").read_text()
    name = secret_of_deployment(text)
    assert shop.found(KEY, "app")["status"]["binding"]["name"] == name
    annotations = yaml.safe_load(text)["metadata"]["annotations"]
    assert annotations == {"secret.reloader.stakater.com/reload": name}
    # The API server takes it.
    shop.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=text)


def test_a_rotation_changes_the_data_that_reloader_hashes_and_nothing_else_does(
    shop: Cluster,
) -> None:
    shop.apply(a_key("reloaded", bucketRefs=refs(APP_BUCKET)))
    first = shop.ready(KEY, "reloaded")["status"]["key"]["id"]
    before = shop.found("Secret", "reloaded")["data"]
    shop.patch(KEY, "reloaded", {"spec": {"secret": {"labels": {"team": "shop"}}}})
    shop.ready(KEY, "reloaded")
    assert shop.found("Secret", "reloaded")["data"] == before
    shop.annotate(KEY, "reloaded", rotate_requested_at="now")
    another_key(shop, KEY, "reloaded", first)
    assert shop.found("Secret", "reloaded")["data"] != before


def test_the_locks_of_the_examples_name_no_place_to_download_from() -> None:
    locked = json.loads((EXAMPLES / "javascript/package-lock.json").read_text())["packages"]
    assert all("integrity" in one for name, one in locked.items() if name)
    for file in EXAMPLES.rglob("*"):
        if file.is_file() and file.name != "pom.xml":
            assert "resolved" not in file.read_text(), file
    cargo = (EXAMPLES / "rust/Cargo.toml").read_text()
    assert cargo.count('version = "=') == 3


def with_tools(environ: dict[str, str]) -> dict[str, str]:
    """The same with aws, rclone and s3cmd on the PATH."""
    return environ | {"PATH": f"{tools()}:{environ['PATH']}"}
