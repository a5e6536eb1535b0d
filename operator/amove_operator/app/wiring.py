"""Builds the one of everything that acts on one cluster. No task is started and nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from amove_operator.amove import AmoveClient, BreakerState
from amove_operator.app import gauges
from amove_operator.app.alarms import Alarms
from amove_operator.controllers import census, dispatcher, resync
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.overlap import field_manager
from amove_operator.errors import NotLeading
from amove_operator.kube import AlwaysLeading, Kube, LeaseElection, SecretWatch
from amove_operator.kube.connection import unique_identity
from amove_operator.settings import Settings


@dataclass(frozen=True)
class Operator:
    """What is built once the cluster is known, and never changed: whoever acts is in here."""

    d: Dependencies
    dispatcher: dispatcher.Dispatcher
    census: census.Census
    resync: resync.Resync
    secrets: SecretWatch


def make_election(settings: Settings, kube: Kube) -> LeaseElection | AlwaysLeading:
    """The election of this process, under an identity that no other process has."""
    if not settings.leader_election:
        return AlwaysLeading()
    where = settings.lease_namespace or kube.namespace
    me = unique_identity()
    return LeaseElection(kube, name=settings.lease_name, namespace=where, identity=me)


def wire(
    settings: Settings,
    kube: Kube,
    election: LeaseElection | AlwaysLeading,
    alarms: Alarms,
    cluster_uid: str,
) -> Operator:
    """The operator for the cluster of that UID; all it writes and calls is fenced by ``election``.

    ``kube`` itself stays without a fence: for the Lease, and for what is read before the lead.
    """
    metrics = alarms.metrics
    fenced = _fenced(settings, kube, election)

    def may_call() -> None:
        election.check()
        if d.queue.is_shut_down:
            raise NotLeading(
                "this process is stopping: it ends what it has begun, and calls no more"
            )

    api = AmoveClient(settings, observer=partial(gauges.count_call, metrics), before_send=may_call)
    d = Dependencies(settings, fenced, api, metrics, cluster_uid)
    d.leadership.renewed_at = election.renewed_at
    serves = dispatcher.Dispatcher(d)
    _tell_of_outages(d, alarms)
    gauges.show_operator(metrics, d)
    lists, sweeps = census.Census(serves), resync.Resync(serves)
    return Operator(d, serves, lists, sweeps, _secret_watch(serves))


def _fenced(settings: Settings, kube: Kube, election: LeaseElection | AlwaysLeading) -> Kube:
    """The same cluster, written to only while this process leads, by a manager of the release."""
    release = settings.lease_namespace or kube.namespace, settings.lease_name
    return Kube(
        kube.transport,
        namespace=kube.namespace,
        gate=election.check,
        field_manager=field_manager(*release),
    )


def _tell_of_outages(d: Dependencies, alarms: Alarms) -> None:
    """Have the breaker's changes told, and what waited queued again when the service is back."""

    def on_change(state: BreakerState) -> None:
        alarms.on_breaker_change(state)
        if not state.open:
            d.enqueue.after_outage()

    d.api.breaker.on_change(on_change)


def _secret_watch(serves: dispatcher.Dispatcher) -> SecretWatch:
    """The watch of our Secrets, which the dispatcher takes in; it is not begun."""
    d = serves.d

    def on_sync(scope: str | None, *, in_sync: bool) -> None:
        if in_sync:
            d.metrics.watch_event.labels("Secret").set_to_current_time()
        d.secrets.note_sync(scope, in_sync=in_sync)

    namespaces = d.settings.watch_namespaces
    return SecretWatch(d.kube, serves.secret_events.on_event, on_sync, namespaces=namespaces)
