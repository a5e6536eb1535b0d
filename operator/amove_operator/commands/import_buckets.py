"""``amove-operator import``: AmoveBuckets for the buckets that an account has already.

Only read calls are made, and nothing is written to Kubernetes: what it prints is for kubectl, or
for a repository.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from amove_operator.amove import AmoveClient, BucketAddress
from amove_operator.commands.console import plain, print_error
from amove_operator.commands.import_manifests import (
    Found,
    manifest,
    object_name,
    to_yaml,
    why_not_importable,
)
from amove_operator.controllers.shared.accounts import CloudAccounts
from amove_operator.controllers.shared.name_registry import claimant_of
from amove_operator.core.names import Claimant, claim_holder
from amove_operator.core.reading import read_bucket
from amove_operator.errors import (
    ApiError,
    AuthFailed,
    KubeRefused,
    KubeUnavailable,
    NotFound,
    Rejected,
    SettingsError,
)
from amove_operator.kube import Kube
from amove_operator.models.refs import Kind
from amove_operator.settings import Settings, is_namespace

DONE, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Choice:
    """What to import, and how. ``output``: a folder for one file each; None: standard output."""

    globs: Sequence[str] = ()
    namespace: str | None = None
    observe: bool = False
    output: Path | None = None

    def takes(self, name: str) -> bool:
        """Whether the bucket is meant; without a glob each is."""
        return not self.globs or any(fnmatchcase(name, glob) for glob in self.globs)


@dataclass
class _Findings:
    """What was found: buckets to import, and what was left out (bucket name → why)."""

    buckets: list[Found] = field(default_factory=list)
    claimed: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def document(self, choice: Choice) -> Iterator[tuple[str, str]]:
        """Object name and YAML of each; a second one of the same object name is left out."""
        names: set[str] = set()
        for bucket in sorted(self.buckets, key=lambda one: one.name):
            name = object_name(bucket.name)
            if name in names:
                self.failed[bucket.name] = f"another bucket's object is called {name} already"
                continue
            names.add(name)
            found = manifest(bucket, namespace=choice.namespace, observe=choice.observe)
            yield name, to_yaml(found)


def run_import(settings: Settings, choice: Choice) -> int:
    """Print or write the manifests; the exit code: 0 done, 1 not all done.

    Raises SettingsError for what only a person can mend.
    """
    if choice.namespace is not None and not is_namespace(choice.namespace):
        raise SettingsError(f"--namespace: {choice.namespace!r} is no name of a namespace")
    try:
        found = asyncio.run(_find(settings, choice))
    except (ApiError, KubeRefused, KubeUnavailable) as error:
        print_error(f"amove-operator: nothing was written: {plain(str(error))}")
        return FAILED
    except KeyboardInterrupt:
        print_error("amove-operator: interrupted, nothing was written")
        return FAILED
    written = _write(found, choice)
    for name, why in sorted((found.claimed | found.failed).items()):
        print_error(f"left out {plain(name)}: {plain(why)}")
    print_error(_summary(written, found))
    return FAILED if found.failed else DONE


def _summary(written: int, found: _Findings) -> str:
    parts = [f"{written} imported"]
    parts += [f"{len(found.claimed)} claimed already"] if found.claimed else []
    parts += [f"{len(found.failed)} left out"] if found.failed else []
    hint = "; apply them in a namespace of AMOVE_TRUSTED_NAMESPACES" if written else ""
    return f"{', '.join(parts)}{hint}"


# ---------------------------------------------------------------- what is there


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[tuple[AmoveClient, Kube]]:
    async with aclosing(AmoveClient(settings)) as api:
        api.credentials.check()
        async with aclosing(await Kube.connect()) as kube:
            yield api, kube


async def _find(settings: Settings, choice: Choice) -> _Findings:
    """Names first, then claims, then the flags of what is left: no call is made for nothing."""
    async with _connected(settings) as (api, kube):
        account = await _account(settings, api)
        names = [name for name in await api.list_buckets(account) if choice.takes(name)]
        claims = await _claims(settings, kube)
        found = _Findings()
        wanted = []
        for name in dict.fromkeys(names):
            if (why := why_not_importable(name)) is not None:
                found.failed[name] = why
            elif (holder := claim_holder(claims.get(name, ()))) is not None:
                found.claimed[name] = f"AmoveBucket {holder.namespace}/{holder.name} has it"
            else:
                wanted.append(BucketAddress(account, name))
        await _read_flags(api, wanted, found, settings.concurrency)
        return found


async def _account(settings: Settings, api: AmoveClient) -> str:
    accounts = CloudAccounts(settings, api)
    await accounts.load()
    if isinstance(accounts.failure, AuthFailed):
        raise accounts.failure  # a second call would be refused as well
    account = accounts.default_account
    if account is not None:
        return accounts.spelt(account)
    if accounts.failure is not None:
        raise accounts.failure
    raise SettingsError(f"AMOVE_CLOUD_ACCOUNT_ID: {accounts.unknown()}")


async def _claims(settings: Settings, kube: Kube) -> dict[str, list[Claimant]]:
    """By bucket name, the AmoveBuckets that want it; none where the kind is not installed."""
    claims: dict[str, list[Claimant]] = {}
    if Kind.BUCKET.plural in await kube.missing_crds():
        print_error("the CustomResourceDefinitions are not installed, so no object claims a name")
        return claims

    def take(body: dict[str, Any]) -> None:
        bucket = read_bucket(body)
        claims.setdefault(bucket.bucket_name, []).append(claimant_of(bucket))

    for namespace in settings.watch_namespaces or (None,):
        await kube.each_object(Kind.BUCKET, take, namespace)
    return claims


async def _read_flags(
    api: AmoveClient, wanted: Sequence[BucketAddress], found: _Findings, at_a_time: int
) -> None:
    """Ask for each bucket's flags, at the pace of the settings.

    A bucket that is refused is left out; anything else that fails is no matter of one bucket, and
    ends it: the rest would fail as well.
    """
    left = iter(wanted)

    async def ask() -> None:
        for where in left:
            try:
                flags = await api.bucket_status(where)
            except NotFound:
                found.failed[where.bucket_name] = "it is listed, and not found when asked for"
            except Rejected as refusal:
                found.failed[where.bucket_name] = str(refusal)
            else:
                found.buckets.append(Found(where.bucket_name, where.cloud_account_id, flags))

    asking = [asyncio.create_task(ask()) for _ in range(min(at_a_time, len(wanted)))]
    try:
        await asyncio.gather(*asking)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


# ---------------------------------------------------------------- what is written


def _write(found: _Findings, choice: Choice) -> int:
    """Write the manifests; how many."""
    documents = list(found.document(choice))
    if choice.output is None:
        sys.stdout.write("".join(text for _, text in documents))
        return len(documents)
    written = 0
    try:
        choice.output.mkdir(parents=True, exist_ok=True)
        for name, text in documents:
            if (why := _write_file(choice.output / f"{name}.yaml", text)) is not None:
                found.failed[name] = why
            else:
                written += 1
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise SettingsError(f"--output: {error.filename}: {reason}") from None
    return written


def _write_file(path: Path, text: str) -> str | None:
    """Write what is not there yet; why it was not, where a person may have changed it."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        same = path.read_text(encoding="utf-8", errors="replace") == text
        return None if same else f"{path} is there with other contents: move it away first"
    print(path)
    return None
