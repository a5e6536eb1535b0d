"""``amove-operator orphans``: show the keys that nobody holds, and revoke them if asked to.

Nothing is written to Kubernetes. Only keys that carry this cluster's digest are ever named or
revoked.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from amove_operator.amove import AmoveClient
from amove_operator.commands.console import plain, print_error, print_table
from amove_operator.controllers.keys.orphan_watch import holder_of
from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.core.key_list import RemoteKey
from amove_operator.core.keys.orphans import OrphanScan, OrphanSuspects, ages, too_many
from amove_operator.errors import ApiError, KubeRefused, KubeUnavailable, SettingsError
from amove_operator.kube import Kube
from amove_operator.kube.secret_watch import each_managed
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings
from amove_operator.times import rfc3339

DONE, FAILED = 0, 1
_HEADINGS = ("ID", "NAME", "CREATED", "USER")


def run_orphans(settings: Settings, *, revoke: bool, yes: bool, however_many: bool = False) -> int:
    """List the orphans, and revoke them if asked to; the exit code: 0 done, 1 not (all) done.

    Raises SettingsError for what only a person can mend.
    """
    _check(settings, revoke=revoke, yes=yes, however_many=however_many)
    try:
        suspects, listed = asyncio.run(find_orphans(settings))
        print_keys(suspects.orphans)
        if not revoke or not suspects.orphans:
            return DONE
        if not however_many and too_many(len(suspects.orphans), listed):
            print_error(_refusal(len(suspects.orphans), listed))
            return FAILED
        if not yes and not agrees(suspects.orphans, datetime.now(UTC)):
            print("Nothing was revoked.")
            return FAILED
        # Connected anew: a person may have thought for long.
        return DONE if asyncio.run(revoke_orphans(settings, suspects)) else FAILED
    except (ApiError, KubeRefused, KubeUnavailable) as error:
        print_error(f"amove-operator: nothing more was done: {error}")
    except KeyboardInterrupt:
        print_error("amove-operator: interrupted")
    return FAILED


def _check(settings: Settings, *, revoke: bool, yes: bool, however_many: bool) -> None:
    if settings.watch_namespaces:
        raise SettingsError(
            "AMOVE_WATCH_NAMESPACES: only who sees all namespaces can tell an orphan: "
            "unset it for this command, or add --watch-namespaces ''"
        )
    if yes and not revoke:
        raise SettingsError("--yes: it answers the question of --revoke: add --revoke")
    if however_many and not revoke:
        raise SettingsError("--all: it says how many --revoke may revoke: add --revoke")
    if revoke and not yes and not sys.stdin.isatty():
        raise SettingsError("--revoke: nobody can be asked here: add --yes, or use a terminal")


def _refusal(orphans: int, listed: int) -> str:
    return (
        f"amove-operator: nothing was revoked: {orphans} of {listed} keys are orphans, over 20 %. "
        "In a copy of a cluster the original's keys look so, and where the resources were deleted "
        "by mistake they may come back. If nobody needs these keys, add --all."
    )


@dataclass(frozen=True, slots=True)
class _Scanner:
    """Reads both sides, over one connection to each."""

    kube: Kube
    api: AmoveClient
    key_lists: KeyListCache
    cluster_uid: str

    async def scan(self) -> OrphanScan:
        """First the list of keys: what was issued before it has its CR or its Secret afterwards."""
        listing = await self.key_lists.fresh()
        uids: list[str] = []
        await self.kube.each_object(Kind.KEY, lambda body: uids.append(body["metadata"]["uid"]))
        scan = OrphanScan.of(self.cluster_uid, listing, uids, ())
        secrets = KnownSecrets()
        await each_managed(self.kube.transport, None, secrets.put)
        held = [
            key.id
            for key in scan.unowned().values()
            if await holder_of(self.kube, key, secrets.claiming(key.id), listing) is not None
        ]
        return replace(scan, held=frozenset(held))


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[_Scanner]:
    async with aclosing(AmoveClient(settings)) as api:
        api.credentials.check()
        async with aclosing(await Kube.connect()) as kube:
            yield _Scanner(kube, api, KeyListCache(api, time.monotonic), await kube.cluster_uid())


async def find_orphans(settings: Settings) -> tuple[OrphanSuspects, int]:
    """What two scans prove, and how many keys the service lists in all.

    The scans are AMOVE_LISTING_SETTLE apart: a key that was issued a moment before the first one
    may be in the list already, and in no Secret yet.
    """
    settle = settings.listing_settle.total_seconds()
    async with _connected(settings) as scanner:
        scan = await scanner.scan()
        found = OrphanSuspects().after(scan, settle)
        if found.suspects:
            print_error(f"{len(found.suspects)} may be orphans: looking again in {settle:.0f} s")
            await asyncio.sleep(settle)
            scan = await scanner.scan()
            found = found.after(scan, settle)
        return found, len(scan.listing.owners)


async def revoke_orphans(settings: Settings, suspects: OrphanSuspects) -> bool:
    """Revoke what is an orphan still; whether all of them are gone."""
    settle = settings.listing_settle.total_seconds()
    agreed = {key.id for key in suspects.orphans}
    async with _connected(settings) as scanner:
        still = suspects.after(await scanner.scan(), settle).orphans
        orphans = [key for key in still if key.id in agreed]
        failed = {key.id: key for key in orphans if not await _revoked(scanner.api, key)}
        if not failed:
            return True
        # An error to a deletion may mean that the key was gone: only a complete list can tell.
        listed = (await scanner.key_lists.fresh()).owners
        for key in failed.values():
            if key.id not in listed:
                print(f"gone     {plain(key.id)}  {key.name}  (not confirmed, but not listed)")
        return not any(key_id in listed for key_id in failed)


async def _revoked(api: AmoveClient, key: RemoteKey) -> bool:
    try:
        await api.delete_storage_key(key.id)
    except ApiError as error:
        print(f"failed   {plain(key.id)}  {key.name}  {plain(str(error))}")
        return False
    print(f"revoked  {plain(key.id)}  {key.name}")
    return True


def agrees(orphans: Sequence[RemoteKey], now: datetime) -> bool:
    """Ask the person at the terminal whether to revoke them; only a clear yes is one."""
    count, old = len(orphans), ages(orphans, now)
    keys = ("1 key" if count == 1 else f"{count} keys") + (f", {old}" if old else "")
    who = "Whoever uses it" if count == 1 else "Whoever uses one of them"
    question = f"Revoke {keys}? {who} loses access at once. [yes/no] "
    try:
        return input(question).strip().lower() in ("yes", "y")
    except EOFError:
        return False


def print_keys(orphans: Sequence[RemoteKey]) -> None:
    """A line for each, in columns."""
    rows = [_HEADINGS, *map(_row, orphans)] if orphans else [("No orphaned keys.",)]
    print_table(rows)


def _row(key: RemoteKey) -> tuple[str, ...]:
    created = rfc3339(key.created) if key.created is not None else "-"
    return (plain(key.id), key.name, created, plain(key.user_id or "-"))
