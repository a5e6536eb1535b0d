"""``kubectl amove status``: buckets and keys, and of each that is not well what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from amove_operator.commands.console import plain, print_error, print_table
from amove_operator.core.conditions import find
from amove_operator.core.reading import Object, read_object
from amove_operator.errors import KubeRefused
from amove_operator.kube import Kube
from amove_operator.models import AmoveBucket
from amove_operator.models.refs import Kind

DONE, FAILED = 0, 1
_HEADINGS = ("NAMESPACE", "KIND", "NAME", "READY", "SYNCED", "REASON", "HOLDS")
_UNSEEN = "no operator has seen this version of it yet; if it stays so, try 'kubectl amove doctor'"


class Shown(NamedTuple):
    """One object: its row, and what is wrong (empty where nothing is)."""

    row: tuple[str, ...]
    wrong: str


async def run_status(context: str | None, namespace: str | None, *, wrong_only: bool) -> int:
    """Print them; the exit code: 1 where something is wrong.

    Raises SettingsError, KubeRefused or KubeUnavailable.
    """
    kube = await Kube.connect(context)
    try:
        found = [one async for one in _objects(kube, namespace)]
    except KubeRefused as error:
        if namespace is None and error.status == 403:
            hint = "you may not list all namespaces: add --namespace NAME"
            raise KubeRefused(f"{hint} ({error})", status=403) from None
        raise
    finally:
        await kube.aclose()
    shown = [show(one) for one in found]
    wrong = [one for one in shown if one.wrong]
    _print(wrong if wrong_only else shown)
    print_error(f"{len(shown)} buckets and keys, {len(wrong)} of them not well")
    return FAILED if wrong else DONE


def _print(shown: list[Shown]) -> None:
    if shown:
        print_table([_HEADINGS, *(one.row for one in shown)])
    for one in shown:
        if one.wrong:
            namespace, kind, name, *_ = one.row
            print(f"\n{kind} {namespace}/{name}: {one.wrong}")


async def _objects(kube: Kube, namespace: str | None) -> AsyncIterator[Object]:
    for kind in Kind:
        bodies: dict[str, dict[str, Any]] = {}  # a list that began anew shows some twice

        def take(body: dict[str, Any], into: dict[str, dict[str, Any]] = bodies) -> None:
            into[body["metadata"]["uid"]] = body

        await kube.each_object(kind, take, namespace)
        for body in bodies.values():
            yield read_object(kind, body)[0]


def show(one: Object) -> Shown:
    """What a person sees of an object. Its words are the operator's own, made harmless."""
    meta, conditions = one.metadata, one.status.conditions
    ready, synced = find(conditions, "Ready"), find(conditions, "Synced")
    first = ready or synced
    row = (
        meta.namespace,
        one.KIND.value,
        meta.name,
        ready.status if ready else "-",
        synced.status if synced else "-",
        first.reason if first else "-",
        _holds(one),
    )
    wrong = " ".join(_wrong(one)).split()
    return Shown(tuple(map(plain, row)), plain(" ".join(wrong)))


def _holds(one: Object) -> str:
    """Bucket or Secret."""
    if isinstance(one, AmoveBucket):
        return one.bucket_name
    return one.status.binding.name if one.status.binding else "-"


def _wrong(one: Object) -> Iterator[str]:
    """The sentences that say so, each once."""
    if one.metadata.deleting:
        yield "It is being deleted."
    if one.metadata.paused:
        yield "It is paused: nothing is done for it ('kubectl amove resume' ends that)."
    bad = [each for each in one.status.conditions if _is_bad(each.type, each.status)]
    yield from dict.fromkeys(f"{each.reason}: {each.message}" for each in bad)
    if one.status.observed_generation != one.metadata.generation and not bad:
        yield f"Not seen: {_UNSEEN}."


def _is_bad(kind: str, status: str) -> bool:
    return status != "True" if kind in ("Ready", "Synced") else kind == "Stalled"
