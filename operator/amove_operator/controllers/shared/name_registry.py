"""Who has a bucket's name, and whose live keys keep it from others (rules: core/names.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from amove_operator.controllers.shared.key_list_cache import KeyListCache
from amove_operator.controllers.shared.known_secrets import KnownSecrets
from amove_operator.controllers.shared.leadership import Leadership, Namespaces
from amove_operator.controllers.shared.memory import Memories
from amove_operator.controllers.shared.store import Store
from amove_operator.core import names
from amove_operator.core.conditions import reason_of
from amove_operator.core.key_list import KeyList
from amove_operator.core.names import Claimant, claim_holder
from amove_operator.core.naming import Marker, may_reach
from amove_operator.core.reasons import Reason
from amove_operator.engine.slices import in_slices
from amove_operator.models import AmoveBucket, AmoveStorageKey
from amove_operator.models.refs import Kind, Ref

_NO_CLAIM = {
    Reason.BucketExists,
    Reason.BucketMissing,
    Reason.NotPermitted,
    Reason.AccountMismatch,
    Reason.AccountUnknown,
    Reason.AccountUnusable,
    Reason.InvalidSpec,
    Reason.ObjectTooLarge,
}


@dataclass(slots=True)
class NameRegistry:
    """Claims of bucket names, and what is on record about the live keys that reach buckets.

    ``wanted``: by bucket name, the UID of the AmoveBucket that waits for keys of other teams to go.
    """

    _store: Store
    _memories: Memories
    _key_lists: KeyListCache
    _secrets: KnownSecrets
    _leadership: Leadership
    _namespaces: Namespaces
    _settle: float
    _watches_all: bool
    cluster8: str
    wanted: dict[str, str] = field(default_factory=dict)
    _holders: dict[str, str] = field(default_factory=dict)
    _may_have_unlisted: frozenset[str] = frozenset()

    # -- claims: which AmoveBucket has a name ----------------------------------------------------

    def claimed_by(self, bucket: AmoveBucket) -> Ref | None:
        """Which other AmoveBucket, of whatever namespace and account, has this one's bucket name.

        A vanished one has no claim against one that is there: its successor's data stay.
        """
        uid = bucket.metadata.uid
        named = map(claimant_of, self._store.buckets_named(bucket.bucket_name))
        rivals = [one for one in named if one.uid != uid]
        if bucket.metadata.vanished:
            holder = rivals[0] if rivals else None
        else:
            holder = claim_holder([claimant_of(bucket, asking=True), *rivals])
        if holder is None or holder.uid == uid:
            return None
        return Ref(Kind.BUCKET, holder.namespace, holder.name)

    def is_taken_from(self, namespace: str, name: str) -> bool:
        """Whether an AmoveBucket of another namespace holds the name, or waits to have it.

        One of this namespace that holds no claim changes nothing: it may be there for a decoy.
        """
        holder = claim_holder(map(claimant_of, self._store.buckets_named(name)))
        if holder is None or holder.namespace == namespace:
            return False
        return holder.proven or self.wanted.get(name) == holder.uid

    def want(self, name: str, uid: str, *, waits: bool) -> bool:
        """Note whether an AmoveBucket waits for keys that reach its name to go; whether it does."""
        if waits:
            self.wanted[name] = uid
        elif self.wanted.get(name) == uid:
            del self.wanted[name]
        return waits

    def forget(self, uid: str) -> None:
        """The AmoveBucket is gone: it waits for nothing any more."""
        self.wanted = {name: one for name, one in self.wanted.items() if one != uid}

    def wanted_and_kept_by(self, key_ids: Iterable[str]) -> list[str]:
        """The wanted names that the mark in the remote name of one of these keys keeps."""
        listing = self.listing
        if listing is None or not self.wanted:
            return []
        marks = {listing.names9_of(key_id) for key_id in key_ids}
        return [name for name in self.wanted if any(may_reach(mark, name) for mark in marks)]

    # -- keys that keep a name -------------------------------------------------------------------

    def name_in_use(self, namespace: str, name: str) -> str | None:
        """Whose live keys reach this name from elsewhere, as a sentence; ``None``: it is free."""
        keeper = names.kept_from(self, namespace, name)
        if keeper is None:
            return None
        return f"Waiting until {keeper.what} is revoked, which may reach bucket {name}."

    def blockers(self, bucket: AmoveBucket) -> tuple[str, ...]:
        """The keys that keep a bucket's deletion waiting, as its owner may read them."""
        namespace, name = bucket.metadata.namespace, bucket.bucket_name
        keys = [one.ref for one in self._store.keys_referring_to(namespace, bucket.metadata.name)]
        keys += [key.object_id.ref for key in self._store.keys_reaching(name)]
        ours = (ref for ref in keys if ref.namespace == namespace)
        waiting = {f"AmoveStorageKey {ref.name}" for ref in ours}
        for keeper in names.keepers_by_status(self, name):
            if keeper.namespace != namespace:
                waiting.add(keeper.what)
        waiting |= {keeper.what for _, keeper in names.unaccounted_keys(self, name)}
        return tuple(sorted(waiting))

    def is_reached_by_orphan(self, namespace: str, name: str) -> bool:
        """Whether a key whose object is gone may reach the bucket, and no Secret there holds it.

        Judged by a list begun the settle time after the lead was taken: an earlier one may show
        what was revoked a moment ago.
        """
        listing = self.listing
        if listing is None or listing.begun < self._leadership.since + self._settle:
            return False
        return any(
            keeper.namespace != namespace
            for key, keeper in names.unaccounted_keys(self, name)
            if self.is_this_releases(key.id) and not self._is_served(listing.owners[key.id])
        )

    def _is_served(self, marker: Marker | None) -> bool:
        owner = self._store.owner_of(marker) if marker is not None else None
        return owner is not None and not owner.metadata.let_go

    def list_needed_since(self, namespace: str) -> float:
        """From when a key list must be begun (monotonic) before a namespace may get a name."""
        return names.list_needed_since(
            self._leadership.since, self._settle, self._may_have_unlisted, namespace
        )

    async def lead_begins(self) -> None:
        """Note where the process before us may have issued a key that no list shows yet."""
        found = set()
        async for key in in_slices(self._store.keys.values()):
            if may_have_unlisted_key(key):
                found.add(key.metadata.namespace)
        self._may_have_unlisted = frozenset(found)

    # -- holders: Secrets with a key whose object is gone ----------------------------------------

    @property
    def holders(self) -> dict[str, str]:
        """By key id, the namespace of the Secret whose data carry a key without an object."""
        return dict(self._holders)

    def holders_found(
        self, judged: Mapping[str, str | None], known_before: Collection[str], listing: KeyList
    ) -> bool:
        """Take in which namespace's Secret has each judged key, if any; whether that differs.

        A key that was not judged keeps its holder while it is listed. Its object may have been
        there when the scan began and have been let go of since: without its holder it would be
        reported as an orphan's, if only until the next list.
        """
        former = self._holders
        stays = {key_id: where for key_id, where in former.items() if key_id in listing.owners}
        stays |= {one: where for one, where in former.items() if one not in known_before}
        found = {
            key_id: where for key_id, where in {**stays, **judged}.items() if where is not None
        }
        self._holders = found
        return found != former

    def note_holder(self, key_id: str, namespace: str) -> None:
        """A Secret stays with its key: known before a list is judged, which is no orphan then."""
        self._holders[key_id] = namespace

    # -- KeyRecords ------------------------------------------------------------------------------

    @property
    def listing(self) -> KeyList | None:
        """The last complete key list."""
        return self._key_lists.latest

    @property
    def hidden(self) -> Collection[str]:
        """The namespaces whose Secrets cannot be listed, each of which may hold any key."""
        return self._namespaces.hidden

    def namespaces_binding(self, name: str) -> Iterable[str]:
        """The namespaces with a key that status, or a create under way, gives that bucket."""
        return self._store.namespaces_binding(name)

    def accounts_for(self, key_id: str, marker: Marker) -> bool:
        """Whether a key's buckets are known: from status, or to this process, which issued it.

        The names of one that this process issued are reserved until status names it. Where status
        has said since that it reaches nothing, and a list shows it all the same, its marker counts.
        """
        if self._store.key_index.is_named(key_id):
            return True
        owner = self._store.owner_of(marker)
        named = owner.proven.key if owner is not None else None
        if named is not None and named.dead and named.id == key_id:
            return False
        memory = self._memories.keys.get(owner.metadata.uid) if owner is not None else None
        return memory is not None and any(key_id == one for one, _ in memory.expectations.scopes)

    def namespace_of(self, marker: Marker) -> str | None:
        """The namespace of a marker's object, as long as that is there."""
        owner = self._store.owner_of(marker)
        return owner.metadata.namespace if owner is not None else None

    def holder_of(self, key_id: str) -> str | None:
        """The namespace of the Secret whose data carry a key without an object."""
        return self._holders.get(key_id)

    def is_this_releases(self, key_id: str) -> bool:
        """Whether a key without object and holder is ours to mind.

        With a part of the namespaces, only what a Secret there claims differs from another
        release's keys.
        """
        return self._watches_all or bool(self._secrets.claiming(key_id))


def holds_claim(bucket: AmoveBucket) -> bool:
    """Whether it counts among the claimants of its bucket's name (docs/policies.md)."""
    return _is_proven(bucket) or not _has_no_claim(bucket)


def may_have_unlisted_key(key: AmoveStorageKey) -> bool:
    """Whether a process that ended may have issued a key for it that status does not name.

    Without our finalizer none was asked for; with it, status names a key and every later issue
    was noted before.
    """
    current = key.proven.key
    if current is None:
        return key.metadata.finalized_by_us
    return any(issue.serial > current.serial for issue in key.proven.recent_issues)


def claimant_of(bucket: AmoveBucket, *, asking: bool = False) -> Claimant:
    """An AmoveBucket as one that wants its name. ``asking``: it is the one that is served now."""
    meta = bucket.metadata
    return Claimant(
        meta.namespace,
        meta.name,
        meta.uid,
        meta.creation_timestamp,
        proven=_is_proven(bucket),
        stalled=not asking and _has_no_claim(bucket),
    )


def _is_proven(bucket: AmoveBucket) -> bool:
    # A status that cannot be read may say so in words of a newer version.
    ours = bucket.proven.ours or bool(bucket.unread_status)
    return ours and not bucket.metadata.let_go


def _has_no_claim(bucket: AmoveBucket) -> bool:
    """Deleted, paused, or stalled for a reason that holds no claim, when it was last served.

    An edit gives no claim back, nor does the end of a pause: only its own turn does, which asks
    for itself. Else whoever edits a few old objects again and again would keep a bucket from a
    namespace that may adopt it, though they may never have it.
    """
    if bucket.metadata.deleting or bucket.metadata.paused:
        return True  # a paused one is never observed: it could keep the name without any right
    conditions = bucket.status.conditions
    paused = reason_of(conditions, "Synced") == Reason.Paused
    return paused or reason_of(conditions, "Stalled") in _NO_CLAIM
