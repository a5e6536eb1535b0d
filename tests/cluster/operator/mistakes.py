"""The commonest mistakes, each made for real: what is then to be seen, and where."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from amove_emulator import Emulator
from controlplane.certificates import Authority
from controlplane.launcher import ControlPlane
from tests.cluster.harness import BUCKET, Manifest, a_bucket, a_key, condition, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import a_secret
from tests.cluster.harness_operator import Operator

EXIT = "the Pod's log, exit 2"
LOG = "the operator's log"
CRDS = Path(__file__).parents[3] / "deploy/crds"
READYZ = "`/readyz`, and the log"
STATUS = "the object's status"
REFUSED = "the answer to `kubectl apply`"


@dataclass(frozen=True)
class Stage:
    """Where mistakes are made. ``run`` starts an operator; ``other``: another team's namespace."""

    plane: ControlPlane
    cluster: Cluster
    other: Cluster
    emulator: Emulator
    folder: Path
    run: Callable[..., Operator]

    def token(self, text: str) -> Path:
        path = self.folder / "mistaken"
        path.write_text(text)
        return path

    def ends(self, **settings: Any) -> str:
        """What a Pod says that does not start."""
        operator = self.run(wait=False, **settings)
        assert operator.wait() == 2, operator.tail
        return operator.log

    def logs(self, text: str, **settings: Any) -> str:
        """The line with ``text`` that an operator logs, and what an object with work says."""
        operator = self.run(wait=False, **settings)
        self.cluster.apply(a_bucket("waits"))
        return operator.wait_log(text)

    def readyz(self, text: str, **settings: Any) -> str:
        operator = self.run(wait=False, **settings)
        operator.wait_log(text)
        return operator.unready()

    def says(
        self, manifest: Manifest, reason: str, kind: str = "Stalled", status: str = "True"
    ) -> str:
        """What the object's status says, as ``kubectl describe`` shows it."""
        self.cluster.apply(manifest)
        named = manifest["kind"], manifest["metadata"]["name"]
        one = condition(self.cluster.until(*named, kind, reason, status=status), kind)
        return f"{one['reason']}: {one['message']}"


@contextmanager
def tls_server(answer: bytes, authority: Authority, folder: Path) -> Iterator[int]:
    """Something that speaks TLS with a certificate of a private CA; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks up

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(authority, folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(authority: Authority, folder: Path) -> tuple[Path, Path]:
    """Files of a server's certificate and its private key."""
    paths = folder / "server.crt", folder / "server.key"
    for path, content in zip(paths, authority.server("localhost", ["localhost"]), strict=True):
        path.write_bytes(content)
    return paths


def private_authority(stage: Stage) -> str:
    with tls_server(b"", Authority("a private CA"), stage.folder) as port:
        return stage.logs("held back", api_url=f"https://localhost:{port}")


def untrusted(stage: Stage) -> str:
    stage.run()
    return stage.says(a_key("app", bucketNames=["photos"]), "NotPermitted")


def unwatched(stage: Stage) -> str:
    operator = stage.run()
    stage.other.apply(a_bucket("elsewhere"))
    stage.cluster.apply(a_bucket("photos"))
    stage.cluster.ready(BUCKET, "photos")  # by now the other would be served as well
    assert "conditions" not in stage.other.found(BUCKET, "elsewhere").get("status", {})
    line = json.loads(operator.wait_log(" begins: "))
    watched = line["settings_in_use"]["AMOVE_WATCH_NAMESPACES"]
    shown = stage.plane.kubectl("get", "amovebuckets", "--namespace", stage.other.namespace)
    return f"AMOVE_WATCH_NAMESPACES: {watched}\n{shown.stdout}"


def exists(stage: Stage) -> str:
    stage.emulator.control.add_bucket("photos")
    stage.run()
    return stage.says(a_bucket("photos"), "BucketExists")


def claimed(stage: Stage) -> str:
    stage.run()
    stage.cluster.apply(a_bucket("photos"))
    stage.cluster.ready(BUCKET, "photos")
    return stage.says(a_bucket("again", bucketName="photos"), "BucketClaimed")


def no_such_bucket(stage: Stage) -> str:
    stage.run()
    key = a_key("app", bucketRefs=refs("fotos"))
    return stage.says(key, "BucketNotFound", "Ready", status="False")


def foreign_secret(stage: Stage) -> str:
    stage.run()
    stage.cluster.apply(a_secret("app", {"password": "theirs"}), a_bucket("photos"))
    return stage.says(a_key("app", bucketRefs=refs("photos")), "SecretConflict")


def placeholder(stage: Stage) -> str:
    stage.run()
    secret = {"template": {"config": "${secretKey} ${acessKey}"}}
    key = a_key("app", bucketRefs=refs("photos"), secret=secret)
    return stage.says(key, "InvalidTemplate")


def quota(stage: Stage) -> str:
    name, hard = "secrets", {"count/secrets": "0"}
    made: Manifest = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": stage.cluster.namespace},
        "spec": {"hard": hard},
    }
    stage.plane.kubectl("apply", "-f", "-", input=json.dumps(made))
    # As its controller would, which does not run here.
    used = json.dumps({"status": {"hard": hard, "used": {"count/secrets": "0"}}})
    patch = ("patch", "resourcequota", name, "--subresource=status", "--type=merge", "-p", used)
    stage.plane.kubectl(*patch, "--namespace", stage.cluster.namespace)
    stage.run()
    stage.cluster.apply(a_bucket("photos"))
    return stage.says(a_key("app", bucketRefs=refs("photos")), "SecretWriteRefused")


def roles_missing(stage: Stage) -> str:
    stranger = stage.plane.service_account_kubeconfig(stage.cluster.namespace, "default")
    return stage.readyz("waiting for Kubernetes", environ={"KUBECONFIG": str(stranger)})


def lease_missing(stage: Stage) -> str:
    where = {"leader_election": True, "lease_namespace": stage.cluster.namespace}
    return stage.readyz("could not be read or written", **where)


def refused(stage: Stage, **spec: Any) -> str:
    """What ``kubectl apply`` answers to such a key."""
    return stage.cluster.refused(a_key("app", bucketRefs=refs("photos"), **spec))


def no_spec(stage: Stage) -> str:
    manifest = a_key("app")
    del manifest["spec"]
    return stage.cluster.refused(manifest)


def bare(stage: Stage, *definitions: str) -> None:
    """Have only these files of deploy/crds in a cluster."""
    for each in sorted(CRDS.iterdir()):
        stage.plane.kubectl("delete", "--ignore-not-found", "--filename", str(each))
    for name in definitions:
        stage.plane.kubectl("apply", "--filename", str(CRDS / name))


def crds_missing(stage: Stage) -> str:
    bare(stage, "amove-fence-policy.yaml", "amove-fence-binding.yaml")
    return stage.readyz("are not installed", **on(stage))


def fence_missing(stage: Stage) -> str:
    bare(stage, "storage.amove.io_amovebuckets.yaml", "storage.amove.io_amovestoragekeys.yaml")
    return stage.readyz("does not stand", **on(stage))


def on(stage: Stage) -> dict[str, Any]:
    """The settings of an operator for the stage's own cluster."""
    return {"environ": {"KUBECONFIG": str(stage.plane.kubeconfig)}, "watch_namespaces": None}


MISTAKES: dict[str, tuple[str, Callable[[Stage], str]]] = {
    "No token": (EXIT, lambda stage: stage.ends(token_file=None)),
    "An empty token": (EXIT, lambda stage: stage.ends(token_file=stage.token("\n"))),
    "`Bearer` in the token": (
        EXIT,
        lambda stage: stage.ends(token_file=stage.token("Bearer amv_1")),
    ),
    "Plain http": (EXIT, lambda stage: stage.ends(api_url="http://api.corp")),
    "A wrong rate": (EXIT, lambda stage: stage.ends(rate_limit="10/s")),
    "A wrong account": (EXIT, lambda stage: stage.ends(cloud_account_id="my-account")),
    "A wrong token": (
        LOG,
        lambda stage: stage.logs("held back", token_file=stage.token("amv_of_yesterday")),
    ),
    "A wrong host": (LOG, lambda stage: stage.logs("held back", api_url="https://api.invalid")),
    "The S3 host as API URL": (
        LOG,
        lambda stage: stage.logs("held back", api_url=stage.emulator.s3_url),
    ),
    "A private CA": (LOG, private_authority),
    "The CRDs are missing": (READYZ, crds_missing),
    "The fence is missing": (READYZ, fence_missing),
    "A role is missing": (READYZ, roles_missing),
    "The right to Leases is missing": (READYZ, lease_missing),
    "An untrusted namespace": (STATUS, untrusted),
    "A namespace that is not watched": (STATUS, unwatched),
    "The bucket exists already": (STATUS, exists),
    "The bucket is claimed": (STATUS, claimed),
    "No such AmoveBucket": (STATUS, no_such_bucket),
    "Somebody else's Secret": (STATUS, foreign_secret),
    "An unknown placeholder": (STATUS, placeholder),
    "A quota": (STATUS, quota),
    "`interval: 30d`": (
        REFUSED,
        lambda stage: refused(stage, rotation={"interval": "30d"}),
    ),
    "No spec": (REFUSED, no_spec),
    "A wrong UUID": (
        REFUSED,
        lambda stage: refused(stage, cloudAccountId="6BA7B810-9DAD-11D1-80B4-00C04FD430C8"),
    ),
}
"""By the heading in docs/troubleshooting.md: where it shows, and how it is made."""
ON_A_BARE_CLUSTER = ("The CRDs are missing", "The fence is missing")
