"""One run from start to end: the cluster, the emulator, the play, and the tidying up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from controlplane import ControlPlane, ensure_binaries
from demo.cluster import Cluster
from demo.emulator import RunningEmulator
from demo.errors import RefusedError
from demo.installation import Installation, Values
from demo.keep import Hints, invite, stay
from demo.on_a_node import hints_on_a_node, tls_on, values_on_a_node
from demo.operator_pod import OperatorPod
from demo.operator_process import OperatorProcess
from demo.page import Page
from demo.play import Operator, Play
from demo.preflight import require_free
from demo.screen import Screen
from demo.workplace import Workplace
from node import Node
from node.images import APPLICATION, OPERATOR, ensure_images


def run(*, keep: bool, kubeconfig: Path | None, on_a_node: bool) -> None:
    """Return when every step held.

    ``kubeconfig``: a cluster that is there; None: one of our own, ``on_a_node`` with a node for
    pods, inside a box (dev/node). Raises RefusedError, with nothing touched, when that cluster is
    not free for the demo, ControlPlaneError when kubectl and the rest cannot be had, and whatever
    made a step fail, after the screen has told of it.
    """
    binaries = ensure_binaries()
    screen = Screen()
    screen.say("The Amove operator at work: a real Kubernetes API, an emulated Amove API, real S3.")
    with Workplace() as place, ExitStack() as stack:
        stage = Stage(screen, place, binaries, stack, keep=keep)
        try:
            if on_a_node:
                stage.on_a_node_of_our_own()
            elif kubeconfig is None:
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
    """What all kinds of run share. What ``stack`` holds ends with the run."""

    def __init__(
        self, screen: Screen, place: Workplace, binaries: Path, stack: ExitStack, *, keep: bool
    ) -> None:
        self._screen = screen
        self._place = place
        self._binaries = binaries
        self._stack = stack
        self._keep = keep

    def on_our_own_cluster(self) -> None:
        """Start a control plane, play, and end it; nothing in it needs tidying."""
        # Silent, since its logs are among those that we tell of.
        logs = self._place.logs / "controlplane"
        plane = ControlPlane(logs, binaries=self._binaries, report=_silent)
        # It starts while the rest does.
        emulator = RunningEmulator(self._place)
        with self._screen.step("Kubernetes and the Amove emulator are up") as step:
            self._stack.enter_context(plane)
            emulator.wait()
            step.show(f"Kubernetes API {plane.server}, Amove API {emulator.url}")
        cluster = Cluster(self._binaries, plane.client_environment())
        values = Values(emulator.url, install_crds=True, one_namespace=False)
        operator = OperatorProcess(self._place, cluster)
        play = self._play(cluster, emulator, Installation(cluster, values), operator)
        self._perform(play, cluster, emulator)
        self._stop(operator)

    def on_a_node_of_our_own(self) -> None:
        """The same with a node, on which the operator and an application run as pods."""
        with self._screen.step("Kubernetes, a node and the Amove emulator are up") as step:
            node = self._stack.enter_context(Node(ensure_images(_silent), report=_silent))
            emulator = RunningEmulator(self._place, tls_on(node))
            emulator.wait()
            step.show(f"Kubernetes API {node.plane.server}, Amove API {emulator.url}")
            step.show(f"images {OPERATOR}, {APPLICATION}")
        cluster = Cluster(self._binaries, node.environ)
        operator = OperatorPod(cluster)
        installation = Installation(cluster, values_on_a_node(emulator.url, operator.replicas))
        page = Page(cluster)
        play = self._play(cluster, emulator, installation, operator, page)
        self._perform(play, cluster, emulator, lambda: hints_on_a_node(operator, page))
        self._stop(operator)

    def on_a_given_cluster(self, kubeconfig: Path) -> None:
        """Play on a cluster that is free for it, and leave that as it was, whatever happens."""
        homes = ("KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        environ = {"KUBECONFIG": str(kubeconfig), "KUBERC": "off"}
        environ |= {name: str(self._place.home) for name in homes}
        cluster = Cluster(self._binaries, environ)
        emulator = RunningEmulator(self._place)
        with self._screen.step("this cluster is free for the demo") as step:
            crds_there = require_free(cluster)
            emulator.wait()
            context = cluster.kubectl("config", "current-context").strip()
            step.show(f"context {context}; Amove API {emulator.url}")
        values = Values(emulator.url, install_crds=not crds_there, one_namespace=True)
        installation = Installation(cluster, values)
        operator = OperatorProcess(self._place, cluster)
        play = self._play(cluster, emulator, installation, operator)
        try:
            self._perform(play, cluster, emulator)
        finally:
            self._leave_as_it_was(operator, installation, emulator)

    def _play(
        self,
        cluster: Cluster,
        emulator: RunningEmulator,
        installation: Installation,
        operator: Operator,
        page: Page | None = None,
    ) -> Play:
        return Play(self._screen, self._place, cluster, emulator, installation, operator, page)

    def _perform(
        self,
        play: Play,
        cluster: Cluster,
        emulator: RunningEmulator,
        hints: Callable[[], Hints] | None = None,
    ) -> None:
        chosen = hints or (lambda: Hints(last=(f"tail -f {self._place.logs / 'operator.log'}",)))
        try:
            play.perform()
        except Exception:
            # That is when one wants to look.
            self._stay(play, cluster, emulator, chosen)
            raise
        self._stay(play, cluster, emulator, chosen)

    def _stay(
        self, play: Play, cluster: Cluster, emulator: RunningEmulator, hints: Callable[[], Hints]
    ) -> None:
        if self._keep:
            invite(self._screen, cluster, emulator, hints())
            stay(play.require_running)

    def _stop(self, operator: Operator) -> None:
        with self._screen.step(operator.ending):
            operator.stop()

    def _leave_as_it_was(
        self, operator: Operator, installation: Installation, emulator: RunningEmulator
    ) -> None:
        with self._screen.step("the cluster is as it was") as step, ExitStack() as undo:
            # Last first, and each whatever becomes of the others.
            undo.callback(lambda: step.show(installation.remove()))
            undo.callback(operator.stop)
            undo.callback(installation.delete_resources)
            # People may have put objects into the buckets of a kept demo.
            for bucket in emulator.control.buckets():
                emulator.control.empty_bucket(bucket)


def _silent(_line: str) -> None:
    """What is told of is in the logs that we tell of."""
