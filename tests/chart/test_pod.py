"""The installed wheel, run as a kubelet would run the chart's Pod, with nothing more to lean on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from amove_emulator import Emulator
from controlplane import ControlPlane
from controlplane.components import free_ports
from controlplane.processes import Warden
from demo.cluster import Cluster
from demo.deployment import mounted_files, read_container
from tests.chart.container import Container, image_environment, instruction
from tests.chart.rendering import CHART, NAMESPACE, Manifest
from tests.chart.waiting import until
from tests.patience import PATIENCE

# So short that the variables of a Service's links begin as those of our settings do.
NAME = "amove"
TENANT = "team-a"
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
WISHES = [
    {"kind": "AmoveBucket", "spec": {}},
    {
        "kind": "AmoveStorageKey",
        "spec": {"permission": "ReadWrite", "bucketRefs": [{"name": "photos"}]},
    },
]


@pytest.fixture(scope="module")
def deployment(plane: ControlPlane, emulator_server: Emulator) -> Manifest:
    """The chart's Deployment, installed with credentials for the emulator."""
    for namespace in (NAMESPACE, TENANT):
        plane.kubectl("create", "namespace", namespace)
    here = f"--namespace={NAMESPACE}"
    token = f"--from-literal=token={emulator_server.api_token}"
    plane.kubectl("create", "secret", "generic", "credentials", here, token)
    metrics, health = free_ports(2)
    values = {
        "fullnameOverride": NAME,
        "credentials.existingSecret": "credentials",
        "image.repository": "unused",
        "settings.apiUrl": emulator_server.url,
        "settings.authUrl": emulator_server.url,
        "settings.metricsPort": str(metrics),
        "settings.healthPort": str(health),
    }
    options = [f"--set={name}={value}" for name, value in values.items()]
    plane.helm("install", NAME, str(CHART), here, *options)
    crds = ("crd/amovebuckets.storage.amove.io", "crd/amovestoragekeys.storage.amove.io")
    plane.kubectl("wait", "--for=condition=Established", "--timeout=120s", *crds)
    found: Manifest = json.loads(
        plane.kubectl("get", "deployment", NAME, here, "--output=json").stdout
    )
    return found


def service_links(plane: ControlPlane) -> dict[str, str]:
    """What a kubelet adds for each Service of the namespace, unless the Pod forbids it."""
    got = plane.kubectl("get", "services", f"--namespace={NAMESPACE}", "--output=json").stdout
    links: dict[str, str] = {}
    for service in json.loads(got)["items"]:
        prefix, host = service["metadata"]["name"].upper().replace("-", "_"), "10.0.0.9"
        for port in reversed(service["spec"]["ports"]):
            number = str(port["port"])
            one = f"{prefix}_PORT_{number}_TCP"
            links |= {
                f"{prefix}_SERVICE_HOST": host,
                f"{prefix}_SERVICE_PORT": number,
                f"{prefix}_SERVICE_PORT_{port['name'].upper()}": number,
                f"{prefix}_PORT": f"tcp://{host}:{number}",
                one: f"tcp://{host}:{number}",
                f"{one}_PROTO": "tcp",
                f"{one}_PORT": number,
                f"{one}_ADDR": host,
            }
    return links


@contextmanager
def running(
    plane: ControlPlane, deployment: Manifest, links: dict[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The Pod's one process, and its log. It is killed at the end where it still runs."""
    wanted = read_container(deployment)
    (folder / "root").mkdir()
    container = Container(folder / "root")
    cluster = Cluster(plane.bin, plane.client_environment())
    for path, content in mounted_files(cluster, wanted, NAMESPACE).items():
        container.file(path, content)
    account = f"--namespace={NAMESPACE}"
    token = plane.kubectl("create", "token", wanted.service_account, account).stdout.strip()
    container.file(f"{SERVICE_ACCOUNT}/token", token.encode())
    container.file(f"{SERVICE_ACCOUNT}/ca.crt", plane.ca_file.read_bytes())
    container.file(f"{SERVICE_ACCOUNT}/namespace", NAMESPACE.encode())
    host, port = plane.server.removeprefix("https://").split(":")
    environ = {
        **image_environment(),
        **links,
        **{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        **wanted.environ,
    }
    allowed = deployment["spec"]["template"]["spec"]["securityContext"]
    # Of the image's USER a kubelet takes over only the first part.
    user = str(allowed.get("runAsUser", instruction("USER").split(":")[0]))
    group = str(allowed.get("runAsGroup", 0))
    entry: list[str] = json.loads(instruction("ENTRYPOINT"))
    log, warden = folder / "log", Warden(remove=[])
    process = container.start([*entry, *wanted.arguments], environ, user, group, log)
    try:
        warden.watch(process.pid)
        yield process, log
    finally:
        process.kill()
        process.wait()
        warden.dismiss()


@pytest.mark.parametrize("linked", [False, True], ids=["as the chart says", "with service links"])
def test_a_pod_of_the_chart_issues_a_key(
    plane: ControlPlane, emulator: Emulator, deployment: Manifest, tmp_path: Path, linked: bool
) -> None:
    """As a user without a name, a group of its own, a home and a file that can be written."""
    links = service_links(plane) if linked else {}
    with running(plane, deployment, links, tmp_path) as (process, log):
        try:
            _issues(plane, process, log)
            # All that is strange to it in one line.
            assert log.read_text().count("no such setting") == linked
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0, log.read_text()


def _issues(plane: ControlPlane, process: subprocess.Popen[bytes], log: Path) -> None:
    where = f"--namespace={TENANT}"
    kinds = "amovebuckets,amovestoragekeys"
    for wish in WISHES:
        named = {"apiVersion": "storage.amove.io/v1alpha1", "metadata": {"name": "photos"}, **wish}
        plane.kubectl("apply", where, "--filename=-", input=json.dumps(named))

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        form = '--output=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        return plane.kubectl("get", kinds, where, form).stdout.split() == ["True", "True"]

    until("bucket and key are Ready", ready)
    plane.kubectl("get", "secret", "photos", where)
    told = Path(f"/proc/{process.pid}/status").read_text()
    for kind, mine in (("Uid", os.geteuid()), ("Gid", os.getegid())):
        # Real, effective, saved and of the file system; seen from outside, it may only become us.
        assert f"{kind}:" + 4 * f"\t{mine or 65532}" in told
    plane.kubectl("delete", kinds, "photos", where)


def test_helm_test_runs_doctor_with_the_operators_account_and_all_is_well(
    plane: ControlPlane, emulator: Emulator, deployment: Manifest, tmp_path: Path
) -> None:
    """The Pod of the hook as helm has it, in a container as a kubelet would make it."""
    hooks = plane.helm("get", "hooks", NAME, f"--namespace={NAMESPACE}").stdout
    (pod,) = [one for one in yaml.safe_load_all(hooks) if one]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    as_deployment = {"metadata": pod["metadata"], "spec": {"template": {"spec": pod["spec"]}}}
    with running(plane, as_deployment, {}, tmp_path) as (process, log):
        code = process.wait(PATIENCE)
    said = log.read_text()
    assert code == 0, said
    assert f"system:serviceaccount:{NAMESPACE}:{NAME}" in said
    levels = [line.split()[0] for line in said.splitlines()]
    assert set(levels) == {"ok", "warn"}, said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("warn")] == ["lease"]
