"""One whole operator's key side, driven by hand: the real controller on the stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from amove_operator.amove import NewKey
from amove_operator.controllers.dispatcher import Dispatcher
from amove_operator.controllers.shared.dependencies import Dependencies
from amove_operator.core.key_list import KeyList
from amove_operator.core.naming import MarkedName, marker_of, parse_name
from amove_operator.core.secrets.record import KEY_ID, MANAGED, OWNER_UID
from amove_operator.engine.workqueue import Run, WorkQueue
from amove_operator.errors import ApiError
from amove_operator.fairness import Urgency
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import FINALIZER, canonical_id
from amove_operator.models.refs import Kind, ObjectId, Ref
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics
from tests.stand_ins.fate import Crash, Fate, run
from tests.stand_ins.kube import InMemoryKube
from tests.stand_ins.ports import Body, as_client, as_kube
from tests.stand_ins.service import InMemoryService, StoredKey
from tests.stand_ins.time import Time

ACCOUNT = "11111111-1111-1111-1111-111111111111"
SETTINGS = Settings(
    token_file="/dev/null",  # type: ignore[arg-type]
    cloud_account_id=ACCOUNT,
    storage_dn="s3.example",
    trusted_namespaces=("*",),
)
SETTLE = SETTINGS.listing_settle.total_seconds()
METRICS = Metrics()
CLUSTER = "cluster"
GRACE = "10m"
Where = tuple[str, str]


class _QuietQueue:
    """Walks say themselves who is served next."""

    def begin(self) -> None: ...
    def add(self, _item: ObjectId, _urgency: Urgency = Urgency.CHANGE) -> None: ...
    def add_after(
        self, _item: ObjectId, _seconds: float, _urgency: Urgency = Urgency.CHANGE
    ) -> None: ...
    def is_processing(self, _item: ObjectId) -> bool:
        return False

    def run(self, _item: ObjectId) -> Run:
        return Run(Urgency.CHANGE, failures=0)

    def fail(self, _item: ObjectId, *, cap: float = 0, at_least: float = 0) -> float:
        return cap + at_least

    def forget(self, _item: ObjectId) -> None: ...
    def discard(self, _item: ObjectId) -> None: ...


class Walked:
    """Cluster, service and operator, with what must never happen watched at every call."""

    def __init__(self) -> None:
        self.time, self.fate = Time(), Fate()
        self.kube = InMemoryKube(self.time, self.fate)
        self.service = InMemoryService(self.time, self.fate)
        self.service.creating = self._creating
        self.service.deleting = self._deleting
        self.service.listed = self._listed
        self.fate.meanwhile = self._meanwhile
        self.watches_are_quick = True
        self.tainted: set[Where] = set()
        self.foreign: dict[Where, Body] = {}
        self.stripped: set[str] = set()
        self.orphaned: set[str] = set()
        self.unguarded: set[str] = set()
        self.looks_new: set[str] = set()
        self.asked_for: set[str] = set()
        self.issued_for: dict[str, tuple[object, ...]] = {}
        self.revoked: set[str] = set()
        self.lost: set[str] = set()
        self.misled: set[str] = set()
        self.given_up: set[str] = set()
        self.nameless: set[str] = set()
        self.serving: ObjectId | None = None
        self.vanished_before = False
        self.uid = ""
        self.restart()

    def restart(self) -> None:
        """A new process takes the lead. It knows no ghosts: what they left are orphans.

        Nor does it know a key that the service made under a name without our marker.
        """
        self.lost, self.asked_for = set(), set()
        self.nameless |= self.service.renamed
        self.looks_new |= {owner for owner in self.stripped if self._is_untouched(owner)}
        self.orphaned |= self.stripped - {_digest(uid) for uid in self._uids()}
        self.service.unanswered |= self.service.keys.keys() - self._ids_in_status()
        self.unguarded = {_digest(uid) for uid in self._uids()}
        self.d = Dependencies(
            SETTINGS,
            as_kube(self.kube),
            as_client(self.service),
            METRICS,
            CLUSTER,
            queue=cast("WorkQueue[ObjectId]", _QuietQueue()),
            clock=self.time.monotonic,
            now=self.time.local,
        )
        self.d.key_lists.spawn = self.d.enqueue.spawn = run
        self.d.accounts.loaded = True
        self.dispatcher = Dispatcher(self.d)
        self.d.key_lists.subscribe(self._judge_orphans)
        self.watch()
        run(self.dispatcher.on_leading())

    # -- the operator's side ---------------------------------------------------------------------

    def watch(self) -> None:
        """The watches catch up."""
        for ref, body in list(self.kube.crs.items()):
            self.dispatcher.on_object_event(Kind.KEY, None, body)
            assert ref in self.d.store.keys
        for ref in set(self.d.store.keys) - set(self.kube.crs):
            self.dispatcher.on_object_gone(ref)
        shown = {}
        for where, body in self.kube.secrets.items():
            if body["metadata"].get("labels", {}).get(MANAGED) == "true":
                shown[where] = SecretMeta.parse(body)
        for secret in self.d.secrets:
            if (secret.namespace, secret.name) not in shown:
                self.dispatcher.secret_events.on_event(secret, deleted=True)
        for secret in shown.values():
            self.dispatcher.secret_events.on_event(secret, deleted=False)

    async def _judge_orphans(self, listing: KeyList) -> Callable[[], None]:
        """What judges a new list in a task of its own is run to its end here."""
        return lambda: run(self.dispatcher.orphans.judge(listing))

    def serve(self, what: Ref | ObjectId, words: tuple[str, ...] = ()) -> None:
        """One reconcile, whose first effects meet ``words``."""
        item = what if isinstance(what, ObjectId) else self.item(what)
        self.fate.words = list(words)
        self.serving, self.uid = item, item.uid
        self.vanished_before = item in self.d.store.vanished
        try:
            run(self.dispatcher.handle(item))
        except Crash:
            self.restart()
        finally:
            self.fate.words = []
            self.serving = None

    def serve_ghosts(self, words: tuple[str, ...] = ()) -> None:
        """One reconcile for each object that vanished."""
        for ghost in list(self.d.store.vanished):
            self.serve(ghost, words)

    def sweep(self) -> None:
        """The resync's listing; may fail."""
        try:
            run(self.d.key_lists.fresh())
        except ApiError:
            return

    # -- what others do --------------------------------------------------------------------------

    def strip(self, ref: Ref, *, vanish: bool) -> None:
        """Somebody takes our finalizer off, and perhaps deletes the object."""
        body = self.kube.crs.get(ref)
        if body is None:
            return
        owner = _digest(body["metadata"]["uid"])
        self.stripped.add(owner)
        if owner in self.unguarded:
            self.orphaned.add(owner)
        if owner not in self.asked_for and self._is_untouched(owner):
            self.looks_new.add(owner)
        body["metadata"]["finalizers"] = []
        self.kube.touch(body)
        if vanish or "deletionTimestamp" in body["metadata"]:
            del self.kube.crs[ref]

    def take_secret(self, ref: Ref) -> None:
        """Somebody deletes our Secret."""
        where = self._where(ref)
        if where in self.kube.secrets and where not in self.foreign:
            self.tainted.add(where)
            del self.kube.secrets[where]

    def collect(self) -> None:
        """The garbage collector takes the Secrets whose owners are gone."""
        uids = self._uids()
        for where, body in list(self.kube.secrets.items()):
            owners = body["metadata"].get("ownerReferences", ())
            if owners and not any(one["uid"] in uids for one in owners):
                del self.kube.secrets[where]

    def accept_loss(self, ref: Ref, value: str) -> None:
        """A person says that the keys which no list of this user shows are gone."""
        body = self.kube.crs[ref]
        body["metadata"]["annotations"]["storage.amove.io/accept-loss"] = value
        owner = _digest(body["metadata"]["uid"])
        others = [key for key in self.service.keys.values() if key.user != self.service.user]
        self.given_up |= {key.id for key in others if _owner(key.name) == owner}

    def _meanwhile(self, word: str) -> None:
        assert self.serving is not None
        ref = self.serving.ref
        if word == "Secret goes":
            self.take_secret(ref)
        elif word == "edit" and ref in self.kube.crs:
            self.kube.touch(self.kube.crs[ref])
        elif word != "edit":
            self.strip(ref, vanish=word == "vanish")
        if self.watches_are_quick:
            self.watch()

    # -- what must never happen ------------------------------------------------------------------

    def _creating(self, new: NewKey) -> None:
        assert self.serving is not None
        assert not self.vanished_before, "a key for a vanished object"
        ref = self.serving.ref
        uid, parsed = self.uid, parse_name(new.name)
        assert parsed is not None
        assert parsed.marker == marker_of(CLUSTER, uid)
        self.asked_for.add(parsed.marker.owner)
        live = self._live(parsed.marker.owner)
        if parsed.marker.owner not in self.looks_new:
            assert len(live) < 2, f"a third live key beside {live}"
        self._is_needed(ref, uid, parsed, new)
        self.issued_for[new.name] = _asked_for(new)
        hour = [at for at, name in self.service.created if _owner(name) == parsed.marker.owner]
        recent = [at for at in hour if at > self.time.seconds - 3600]
        assert len(recent) <= SETTINGS.mint_budget + 1 + 3, "beyond the budget"

    def _is_needed(self, ref: Ref, uid: str, parsed: MarkedName, new: NewKey) -> None:
        body, held = self.kube.crs.get(ref), self.held(ref, uid)
        if body is None or body["metadata"]["uid"] != uid:
            return  # it vanished, and we cannot know yet
        if parsed.marker.owner not in self.stripped:
            assert FINALIZER in body["metadata"].get("finalizers", ()), "a key before the finalizer"
        assert self._where(ref) not in self.foreign, "a key for a foreign Secret"
        accepted = "storage.amove.io/accept-loss" in body["metadata"]["annotations"]
        assert accepted or uid not in self.lost, "a replacement in a mass loss"
        if held is not None and self._where(ref) not in self.tainted and held.name:
            recorded = body.get("status", {}).get("key", {}).get("id")
            asked = body["metadata"]["annotations"].get("storage.amove.io/rotate-requested-at", "")
            served = self._annotation(ref, "storage.amove.io/rotate-requested-at")
            moved = self.issued_for.get(held.name) != _asked_for(new)
            wanted = asked != served or moved or not self._scope_is_on_record(body, held)
            # An empty list tells nobody whose it is; the token may have changed since.
            hidden = {self.service.user, self.service.listed_as} != {held.user}
            assert wanted or hidden, f"a needless key; status names {recorded}"

    def _scope_is_on_record(self, body: Body, held: StoredKey) -> bool:
        """Else the process that issued the key ended before it wrote status."""
        status, parsed = body.get("status", {}), parse_name(held.name)
        noted = [one["serial"] for one in status.get("recentIssues", ()) if one.get("scope")]
        named = status.get("key", {}).get("id") == held.id
        return named or (parsed is not None and parsed.serial in noted)

    def _deleting(self, key: StoredKey) -> None:
        item = self.serving
        assert item is not None
        self.revoked.add(key.id)
        uid = self.uid
        assert _owner(key.name) == _digest(uid), "another CR's key is revoked"
        body = None if self.vanished_before else self.kube.crs.get(item.ref)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return
        ref = item.ref
        if self._where(ref) not in self.tainted and body["metadata"]["uid"] == uid:
            assert self.held(ref, uid) is not key, "the key that the Secret holds is revoked"

    def _listed(self, shown: list[StoredKey]) -> None:
        """A complete list tells who lost a key; more than three are a mass loss."""
        keys = self.service.keys.values()
        self.misled |= {key.id for key in keys if key.user != self.service.user}
        self.given_up -= {key.id for key in shown}
        ids, lost = {key.id for key in shown} | self.revoked, set()
        for key in self.d.store.keys.values():
            current = key.proven.key
            if current is None or current.dead or key.metadata.deleting or current.id in ids:
                continue
            # Not by status: a clock that was wrong may have dated it.
            issued = [at for at, name in self.service.created if name == current.name]
            if self.time.elapsed() - issued[-1] > SETTLE + 1:
                lost.add(key.metadata.uid)
        self.lost = lost if len(lost) > 3 else set()

    def check(self) -> None:
        """What holds after every move."""
        for body in self.kube.crs.values():
            owner = _digest(body["metadata"]["uid"])
            if FINALIZER in body["metadata"].get("finalizers", ()) or _ids_in(body["status"]):
                self.unguarded.discard(owner)  # a process has seen that there is something to serve
            live = self._live(owner)
            assert len(live) <= 2 or owner in self.looks_new, f"more than two live keys: {live}"
        for where, body in self.foreign.items():
            assert self.kube.secrets.get(where) == body, "a foreign Secret was touched"
        for where, body in self.kube.secrets.items():
            if where not in self.foreign and where not in self.tainted:
                assert len(body["data"]) >= 5, "a half written Secret"

    # -- looking at it ---------------------------------------------------------------------------

    def visible(self) -> list[StoredKey]:
        """The live keys of the user whose token is in use, as far as anybody can know them."""
        keys = self.service.keys.values()
        mine = (key for key in keys if key.user == self.service.user)
        return [key for key in mine if key.id not in self.nameless]

    def _live(self, owner: str) -> list[str]:
        """The live keys under one marker, without those of which a person said that they are gone.

        Until a list shows those again: whose the token is, only its list or a new key can tell.
        """
        visible = [key.id for key in self.visible() if _owner(key.name) == owner]
        return [key_id for key_id in visible if key_id not in self.given_up]

    def _where(self, ref: Ref) -> Where:
        return ref.namespace, ref.name

    def _annotation(self, ref: Ref, name: str) -> str:
        body = self.kube.secrets[self._where(ref)]
        return str(body["metadata"].get("annotations", {}).get(name, ""))

    def _uids(self) -> set[str]:
        return {body["metadata"]["uid"] for body in self.kube.crs.values()}

    def _ids_in_status(self) -> set[str]:
        return {key_id for body in self.kube.crs.values() for key_id in _ids_in(body["status"])}

    def _is_untouched(self, owner: str) -> bool:
        """Stripped, and nothing was written to its status: a new process takes it for new.

        What it does not know shows in its next list, and is revoked (docs/key-protocol.md).
        """
        found = [one for one in self.kube.crs.values() if _digest(one["metadata"]["uid"]) == owner]
        return any("conditions" not in one["status"] for one in found)

    def item(self, ref: Ref) -> ObjectId:
        """The object of that name as the operator knows it."""
        known = self.d.store.get(ref)
        return known.object_id if known is not None else ObjectId(ref, "")

    def configure(self, settings: Settings) -> None:
        """Other settings, as if the process had begun with them."""
        object.__setattr__(self.d, "settings", settings)

    def held(self, ref: Ref, uid: str) -> StoredKey | None:
        """The live key that the CR's own Secret holds, both halves."""
        body = self.kube.secrets.get(self._where(ref))
        if body is None or self._where(ref) in self.foreign:
            return None
        if self._annotation(ref, OWNER_UID) != uid:
            return None
        return self.service.keys.get(canonical_id(self._annotation(ref, KEY_ID)))

    def settle(self) -> None:
        """No more faults: time passes and everybody is served until nothing moves."""
        self.service.lag, self.service.half_lists = 0.0, 0
        self.time.jumped = type(self.time.jumped)()
        for _ in range(9):
            self.time.seconds += 4000
            self.collect()
            self.watch()
            self.sweep()
            self.serve_ghosts()
            for ref in list(self.kube.crs):
                for _ in range(2):
                    if ref in self.kube.crs:
                        self.watch()
                        self.serve(ref)
                self.check()
                self._obey(ref)
            if not self.unsettled():
                return
        raise AssertionError(f"it does not settle: {self.unsettled()}")

    def _obey(self, ref: Ref) -> None:
        """A person reads the conditions, and sets the annotation that they ask for."""
        body = self.kube.crs.get(ref)
        if body is None:
            return
        if any(word[2] == "ApiRefused" for word in _words(body)):
            asked = body["metadata"]["annotations"]
            asked["storage.amove.io/reconcile-requested-at"] = self.kube.version()
            self.kube.touch(body)
        if any("accept-loss" in (word[3] or "") for word in _words(body)):
            self.accept_loss(ref, self.kube.version())
            self.kube.touch(body)

    def unsettled(self) -> list[str]:
        """What is not as it should be in the end."""
        wrong = []
        owners = set()
        for ref, body in self.kube.crs.items():
            uid = body["metadata"]["uid"]
            owners.add(_digest(uid))
            if self._where(ref) in self.foreign:
                continue
            live = [key for key in self.visible() if _owner(key.name) == _digest(uid)]
            if len(live) != 1 or self.held(ref, uid) is not live[0]:
                wrong.append(f"{ref}: live {[key.id for key in live]}, {_words(body)}")
        wrong += [f"left: {key.id}" for key in self.visible() if self._is_left(key, owners)]
        return wrong

    def _is_left(self, key: StoredKey, owners: set[str]) -> bool:
        """A key without a CR, unless a person was told that its revocation was not confirmed.

        A list of another user lacks the key. One whose id nobody was answered, or only a process
        that ended before it wrote status, is an orphan then.
        """
        owner = _owner(key.name)
        told = key.id in self.kube.to_be_checked or owner in self.orphaned | self.looks_new
        unknown = key.id in self.misled & self.service.unanswered
        return owner not in owners and not told and not unknown


def _digest(uid: str) -> str:
    return marker_of(CLUSTER, uid).owner


def _owner(name: str) -> str:
    parsed = parse_name(name)
    assert parsed is not None
    return parsed.marker.owner


def _ids_in(status: Body) -> set[str]:
    """The ids of the keys that a status names."""
    named = [*status.get("retiring", ()), *([status["key"]] if status.get("key") else ())]
    return {key["id"] for key in named}


def _words(body: Body) -> list[Any]:
    found = body.get("status", {}).get("conditions", ())
    return [(one["type"], one["status"], one["reason"], one.get("message")) for one in found]


def _asked_for(new: NewKey) -> tuple[object, ...]:
    """Everything of a create that makes its scope."""
    place = (new.cloud_account_id, new.region, new.storage_dn)
    return (*place, new.permission, new.all_buckets, tuple(new.selected_buckets))
