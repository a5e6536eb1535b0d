"""The annotations that people set on objects of ours, with their own rights."""

from __future__ import annotations

from amove_operator.kube.transport import MERGE_PATCH, Request, Transport, path_of
from amove_operator.models import GROUP, VERSION
from amove_operator.models.refs import Ref

# Not "kubectl…": Flux takes off what any manager of such a name set, a pause too.
MANAGER = "amove-plugin"


async def annotate(transport: Transport, ref: Ref, name: str, value: str | None) -> None:
    """Set ``storage.amove.io/<name>`` of an object that is there; None takes it off.

    Raises KubeRefused (also where there is no such object) or KubeUnavailable.
    """
    path = path_of("apis", GROUP, VERSION, "namespaces", ref.namespace, ref.kind.plural, ref.name)
    body = {"metadata": {"annotations": {f"{GROUP}/{name}": value}}}
    query = {"fieldManager": MANAGER}
    await transport.call(Request("PATCH", path, query, body, content=MERGE_PATCH))
