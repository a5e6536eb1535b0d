"""A real Kubernetes control plane for demo and tests: ``with ControlPlane() as plane: …``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from controlplane.binaries import ensure_binaries
from controlplane.certificates import Authority
from controlplane.components import (
    Layout,
    Site,
    apiserver_command,
    controller_manager_command,
    etcd_command,
    free_ports,
    prepare,
    write_pair,
)
from controlplane.errors import CommandError, CommandTimeout, ControlPlaneError, StartError
from controlplane.kubeconfigs import Cluster, certificate_user, token_user, write_kubeconfig
from controlplane.probe import Probe, wait_until
from controlplane.processes import Program, Warden
from controlplane.progress import Finish, to_stderr

# Open watches keep an API server from ending by itself, and nothing here is worth the wait.
STOP_GRACE = 3.0
OUTAGE_GRACE = 1.0
# Dependents first.
STOP_ORDER = ("kube-controller-manager", "kube-apiserver", "etcd")
# What tells that the controllers run: each is made by one of them.
SIGNS_OF_CONTROLLERS = (
    "/api/v1/namespaces/default/serviceaccounts/default",
    "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
)
ORPHAN = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "namespace": "default",
        "name": "controlplane-orphan",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "never-existed"}
        ],
    },
}
ORPHAN_PATH = "/api/v1/namespaces/default/configmaps/controlplane-orphan"


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager on 127.0.0.1, for as long as it is entered.

    There is no scheduler and no kubelet: pods are admitted, and stay Pending (dev/node has both).

    folder: where keys, data and logs go; must be absent or empty. Default: a temporary one.
    binaries: a folder with the programs. Default: ensure_binaries().
    start_deadline: seconds until the whole must be ready.
    site: another address than loopback, and what kubelets need.

    Raises ControlPlaneError when it cannot be had; the message names the program that failed, the
    end of its log, and where all logs are.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        binaries: Path | None = None,
        report: Finish = to_stderr,
        start_deadline: float = 90.0,
        site: Site | None = None,
    ) -> None:
        self._folder = folder
        self._binaries = binaries
        self._report = report
        self._deadline = start_deadline
        self._site = site or Site()
        self._programs: dict[str, Program] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(keep_logs=kind is not None)

    @property
    def bin(self) -> Path:
        """The folder with the programs, kubectl and helm among them."""
        if self._binaries is None:
            self._binaries = ensure_binaries(report=self._report)
        return self._binaries

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator (group system:masters)."""
        return self._layout.kubeconfig

    @property
    def server(self) -> str:
        """``https://<address>:<port>``; stays the same across stop_apiserver/start_apiserver."""
        return f"https://{self._site.address}:{self._port}"

    @property
    def ca_file(self) -> Path:
        return self._layout.ca_file

    @property
    def audit_log(self) -> Path:
        """JSON lines; read it with audit_events()."""
        return self._layout.audit_log

    @property
    def logs(self) -> Path:
        return self._layout.logs

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running programs, by program name."""
        return {name: each.pid for name, each in self._programs.items() if each.is_running}

    def start(self) -> None:
        """Return when the API server is ready and the controllers work."""
        binaries = self.bin
        self._layout = Layout(_fresh_folder(self._folder))
        self._port, self._etcd_port = free_ports(2)
        self._authority: Authority = prepare(self._layout, self.server, self._site)
        self._probe = Probe(self.kubeconfig)
        self._warden = Warden(remove=self._layout.worthless)
        try:
            self._launch(etcd_command(binaries, self._layout, self._etcd_port))
            self.start_apiserver()
            self._start_controller_manager()
        except ControlPlaneError as failure:
            self.stop(keep_logs=True)
            raise StartError(f"{failure}\nall logs: {self.logs}") from failure
        except BaseException:
            self.stop()
            raise

    def stop(self, *, keep_logs: bool = False) -> None:
        """End every program, dependents first, and remove the folder.

        The logs stay where they are with ``keep_logs``, or when a program had died on its own.
        """
        died = [name for name, program in self._programs.items() if not program.is_running]
        for name in STOP_ORDER:
            if name in self._programs:
                self._programs[name].stop(STOP_GRACE)
        self._programs.clear()
        self._warden.dismiss()
        if died:
            self._report(f"{', '.join(died)} had ended before its time")
        if died or keep_logs:
            self._report(f"logs kept in {self.logs}")
            _remove_all_but(self._layout.root, self.logs)
        else:
            shutil.rmtree(self._layout.root)

    def require_running(self) -> None:
        """Raise StartError when one of the programs has died."""
        for program in self._programs.values():
            program.require_running()

    def start_apiserver(self) -> None:
        """Start it (again), at the same address, and return when it is ready."""
        ports = (self._port, self._etcd_port)
        self._launch(apiserver_command(self.bin, self._layout, *ports, self._site))
        self._wait("kube-apiserver ready", lambda: self._probe.status("/readyz") == 200)

    def stop_apiserver(self) -> None:
        """An outage: what is stored stays."""
        self._programs.pop("kube-apiserver").stop(OUTAGE_GRACE)

    def back_up(self, folder: Path) -> None:
        """Copy what is stored to ``folder``, during an outage of all programs."""
        with self._all_stopped():
            shutil.copytree(self._layout.etcd_data, folder)

    def restore(self, folder: Path) -> None:
        """Go back to a copy: what was stored after it is lost, and versions are given out anew."""
        with self._all_stopped():
            shutil.rmtree(self._layout.etcd_data)
            shutil.copytree(folder, self._layout.etcd_data)

    @contextmanager
    def _all_stopped(self) -> Iterator[None]:
        for name in STOP_ORDER:
            self._programs.pop(name).stop(STOP_GRACE)
        yield
        self._launch(etcd_command(self.bin, self._layout, self._etcd_port))
        self.start_apiserver()
        self._start_controller_manager()

    def restart_controller_manager(self) -> None:
        """Make the garbage collector know the kinds that exist now, in about a second.

        A running one looks for new kinds only every 30 s: until then the Secrets owned by objects
        of a fresh CRD stay when their owner goes. So tests call this once their CRDs are in.
        """
        self._programs.pop("kube-controller-manager").stop(STOP_GRACE)
        self._start_controller_manager()

    def kubectl(
        self,
        *args: str,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, or as the user of ``kubeconfig``.

        Raises CommandError on a status other than 0, unless ``check`` is False, and
        CommandTimeout after ``timeout`` seconds.
        """
        return self._run("kubectl", args, input, check=check, as_user=kubeconfig, timeout=timeout)

    def helm(
        self,
        *args: str,
        input: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run helm, with caches and settings of its own, like kubectl()."""
        return self._run("helm", args, input, check=check, as_user=kubeconfig, timeout=timeout)

    def client_environment(self) -> dict[str, str]:
        """Variables that make kubectl and helm use this cluster and nothing of a person's own."""
        homes = self._layout.client_homes
        return {
            "KUBECONFIG": str(self.kubeconfig),
            # By default a cache is shared by all clusters at one address: ours come and go.
            "KUBECACHEDIR": str(homes / "kubectl"),
            "KUBERC": "off",
            "HELM_CACHE_HOME": str(homes / "helm-cache"),
            "HELM_CONFIG_HOME": str(homes / "helm-config"),
            "HELM_DATA_HOME": str(homes / "helm-data"),
        }

    def service_account_kubeconfig(
        self, namespace: str, name: str, path: Path | None = None, *, duration: str = "24h"
    ) -> Path:
        """Write a kubeconfig with a fresh token of a ServiceAccount that exists, and its path.

        The file can do what that ServiceAccount's roles allow, nothing more.
        """
        args = ("create", "token", name, f"--namespace={namespace}", f"--duration={duration}")
        token = self.kubectl(*args).stdout.strip()
        target = path or self._layout.kubeconfigs / f"serviceaccount-{namespace}-{name}"
        return write_kubeconfig(target, self._cluster, token_user(token), namespace)

    def user_kubeconfig(
        self, user: str, groups: Sequence[str] = (), path: Path | None = None
    ) -> Path:
        """Write a kubeconfig with a client certificate for ``user`` in ``groups``, and its path."""
        target = path or self._layout.kubeconfigs / f"user-{user.replace('/', '-')}"
        credentials = certificate_user(*self._authority.client(user, groups))
        return write_kubeconfig(target, self._cluster, credentials)

    def server_certificate(self, name: str, addresses: Sequence[str]) -> tuple[Path, Path]:
        """Certificate and private key (PEM files) by the cluster's authority, for ``addresses``."""
        write_pair(self._layout, name, self._authority.server(name, addresses))
        return self._layout.pki / f"{name}.crt", self._layout.pki / f"{name}.key"

    @property
    def _cluster(self) -> Cluster:
        return Cluster(self.server, self._authority.pem)

    def _start_controller_manager(self) -> None:
        self._launch(controller_manager_command(self.bin, self._layout, self._site))
        self._wait(
            "controllers working",
            lambda: all(self._probe.status(path) == 200 for path in SIGNS_OF_CONTROLLERS),
        )
        # The other signs outlive a restart. This one also says that all caches are filled.
        self.kubectl("create", "-f", "-", input=json.dumps(ORPHAN))
        self._wait("garbage collected", lambda: self._probe.status(ORPHAN_PATH) == 404)

    def _launch(self, command: list[str]) -> None:
        name = Path(command[0]).name
        if name in self._programs:
            raise StartError(f"{name} runs already: stop it first")
        self._programs[name] = Program.start(command, self._layout.root, self._warden)

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        wait_until(what, holds, self._deadline, self.require_running)

    def _run(
        self,
        program: str,
        args: Sequence[str],
        given: str | None,
        *,
        check: bool,
        as_user: Path | None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **self.client_environment()}
        if as_user is not None:
            environ["KUBECONFIG"] = str(as_user)
        command = " ".join([program, *args])
        try:
            done = subprocess.run(
                [str(self.bin / program), *args],
                input=given or "",  # nothing to read, rather than our own terminal
                env=environ,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = b"".join(each for each in (error.stdout, error.stderr) if each)
            server = self._programs.get("kube-apiserver")
            end = server.tail() if server is not None else "it was stopped"
            raise CommandTimeout(command, timeout, said.decode(errors="replace"), end) from None
        if check and done.returncode != 0:
            raise CommandError(command, done.returncode, done.stderr)
        return done


def _fresh_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="amove-controlplane-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StartError(f"{folder} is not empty: name another folder, or empty it")
    folder.chmod(0o700)
    return folder.resolve()


def _remove_all_but(root: Path, kept: Path) -> None:
    for entry in root.iterdir():
        if entry == kept:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
