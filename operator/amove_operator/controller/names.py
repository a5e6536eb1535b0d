"""Whose live keys reach a bucket's name: it is free only when none does (design.md §3)."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.controller.cache import Ghost, named_keys
from amove_operator.controller.context import Context
from amove_operator.controller.wakeups import wake_waiting
from amove_operator.core.ledger import Listing
from amove_operator.core.naming import marker_of
from amove_operator.core.refs import Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secret_record import KEY_ID, OWNER_UID, SCOPE
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveStorageKey


def name_in_use(context: Context, ref: Ref, name: str) -> str | None:
    """Whose live keys reach this name from elsewhere, in words; ``None``: it is free."""
    for item, key in context.cache.keys_reaching(name):
        if key.metadata.namespace != ref.namespace and context.cache.binds(key, name):
            return f"Waiting until key {item} is revoked, which still reaches bucket {name}."
    for namespace, secret in _retained(context, name):
        if namespace != ref.namespace:
            return f"The key in retained Secret {namespace}/{secret} still reaches bucket {name}."
    for namespace, secret in _doubtful(context, name):
        if namespace != ref.namespace:
            return f"Waiting for a key list: Secret {namespace}/{secret} may reach bucket {name}."
    return None


def who_keeps(context: Context, ref: Ref, name: str) -> tuple[str, ...]:
    """The keys that keep a bucket's deletion waiting (design.md §3, §4.5)."""
    waiting = {f"AmoveStorageKey {key.name}" for key in context.cache.keys_referring_to(ref)}
    for item, key in context.cache.keys_reaching(name):
        same_team = key.metadata.namespace == ref.namespace
        if same_team or context.cache.binds(key, name):
            found = item.ref if isinstance(item, Ghost) else item
            waiting.add(f"AmoveStorageKey {found.name}" if same_team else str(found))
    waiting |= {f"retained Secret {where[0]}/{where[1]}" for where in _retained(context, name)}
    waiting |= {f"Secret {where[0]}/{where[1]}" for where in _doubtful(context, name)}
    return tuple(sorted(waiting))


# ---------------------------------------------------------------- what Secrets say, and a list


def _list_on(context: Context, secret: SecretMeta) -> Listing | None:
    """The list that can tell of a Secret's key; without one, names are not given away on a guess.

    One from before the settle time may lack the key of the process before us, and while known
    keys are missing it may be another user's list.
    """
    listing = context.listings.latest
    if listing is None or not _is_settled(context, listing):
        return None
    shown = secret.annotations.get(KEY_ID) in listing.owners
    return listing if shown or not _whose_is_unclear(context) else None


def _is_settled(context: Context, listing: Listing) -> bool:
    return listing.begun >= context.leading_since + context.settle


def _whose_is_unclear(context: Context) -> bool:
    return context.mass_key_loss or bool(context.missing_keys)


def _proven_names(context: Context, secret: SecretMeta, listing: Listing) -> tuple[str, ...]:
    """The bucket names of the key that a Secret tells of, as far as the list bears it out."""
    told = secret.annotations
    owner = marker_of(context.cluster_uid, told.get(OWNER_UID, ""))
    for key in listing.marked.get(owner, ()):
        scope = Scope.proven(told.get(SCOPE, ""), key.scope8)
        if key.id == told.get(KEY_ID) and scope is not None:
            return scope.buckets
    return ()


def _retained(context: Context, name: str) -> Iterator[tuple[str, str]]:
    """The retained Secrets whose live key reaches a bucket name.

    Anybody can write a Secret that says so. Only trusted namespaces get to keep a key, but one
    that is kept stays when trust goes.
    """
    for where, kept in context.retained.items():
        if name not in kept:
            continue
        secret = context.secrets[where]
        listing = None if context.settings.trusts(where[0]) else _list_on(context, secret)
        if listing is None or name in _proven_names(context, secret, listing):
            yield where


# ------------------------------------------- keys of which a crash kept status from telling


def note_untold_names(context: Context, listing: Listing) -> None:
    """Names count that a Secret's key reaches, though status does not say so yet.

    A process ended between the two writes. The list proves the key and its names; status will
    tell them when the key's turn comes, and until then they are kept.
    """
    for ref, key, secret in _untold(context):
        if names := _proven_names(context, secret, listing):
            context.cache.expect(ref, key.metadata.uid, names)
        said = Scope.read(secret.annotations.get(SCOPE, ""))
        wake_waiting(context, said.buckets if said is not None else ())


def _doubtful(context: Context, name: str) -> Iterator[tuple[str, str]]:
    """Secrets that say so of a name while no list can tell whether it is true."""
    listing = context.listings.latest
    if listing and _is_settled(context, listing) and not _whose_is_unclear(context):
        return
    for _, _, secret in _untold(context):
        text = secret.annotations.get(SCOPE, "")
        if name not in text or _list_on(context, secret) is not None:
            continue
        said = Scope.read(text)
        if said is not None and name in said.buckets:
            yield secret.namespace, secret.name


def _untold(context: Context) -> Iterator[tuple[Ref, AmoveStorageKey, SecretMeta]]:
    """The Secrets of CRs whose status does not name the key in them.

    Not those of ``bucketNames`` where that is allowed: such keys block nobody.
    """
    for where, secret in context.secrets.items():
        for ref in context.cache.keys_writing_to(*where):
            key = context.cache.keys[ref]
            told = secret.annotations
            free = key.spec.bucket_refs is None and context.settings.trusts(ref.namespace)
            if free or told.get(OWNER_UID) != key.metadata.uid:
                continue
            if told.get(KEY_ID) not in {one.id for one in named_keys(key)}:
                yield ref, key, secret
