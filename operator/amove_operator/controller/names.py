"""Whose live keys reach a bucket's name: it is free only when none does (design.md §3)."""

from __future__ import annotations

from collections.abc import Iterator

from amove_operator.controller.cache import Ghost, named_keys
from amove_operator.controller.context import Context
from amove_operator.controller.losses import missing_unasked
from amove_operator.controller.wakeups import wake_claimants
from amove_operator.core.ledger import Listing
from amove_operator.core.naming import marker_of
from amove_operator.core.refs import Ref
from amove_operator.core.scope import Scope
from amove_operator.core.secret_record import KEY_ID, OWNER_UID, SCOPE
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import AmoveStorageKey

_MOST_BUCKETS = 64  # that a spec can name


def name_in_use(context: Context, ref: Ref, name: str) -> str | None:
    """Whose live keys reach this name from elsewhere, in words; ``None``: it is free."""
    for item, key in context.cache.keys_reaching(name):
        if key.metadata.namespace != ref.namespace and context.cache.binds(key, name):
            return f"Waiting until key {item} is revoked, which still reaches bucket {name}."
    for namespace, secret in _retained(context, name):
        if namespace != ref.namespace:
            return f"The key in retained Secret {namespace}/{secret} still reaches bucket {name}."
    for namespace, secret in sorted(context.doubted.get(name, ())):
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
    waiting |= {f"Secret {where[0]}/{where[1]}" for where in context.doubted.get(name, ())}
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
    return context.mass_key_loss or bool(missing_unasked(context))


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


def note_doubt(context: Context, secret: SecretMeta) -> None:
    """A Secret's key that status does not name: a process ended between the two writes, or a lie.

    What it says of names is kept until a settled list judges it, whatever becomes of Secret and
    CR meanwhile; one Secret for each CR. Not of a key that this process issued, whose names are
    known, and not of ``bucketNames`` where they are allowed: such keys block nobody.
    """
    listing = context.listings.latest
    if listing is not None and _is_settled(context, listing):
        return
    told = secret.annotations
    scope = Scope.read(told.get(SCOPE, ""))
    if scope is None or len(scope.buckets) > _MOST_BUCKETS:
        return
    for ref in context.cache.keys_writing_to(secret.namespace, secret.name):
        key = context.cache.keys[ref]
        uid = key.metadata.uid
        free = key.spec.bucket_refs is None and context.settings.trusts(ref.namespace)
        if free or told.get(OWNER_UID) != uid or uid in context.doubts:
            continue
        if told.get(KEY_ID) not in _known_ids(context, key):
            context.doubts[uid] = ref, secret
            for name in scope.buckets:
                context.doubted.setdefault(name, set()).add((secret.namespace, secret.name))


def judge_doubts(context: Context, listing: Listing) -> None:
    """The list proves which of the doubtful keys there are: their names stay, all others go."""
    if not _is_settled(context, listing):
        return
    doubts, names = context.doubts, context.doubted
    context.doubts, context.doubted = {}, {}
    for uid, (ref, secret) in doubts.items():
        proven, key = _proven_names(context, secret, listing), context.cache.keys.get(ref)
        there = key is not None and key.metadata.uid == uid
        if proven and (there or Ghost(ref, uid) in context.cache.ghosts):
            context.cache.expect(ref, uid, proven)
    for name in names:
        wake_claimants(context, name)


def _known_ids(context: Context, key: AmoveStorageKey) -> set[str]:
    memory = context.keys.get(key.metadata.uid)
    minted = {key_id for key_id, _ in memory.ledger.scopes} if memory is not None else set()
    return minted | {one.id for one in named_keys(key)}
