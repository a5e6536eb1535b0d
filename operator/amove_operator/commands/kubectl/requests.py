"""``kubectl amove rotate``, ``reconcile``, ``pause``, ``resume``: annotations that are acted on.

They are set with the person's own rights, which is all that they take.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from amove_operator.commands.console import plain, print_error
from amove_operator.errors import KubeRefused, KubeUnavailable, SettingsError
from amove_operator.kube import Kube
from amove_operator.kube.annotating import annotate
from amove_operator.models.refs import Kind, Ref
from amove_operator.models.shared import OBJECT_NAME_PATTERN
from amove_operator.times import microtime

DONE, FAILED = 0, 1
_KINDS = {
    **dict.fromkeys(("bucket", "buckets", "abkt", "amovebucket", "amovebuckets"), Kind.BUCKET),
    **dict.fromkeys(("key", "keys", "akey", "amovestoragekey", "amovestoragekeys"), Kind.KEY),
}
_SAID = {
    "rotate": "asked for a new key",
    "reconcile": "asked for a look",
    "pause": "paused",
    "resume": "resumed",
}


def run_request(
    request: str, names: Sequence[str], context: str | None, namespace: str | None
) -> int:
    """Ask for ``request`` of each object named ``kind/name``; a bare name is a key's for rotate.

    The exit code: 1 where one was refused. Raises SettingsError for a name that cannot be.
    """
    wanted = [_parse(name, request) for name in names]
    return asyncio.run(_ask(request, wanted, context, namespace))


def _parse(text: str, request: str) -> tuple[Kind, str]:
    kind, slash, name = text.partition("/")
    if not slash:
        kind, name = ("key" if request == "rotate" else ""), text
    if kind.lower() not in _KINDS or re.fullmatch(OBJECT_NAME_PATTERN, name) is None:
        raise SettingsError(f"{text}: write bucket/NAME or key/NAME")
    found = _KINDS[kind.lower()]
    if request == "rotate" and found is not Kind.KEY:
        raise SettingsError(f"{text}: only keys are rotated: write key/NAME")
    return found, name


def annotation_of(request: str) -> tuple[str, str | None]:
    """The annotation (without its domain) and its value; None takes it off."""
    match request:
        case "pause":
            return "paused", "true"
        case "resume":
            return "paused", None
        case _:
            # Any new value counts: two requests within a second are two.
            return f"{request}-requested-at", microtime(datetime.now(UTC))


async def _ask(
    request: str, wanted: Sequence[tuple[Kind, str]], context: str | None, namespace: str | None
) -> int:
    name, value = annotation_of(request)
    code = DONE
    kube = await Kube.connect(context)
    try:
        for kind, object_name in wanted:
            ref = Ref(kind, namespace or kube.namespace, object_name)
            try:
                await annotate(kube.transport, ref, name, value)
            except (KubeRefused, KubeUnavailable) as error:
                print_error(f"{ref}: {plain(str(error))}")
                code = FAILED
            else:
                print(f"{ref}: {_SAID[request]}")
    finally:
        await kube.aclose()
    return code
