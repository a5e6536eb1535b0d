"""One run from start to end: the cluster, the emulator, the play, and the tidying up."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from controlplane import ControlPlane, ensure_binaries
from demo.cluster import Cluster
from demo.emulator import RunningEmulator
from demo.errors import RefusedError
from demo.installation import Installation, Values
from demo.keep import invite, stay
from demo.play import Play
from demo.preflight import require_free
from demo.screen import Screen
from demo.workplace import Workplace


def run(*, keep: bool, kubeconfig: Path | None) -> None:
    """Return when every step held. ``kubeconfig``: a cluster that is there; None: one of our own.

    Raises RefusedError, with nothing touched, when that cluster is not free for the demo,
    ControlPlaneError when kubectl and the rest cannot be had, and whatever made a step fail, after
    the screen has told of it.
    """
    binaries = ensure_binaries()
    screen = Screen()
    screen.say("The Amove operator at work: a real Kubernetes API, an emulated Amove API, real S3.")
    with Workplace() as place, ExitStack() as stack:
        stage = Stage(screen, place, binaries, stack, keep=keep)
        try:
            if kubeconfig is None:
                stage.on_our_own_cluster()
            else:
                stage.on_a_given_cluster(kubeconfig)
        except RefusedError:
            raise
        except Exception:
            screen.say(f"FAILED: {', and: '.join(screen.failed)}. Logs: {place.logs}")
            raise
        screen.say(f"All {screen.held} steps held, in {screen.seconds:.1f} s.")


class Stage:
    """What both kinds of run share. What ``stack`` holds ends with the run."""

    def __init__(
        self, screen: Screen, place: Workplace, binaries: Path, stack: ExitStack, *, keep: bool
    ) -> None:
        self._screen = screen
        self._place = place
        self._binaries = binaries
        self._stack = stack
        self._keep = keep
        # It starts while the rest does.
        self._emulator = RunningEmulator(place)

    def on_our_own_cluster(self) -> None:
        """Start a control plane, play, and end it; nothing in it needs tidying."""
        # Silent, since its logs are among those that we tell of.
        logs = self._place.logs / "controlplane"
        plane = ControlPlane(logs, binaries=self._binaries, report=lambda _line: None)
        with self._screen.step("Kubernetes and the Amove emulator are up") as step:
            self._stack.enter_context(plane)
            self._emulator.wait()
            step.show(f"Kubernetes API {plane.server}, Amove API {self._emulator.url}")
        cluster = Cluster(self._binaries, plane.client_environment())
        values = Values(self._emulator.url, install_crds=True, one_namespace=False)
        play = self._play(cluster, Installation(cluster, values))
        self._perform(play, cluster)
        self._stop_operator(play)

    def on_a_given_cluster(self, kubeconfig: Path) -> None:
        """Play on a cluster that is free for it, and leave that as it was, whatever happens."""
        homes = ("KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        environ = {"KUBECONFIG": str(kubeconfig), "KUBERC": "off"}
        environ |= {name: str(self._place.home) for name in homes}
        cluster = Cluster(self._binaries, environ)
        with self._screen.step("this cluster is free for the demo") as step:
            crds_there = require_free(cluster)
            self._emulator.wait()
            context = cluster.kubectl("config", "current-context").strip()
            step.show(f"context {context}; Amove API {self._emulator.url}")
        values = Values(self._emulator.url, install_crds=not crds_there, one_namespace=True)
        installation = Installation(cluster, values)
        play = self._play(cluster, installation)
        try:
            self._perform(play, cluster)
        finally:
            self._leave_as_it_was(play, installation)

    def _play(self, cluster: Cluster, installation: Installation) -> Play:
        return Play(self._screen, self._place, cluster, self._emulator, installation)

    def _perform(self, play: Play, cluster: Cluster) -> None:
        try:
            play.perform()
        except Exception:
            # That is when one wants to look.
            self._stay(play, cluster)
            raise
        self._stay(play, cluster)

    def _stay(self, play: Play, cluster: Cluster) -> None:
        if self._keep:
            invite(self._screen, self._place, cluster, self._emulator)
            stay(play.require_running)

    def _stop_operator(self, play: Play) -> None:
        with self._screen.step("the operator ends in order at SIGTERM"):
            play.stop_operator()

    def _leave_as_it_was(self, play: Play, installation: Installation) -> None:
        with self._screen.step("the cluster is as it was") as step, ExitStack() as undo:
            # Last first, and each whatever becomes of the others.
            undo.callback(lambda: step.show(installation.remove()))
            undo.callback(play.stop_operator)
            undo.callback(installation.delete_resources)
            # People may have put objects into the buckets of a kept demo.
            for bucket in self._emulator.control.buckets():
                self._emulator.control.empty_bucket(bucket)
