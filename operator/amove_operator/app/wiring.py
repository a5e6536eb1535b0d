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
    may_write, here, metrics = election.check, kube.namespace, alarms.metrics
    manager = field_manager(settings.lease_namespace or here, settings.lease_name)
    fenced = Kube(kube.transport, namespace=here, gate=may_write, field_manager=manager)

    def may_call() -> None:
        may_write()
        if d.queue.is_shut_down:
            raise NotLeading(
                "this process is stopping: it ends what it has begun, and calls no more"
            )

    api = AmoveClient(settings, observer=partial(gauges.count_call, metrics), before_send=may_call)
    d = Dependencies(settings, fenced, api, metrics, cluster_uid)
    d.leadership.renewed_at = election.renewed_at
    serves = dispatcher.Dispatcher(d)

    def on_breaker_change(state: BreakerState) -> None:
        alarms.on_breaker_change(state)
        if not state.open:
            d.enqueue.after_outage()

    api.breaker.on_change(on_breaker_change)

    def on_secret_sync(scope: str | None, *, in_sync: bool) -> None:
        if in_sync:
            metrics.watch_event.labels("Secret").set_to_current_time()
        d.secrets.note_sync(scope, in_sync=in_sync)

    secrets = SecretWatch(
        fenced,
        serves.secret_events.on_event,
        on_secret_sync,
        namespaces=settings.watch_namespaces,
    )
    gauges.show_operator(metrics, d)
    lists, sweeps = census.Census(serves), resync.Resync(serves)
    return Operator(d, serves, lists, sweeps, secrets)
