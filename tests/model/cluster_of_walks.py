"""One whole operator's key side, driven by hand: the real controller on the stand-ins."""

from __future__ import annotations

from typing import Any, cast

from amove_operator.api import AmoveClient, NewKey
from amove_operator.controller.accounts import AccountBook
from amove_operator.controller.cache import Cache, Item
from amove_operator.controller.context import Context
from amove_operator.controller.controller import Controller
from amove_operator.controller.listings import Listings
from amove_operator.controller.queue import WorkQueue
from amove_operator.core.naming import marker_of, parse_name
from amove_operator.core.refs import Kind, Ref
from amove_operator.core.secret_record import KEY_ID, MANAGED_BY, MANAGER, OWNER_UID
from amove_operator.errors import ApiError
from amove_operator.kube import Kube
from amove_operator.kube.secret_watch import SecretMeta
from amove_operator.models import FINALIZER
from amove_operator.settings import Settings
from amove_operator.telemetry import Metrics
from tests.model.stand_ins import (
    Body,
    Crash,
    Fate,
    StandInKube,
    StandInService,
    StoredKey,
    Time,
    run,
)

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

    def add(self, _item: Item) -> None: ...
    def add_after(self, _item: Item, _seconds: float) -> None: ...
    def fail(self, _item: Item, *, cap: float = 0, at_least: float = 0) -> float:
        return cap + at_least

    def forget(self, _item: Item) -> None: ...


class Walked:
    """Cluster, service and operator, with what must never happen watched at every call."""

    def __init__(self) -> None:
        self.time, self.fate = Time(), Fate()
        self.kube = StandInKube(self.time, self.fate)
        self.service = StandInService(self.time, self.fate)
        self.service.creating = self._creating
        self.service.deleting = self._deleting
        self.tainted: set[Where] = set()
        self.foreign: dict[Where, Body] = {}
        self.serving: Ref | None = None
        self.restart()

    def restart(self) -> None:
        """A new process takes the lead."""
        kube, api = cast(Kube, self.kube), cast(AmoveClient, self.service)
        self.context = Context(
            settings=SETTINGS,
            kube=kube,
            api=api,
            cache=Cache(),
            queue=cast("WorkQueue[Item]", _QuietQueue()),
            accounts=AccountBook(SETTINGS, api),
            metrics=METRICS,
            cluster_uid=CLUSTER,
            leading_since=self.time.monotonic(),
            clock=self.time.monotonic,
            now=self.time.local,
        )
        self.context.accounts.loaded = True
        self.controller = Controller(self.context)
        self.controller.leading = True
        self.context.listings = Listings(api, self.time.monotonic, self.controller.listed)
        self.watch()

    # -- the operator's side ---------------------------------------------------------------------

    def watch(self) -> None:
        """The watches catch up."""
        for ref, body in list(self.kube.crs.items()):
            self.controller.seen(Kind.KEY, None, body)
            assert ref in self.context.cache.keys
        for ref in set(self.context.cache.keys) - set(self.kube.crs):
            self.controller.vanished(ref)
        shown = {}
        for where, body in self.kube.secrets.items():
            if body["metadata"].get("labels", {}).get(MANAGED_BY) == MANAGER:
                shown[where] = SecretMeta.parse(body)
        for where, secret in list(self.context.secrets.items()):
            if where not in shown:
                self.controller.secret_seen(secret, deleted=True)
        for secret in shown.values():
            self.controller.secret_seen(secret, deleted=False)

    def serve(self, ref: Ref, words: tuple[str, ...] = ()) -> None:
        """One reconcile, whose first effects meet ``words``."""
        self.fate.words = list(words)
        self.serving = ref
        try:
            run(self.controller.handle(ref))
        except Crash:
            self.restart()
        finally:
            self.fate.words = []
            self.serving = None

    def sweep(self) -> None:
        """The resync's listing; may fail."""
        try:
            run(self.context.listings.fresh())
        except ApiError:
            return

    # -- what must never happen ------------------------------------------------------------------

    def _creating(self, new: NewKey) -> None:
        ref = self.serving
        assert ref is not None
        body, held = self.kube.crs[ref], self.held(ref)
        parsed = parse_name(new.name)
        assert parsed is not None
        assert parsed.marker == marker_of(CLUSTER, body["metadata"]["uid"])
        assert FINALIZER in body["metadata"].get("finalizers", ()), "a key before the finalizer"
        assert self._where(ref) not in self.foreign, "a key for a foreign Secret"
        if held is not None and self._where(ref) not in self.tainted and held.name:
            recorded = body.get("status", {}).get("key", {}).get("id")
            asked = body["metadata"]["annotations"].get("storage.amove.io/rotate-requested-at", "")
            served = self._annotation(ref, "storage.amove.io/rotate-requested-at")
            scope = parse_name(held.name)
            wanted = asked != served or (scope is not None and scope.scope != parsed.scope)
            # An empty list tells nobody whose it is; the token may have changed since.
            hidden = {self.service.user, self.service.listed_as} != {held.user}
            assert wanted or hidden, f"a needless key; status names {recorded}"
        hour = [at for at, name in self.service.created if _owner(name) == parsed.marker.owner]
        recent = [at for at in hour if at > self.time.seconds - 3600]
        assert len(recent) <= SETTINGS.mint_budget + 1 + 3, "beyond the budget"

    def _deleting(self, key: StoredKey) -> None:
        ref = self.serving
        assert ref is not None
        uid = self.kube.crs[ref]["metadata"]["uid"]
        assert _owner(key.name) == marker_of(CLUSTER, uid).owner, "another CR's key is revoked"
        if (
            "deletionTimestamp" in self.kube.crs[ref]["metadata"]
            or self._where(ref) in self.tainted
        ):
            return
        assert self.held(ref) is not key, "the key that the Secret holds is revoked"

    def check(self) -> None:
        """What holds after every move."""
        for body in self.kube.crs.values():
            owner = marker_of(CLUSTER, body["metadata"]["uid"]).owner
            live = [key.id for key in self.visible() if _owner(key.name) == owner]
            assert len(live) <= 2, f"more than two live keys: {live}"
        for where, body in self.foreign.items():
            assert self.kube.secrets.get(where) == body, "a foreign Secret was touched"
        for where, body in self.kube.secrets.items():
            if where not in self.foreign and where not in self.tainted:
                assert len(body["data"]) >= 5, "a half written Secret"

    # -- looking at it ---------------------------------------------------------------------------

    def visible(self) -> list[StoredKey]:
        """The live keys of the user whose token is in use."""
        return [key for key in self.service.keys.values() if key.user == self.service.user]

    def _where(self, ref: Ref) -> Where:
        return ref.namespace, ref.name

    def _annotation(self, ref: Ref, name: str) -> str:
        body = self.kube.secrets[self._where(ref)]
        return str(body["metadata"].get("annotations", {}).get(name, ""))

    def held(self, ref: Ref) -> StoredKey | None:
        """The live key that the CR's own Secret holds, both halves."""
        body = self.kube.secrets.get(self._where(ref))
        if body is None or self._where(ref) in self.foreign:
            return None
        if self._annotation(ref, OWNER_UID) != self.kube.crs[ref]["metadata"]["uid"]:
            return None
        return self.service.keys.get(self._annotation(ref, KEY_ID))

    def settle(self) -> None:
        """No more faults: time passes and everybody is served until nothing moves."""
        self.service.lag, self.service.half_lists = 0.0, 0
        self.time.jumped = type(self.time.jumped)()
        for _ in range(9):
            self.time.seconds += 4000
            self.watch()
            self.sweep()
            for ref in list(self.kube.crs):
                for _ in range(2):
                    if ref in self.kube.crs:
                        self.watch()
                        self.serve(ref)
                self.check()
                self._accept_losses(ref)
            if not self.unsettled():
                return
        raise AssertionError(f"it does not settle: {self.unsettled()}")

    def _accept_losses(self, ref: Ref) -> None:
        """A person reads the condition, and sets the annotation."""
        body = self.kube.crs.get(ref)
        reasons = {word[2] for word in _words(body)} if body is not None else set()
        if body is not None and reasons & {"ApiUserChanged", "MassKeyLoss"}:
            version = self.kube.version()
            body["metadata"]["annotations"]["storage.amove.io/accept-loss"] = version
            self.kube.touch(body)

    def unsettled(self) -> list[str]:
        """What is not as it should be in the end."""
        wrong = []
        owners = set()
        for ref, body in self.kube.crs.items():
            owner = marker_of(CLUSTER, body["metadata"]["uid"]).owner
            owners.add(owner)
            if self._where(ref) in self.foreign:
                continue
            live = [key for key in self.visible() if _owner(key.name) == owner]
            if len(live) != 1 or self.held(ref) is not live[0]:
                wrong.append(f"{ref}: live {[key.id for key in live]}, {_words(body)}")
        wrong += [f"left: {key.id}" for key in self.visible() if self._is_left(key, owners)]
        return wrong

    def _is_left(self, key: StoredKey, owners: set[str]) -> bool:
        """A key without a CR, unless a person was told that its revocation was not confirmed.

        An empty list proves a key gone (design.md §5.9), also where it was that of another user.
        """
        return _owner(key.name) not in owners and key.id not in self.kube.to_be_checked


def _owner(name: str) -> str:
    parsed = parse_name(name)
    assert parsed is not None
    return parsed.marker.owner


def _words(body: Body) -> list[Any]:
    found = body.get("status", {}).get("conditions", ())
    return [(one["type"], one["status"], one["reason"], one.get("message")) for one in found]
