"""How the cluster is found, and the one line that is said when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from amove_operator.errors import SettingsError
from amove_operator.kube import connection
from amove_operator.kube.connection import find_access


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ServiceAccount and no kubeconfig of the person who runs the tests."""
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path / "serviceaccount")
    monkeypatch.setattr(connection, "HOME_KUBECONFIG", str(tmp_path / "home-config"))


def kubeconfig(path: Path, *, cluster: dict[str, Any], namespace: str | None = None) -> str:
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t0k3n"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


def with_another_context(path: Path) -> str:
    """A kubeconfig with two contexts, of which none is the current one."""
    config = yaml.safe_load(
        Path(kubeconfig(path, cluster={"server": "https://10.0.0.1"})).read_text()
    )
    there = {"cluster": "d", "user": "u", "namespace": "team"}
    config["contexts"].append({"name": "there", "context": there})
    config["clusters"].append({"name": "d", "cluster": {"server": "https://10.0.0.2"}})
    del config["current-context"]
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def fault(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        await find_access(environment)
    text = str(refused.value)
    assert "\n" not in text
    assert "t0k3n" not in text
    return text


async def test_no_cluster_at_all_names_the_variable_to_set() -> None:
    assert "set KUBECONFIG" in await fault({})


async def test_a_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    text = await fault({"KUBECONFIG": str(tmp_path / "absent")})
    assert "absent does not exist" in text


@pytest.mark.parametrize(
    "content",
    ["", "just words", "a: [", "current-context: x", "clusters: []\ncontexts: []\nusers: []"],
)
async def test_a_kubeconfig_that_makes_no_sense_is_named(tmp_path: Path, content: str) -> None:
    broken = tmp_path / "broken"
    broken.write_text(content)
    assert f"{broken} cannot be used" in await fault({"KUBECONFIG": str(broken)})


async def test_a_server_without_verified_tls_is_refused(tmp_path: Path) -> None:
    insecure = {"server": "https://10.0.0.1", "insecure-skip-tls-verify": True}
    path = kubeconfig(tmp_path / "one", cluster=insecure)
    assert "certificate-authority" in await fault({"KUBECONFIG": path})
    path = kubeconfig(tmp_path / "two", cluster={"server": "http://10.0.0.1:8080"})
    assert "write https://" in await fault({"KUBECONFIG": path})


async def test_a_local_proxy_may_be_plain_http(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "c", cluster={"server": "http://127.0.0.1:8001"})
    access = await find_access({"KUBECONFIG": path})
    assert access.configuration.host == "http://127.0.0.1:8001"


async def test_the_home_kubeconfig_is_the_last_resort(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home-config", cluster={"server": "https://10.0.0.1"})
    access = await find_access({})
    assert access.configuration.host == "https://10.0.0.1"


@pytest.mark.parametrize(
    ("variable", "mounted", "context", "expected"),
    [
        ("by-variable", "by-file", "by-context", "by-variable"),
        (None, "by-file", "by-context", "by-file"),
        (None, None, "by-context", "by-context"),
        (None, None, None, "default"),
    ],
)
async def test_the_own_namespace(
    tmp_path: Path, variable: str | None, mounted: str | None, context: str | None, expected: str
) -> None:
    server = {"server": "https://10.0.0.1"}
    environment = {"KUBECONFIG": kubeconfig(tmp_path / "c", cluster=server, namespace=context)}
    if variable:
        environment["POD_NAMESPACE"] = variable
    if mounted:
        (tmp_path / "serviceaccount").mkdir()
        (tmp_path / "serviceaccount" / "namespace").write_text(f"{mounted}\n")
    assert (await find_access(environment)).namespace == expected


async def test_another_context_may_be_named_and_one_that_is_not_there_is(tmp_path: Path) -> None:
    path = with_another_context(tmp_path / "c")
    access = await find_access({"KUBECONFIG": path}, "there")
    assert (access.configuration.host, access.namespace) == ("https://10.0.0.2", "team")
    with pytest.raises(SettingsError, match="elsewhere"):
        await find_access({"KUBECONFIG": path}, "elsewhere")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_used_only_when_there_is_one(
    tmp_path: Path, variable: str
) -> None:
    path = kubeconfig(tmp_path / "c", cluster={"server": "https://10.0.0.1"})
    plain = await find_access({"KUBECONFIG": path})
    assert plain.configuration.client_session_kwargs == {"trust_env": False}
    proxied = await find_access({"KUBECONFIG": path, variable: "http://127.0.0.1:3128"})
    assert proxied.configuration.client_session_kwargs == {"trust_env": True}


def mount(folder: Path) -> None:
    folder.mkdir()
    (folder / "token").write_text("one\n")
    (folder / "ca.crt").write_text("a certificate")


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


async def test_in_a_pod_the_mounted_token_is_followed(tmp_path: Path) -> None:
    mount(tmp_path / "serviceaccount")
    access = await find_access(POD)
    assert access.configuration.host == "https://10.96.0.1:443"
    assert access.configuration.ssl_ca_cert == str(tmp_path / "serviceaccount" / "ca.crt")
    assert await bearer(access.configuration) == "Bearer one"
    (tmp_path / "serviceaccount" / "token").write_text("two")
    assert await bearer(access.configuration) == "Bearer one"
    assert access.bearer is not None
    access.bearer.expire()
    assert await bearer(access.configuration) == "Bearer two"


async def test_a_pod_without_a_usable_serviceaccount_says_so(tmp_path: Path) -> None:
    mount(tmp_path / "serviceaccount")
    (tmp_path / "serviceaccount" / "ca.crt").unlink()
    assert "ServiceAccount cannot be used" in await fault(POD)


async def test_kubeconfig_wins_over_the_pod(tmp_path: Path) -> None:
    mount(tmp_path / "serviceaccount")
    path = kubeconfig(tmp_path / "c", cluster={"server": "https://10.0.0.1"})
    access = await find_access({**POD, "KUBECONFIG": path})
    assert access.configuration.host == "https://10.0.0.1"


async def bearer(configuration: Any) -> str:
    token: str = await configuration.get_api_key_with_prefix("BearerToken", "authorization")
    return token
