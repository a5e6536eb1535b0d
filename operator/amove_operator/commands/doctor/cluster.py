"""The side of Kubernetes: each check is a function that gives its finding."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from amove_operator.commands.doctor.report import Finding, fail, ok, skipped, warn
from amove_operator.commands.doctor.roles import needed_rights
from amove_operator.core.reading import read_object
from amove_operator.errors import KubeRefused, KubeUnavailable, OperatorError, SettingsError
from amove_operator.kube import Kube
from amove_operator.kube.diagnosis import is_allowed, own_user, read_lease, served_schemas
from amove_operator.kube.failures import NotServed
from amove_operator.models import AmoveStorageKey
from amove_operator.models.crds import crds
from amove_operator.models.fence import FENCE, weakness
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings

Check = Callable[[Kube, Settings], Awaitable[Finding]]

MOST_SKEW_SECONDS = 60.0
"""Past it, rotation and revocation by the clock rest."""
_MOST_NAMED = 6
_MOST_NAMESPACES = 10
_INSTALL = "run 'amove-operator crds | kubectl apply -f -', or set the chart's crds.install=true"


async def check_cluster(settings: Settings) -> tuple[list[Finding], frozenset[str]]:
    """All of them, and the API users that status records of keys (empty where none is read)."""
    names = ("clock", "crds", "fence", "roles", "lease", "secrets")
    try:
        kube = await Kube.connect()
    except SettingsError as error:
        failed = fail("kubernetes", str(error), "name the cluster, then try again")
        return [failed, *(skipped(name, "no cluster") for name in names)], frozenset()
    try:
        reached = await _reached(kube, settings)
        if reached.remedy:
            return [reached, *(skipped(name, "no cluster") for name in names)], frozenset()
        checks: tuple[Check, ...] = (_clock, _crds, _fence, _roles, _lease, _secret_write)
        each = [
            await _safely(name, check, kube, settings)
            for name, check in zip(names, checks, strict=True)
        ]
        return [reached, *each], await _recorded_users(kube, settings)
    finally:
        await kube.aclose()


async def _reached(kube: Kube, settings: Settings) -> Finding:
    host = kube.transport.configuration.host
    try:
        user = await own_user(kube.transport)
    except (KubeUnavailable, KubeRefused) as error:
        remedy = "see that the API server answers there, and that the token is not expired"
        return fail("kubernetes", f"{host}: {error}", remedy)
    where = ", ".join(settings.watch_namespaces) or "all namespaces"
    return ok("kubernetes", f"{host} answers to {user}; served: {where}")


async def _safely(name: str, check: Check, kube: Kube, settings: Settings) -> Finding:
    try:
        return await check(kube, settings)
    except OperatorError as error:
        remedy = "see what the API server has against it; 'roles' says which right is missing"
        return fail(name, str(error), remedy)


async def _clock(kube: Kube, _settings: Settings) -> Finding:
    skew = kube.skew_seconds or 0.0
    found = f"{abs(skew):.0f} s from that of the API server"
    if abs(skew) > MOST_SKEW_SECONDS:
        remedy = "set the clock of this node: until then no key is rotated or revoked by the clock"
        return fail("clock", found, remedy)
    return ok("clock", found)


async def _crds(kube: Kube, _settings: Settings) -> Finding:
    if missing := await kube.missing_crds():
        return fail("crds", f"{' and '.join(missing)} are not installed", _INSTALL)
    served = await served_schemas(kube.transport)
    if len(served) < len(Kind):
        return warn("crds", "their schemas are not published yet", "try again in a minute")
    there = {kind: set(_paths(schema)) for kind, schema in served.items()}
    own = ((kind, path) for kind, schema in _own_schemas().items() for path in _paths(schema))
    if lacking := [f"{kind}.{path}" for kind, path in own if path not in there[kind]]:
        found = f"of another version: without {_named(lacking)}, which would be dropped unsaid"
        return fail("crds", found, _INSTALL)
    return ok("crds", "both kinds are served, with every field of this version")


def _own_schemas() -> dict[Kind, Mapping[str, Any]]:
    return {
        Kind(one["spec"]["names"]["kind"]): one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for one in crds()
    }


def _paths(schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Every property below spec and status, such as ``spec.secret.name``."""
    for name, node in (schema.get("properties") or {}).items():
        if at or name in ("spec", "status"):
            path = f"{at}.{name}" if at else name
            yield path
            yield from _paths(node, path)
            yield from _paths(node.get("items") or {}, path)


async def _fence(kube: Kube, settings: Settings) -> Finding:
    fault = weakness(*await kube.fence())
    if fault is None:
        return ok("fence", f"{FENCE} stands")
    if settings.require_fence:
        return fail("fence", f"{FENCE} does not stand: {fault}", _INSTALL)
    found = f"{FENCE} does not stand ({fault}), and AMOVE_REQUIRE_FENCE is false"
    return warn("fence", found, f"{_INSTALL}, then leave AMOVE_REQUIRE_FENCE out")


async def _roles(kube: Kube, settings: Settings) -> Finding:
    rights = needed_rights(settings, kube.namespace)
    answers = await asyncio.gather(*(is_allowed(kube.transport, right) for right in rights))
    missing = [str(right) for right, given in zip(rights, answers, strict=True) if not given]
    if not missing:
        return ok("roles", f"all {len(rights)} rights are given")
    remedy = "upgrade the chart, whose roles give them, or bind them to the operator's user"
    return fail("roles", f"{await own_user(kube.transport)} may not {_named(missing)}", remedy)


async def _lease(kube: Kube, settings: Settings) -> Finding:
    if not settings.leader_election:
        return ok("lease", "none is used (AMOVE_LEADER_ELECTION=false): run one replica only")
    where = settings.lease_namespace or kube.namespace
    name = f"{where}/{settings.lease_name}"
    lease = await read_lease(kube.transport, where, settings.lease_name)
    spec = (lease or {}).get("spec") or {}
    remedy = "see why no operator leads: its log and /readyz say what it waits for"
    if not (holder := spec.get("holderIdentity")):
        return warn("lease", f"nobody holds {name}", remedy)
    renewed = datetime.fromisoformat(spec["renewTime"]) if spec.get("renewTime") else None
    late = timedelta(seconds=2 * (spec.get("leaseDurationSeconds") or 15))
    now = datetime.now(UTC) - timedelta(seconds=kube.skew_seconds or 0.0)
    if renewed is None or now - renewed > late:
        return warn("lease", f"{name} is held by {holder}, last renewed {renewed or '-'}", remedy)
    return ok("lease", f"{name} is held by {holder}")


async def _secret_write(kube: Kube, settings: Settings) -> Finding:
    """A dry run of what the operator writes, where it does: nothing is stored."""
    tried = await _secret_namespaces(kube, settings)
    refused: list[str] = []
    for namespace in tried:
        manifest = {
            "metadata": {
                "name": f"amove-operator-doctor-{secrets.token_hex(4)}",
                "namespace": namespace,
            },
            "type": "Opaque",
            "data": {"doctor": b64encode(b"dry run").decode()},
        }
        try:
            await kube.create_secret(manifest, dry_run=True)
        except KubeRefused as error:
            refused.append(f"{namespace} ({error})")
    if refused:
        remedy = "change what refuses it there: a role, a quota, or an admission policy"
        return fail("secrets", f"a Secret may not be written in {_named(refused)}", remedy)
    return ok("secrets", f"a dry run of a Secret passes in {_named(tried)}")


async def _secret_namespaces(kube: Kube, settings: Settings) -> list[str]:
    """Some of those with keys; where there is no key yet, those that are served, or our own."""
    found: dict[str, None] = {}

    def take(body: dict[str, Any]) -> None:
        found[body["metadata"]["namespace"]] = None

    with suppress(NotServed):  # 'crds' says so
        for where in settings.watch_namespaces or (None,):
            await kube.each_object(Kind.KEY, take, where)
    there = list(found) or list(settings.watch_namespaces) or [kube.namespace]
    return there[:_MOST_NAMESPACES]


async def _recorded_users(kube: Kube, settings: Settings) -> frozenset[str]:
    users: set[str] = set()

    def take(body: dict[str, Any]) -> None:
        key, _ = read_object(Kind.KEY, body)
        if isinstance(key, AmoveStorageKey) and (current := key.proven.key) and current.user_id:
            users.add(current.user_id)

    try:
        for where in settings.watch_namespaces or (None,):
            await kube.each_object(Kind.KEY, take, where)
    except (KubeRefused, KubeUnavailable):
        return frozenset()
    return frozenset(users)


def _named(what: list[str]) -> str:
    more = f" and {len(what) - _MOST_NAMED} more" if len(what) > _MOST_NAMED else ""
    return ", ".join(what[:_MOST_NAMED]) + more
