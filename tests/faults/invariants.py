"""What must never happen to the teams' objects, whatever goes wrong, and how it must end."""

from __future__ import annotations

import time
from base64 import b64decode
from collections import Counter
from typing import Any, NamedTuple

from amove_emulator import Emulator
from amove_emulator.control import most_live
from tests.cluster.harness import BUCKET, KEY, Manifest, condition
from tests.cluster.harness_keys import MARKED, marker_of, owner_of
from tests.faults.teams import QUIET, Team, Teams, Where, may_be_deleted

NOBODYS = 3
"""So many mints beyond the budget may be the first, which is not counted, and those that the hour
gives one by one."""


class Seen(NamedTuple):
    """What there was at one moment: at the service first, in the cluster then."""

    keys: list[dict[str, Any]]
    buckets: dict[str, dict[str, Any]]
    secrets: dict[Where, Manifest]
    objects: list[tuple[Team, Manifest]]


class Pinned(NamedTuple):
    """A settled key that nobody touches: its CR's marker, its access key, and since when.

    ``since``: on the monotonic clock, as the emulator's journal has it.
    """

    owner: str
    access_key: str
    since: float


class Invariants:
    """Looks at all there is, and remembers what was wrong. ``budget``: AMOVE_MINT_BUDGET."""

    def __init__(self, teams: Teams, emulator: Emulator, budget: int) -> None:
        self.teams, self.control, self.budget = teams, emulator.control, budget
        self.filled: set[str] = set()
        self.wrong: list[str] = []
        self._uids: dict[Where, str] = {}
        self._pinned: dict[Where, Pinned] = {}
        self._team_of: dict[str, Team] = {}
        """By a CR's marker in the names of keys."""

    # -- what must never happen ------------------------------------------------------------------

    def look(self) -> Seen:
        """Note what is wrong at this moment; and put something in each bucket that is to stay."""
        seen = self._seen()
        self._of_secrets(seen)
        self._of_reach(seen)
        self._of_settled(seen)
        for name in seen.buckets.keys() - self.filled:
            if not may_be_deleted(name):
                self.control.put_object(name, "a photo")
                self.filled.add(name)
        return seen

    def _seen(self) -> Seen:
        state = self.control.state()
        secrets, objects = {}, []
        for team in self.teams.all:
            for secret in team.there.every("Secret"):
                secrets[team.there.namespace, secret["metadata"]["name"]] = secret
            objects += [(team, each) for kind in (BUCKET, KEY) for each in team.there.every(kind)]
        self._team_of |= {_marker(each): team for team, each in objects}
        return Seen(state["keys"], {one["name"]: one for one in state["buckets"]}, secrets, objects)

    def _of_secrets(self, seen: Seen) -> None:
        """None holds a dead key, or is another than it was."""
        dead = {key["accessKey"] for key in seen.keys if not key["live"]}
        for where, secret in seen.secrets.items():
            if where in self.teams.touched:
                continue
            if _access_key(secret) in dead:
                self.wrong.append(f"the Secret of {where} holds a dead key")
            if _uid(secret) != self._uids.setdefault(where, _uid(secret)):
                self.wrong.append(f"the Secret of {where} is another")
        for where in self._uids.keys() - seen.secrets.keys() - self.teams.touched:
            self.wrong.append(f"the Secret of {where} is lost")

    def _of_reach(self, seen: Seen) -> None:
        """No key reaches another team's bucket, and no two teams' keys reach one name."""
        reached: dict[str, int] = {}
        for key in seen.keys:
            team = self._team_of.get(owner_of(key["name"]))
            if team is None or not (key["live"] and key["listed"]):
                continue
            for name in key["buckets"]:
                own = name.startswith((f"team-{team.number}-", f"pair-{team.number // 2}-"))
                if not own or reached.setdefault(name, team.number) != team.number:
                    self.wrong.append(f"a key of team {team.number} reaches {name}")

    def _of_settled(self, seen: Seen) -> None:
        """What is settled, and touched by nobody, keeps its key."""
        now, quiet = time.monotonic(), {f"key-{number}" for number in QUIET}
        for team, each in seen.objects:
            name, where = each["metadata"]["name"], (team.there.namespace, each["metadata"]["name"])
            if each["kind"] != KEY or name not in quiet:
                continue
            access_key = _access_key(seen.secrets.get(where))
            told = each["status"].get("key", {}).get("accessKey")
            pinned = self._pinned.get(where)
            if pinned is None and access_key == told and _is_settled(each):
                self._pinned[where] = Pinned(_marker(each), access_key, now)
            elif pinned is not None and pinned.access_key != access_key:
                self.wrong.append(f"the settled key of {where} is another")

    def broken(self) -> list[str]:
        """All that happened and must not have, by the journal too."""
        seen = self._seen()
        # What half a call left alive in no list nobody can find: see docs/amove-api.md.
        unlisted = {key["id"] for key in seen.keys if key["live"] and not key["listed"]}
        events = [one for one in self.control.key_events() if one["key_id"] not in unlisted]
        marked = [one for one in events if MARKED.search(one["name"])]
        minted = Counter(owner_of(one["name"]) for one in marked if one["event"] == "created")
        dropped = {one["query"]["bucketName"] for one in self.control.journal("delete_bucket")}
        since = {one.owner: one.since for one in self._pinned.values()}
        return [
            *dict.fromkeys(self.wrong),
            *(f"{n} live keys of {one}" for one, n in most_live(marked, owner_of).items() if n > 2),
            *(f"{n} live keys by name {one}" for one, n in most_live(marked, str).items() if n > 1),
            *(f"{n} keys of {one}" for one, n in minted.items() if n > self.budget + NOBODYS),
            *(f"{name} is lost" for name in self.filled if not seen.buckets[name]["objects"]),
            *(f"{name} was to stay" for name in dropped if not may_be_deleted(name)),
            *(
                f"{one['name']} was issued for a settled object"
                for one in marked
                if one["event"] == "created"
                and one["time"] > since.get(owner_of(one["name"]), one["time"])
            ),
        ]

    # -- how it must end -------------------------------------------------------------------------

    def unsettled(self, deaths: int) -> list[str]:
        """What is not as declared; people do about conditions what they ask for.

        ``deaths``: how often a process ended without a word.
        """
        seen = self.look()
        live = {key["id"]: key for key in seen.keys if key["live"] and key["listed"]}
        wrong: list[str] = []
        for team, each in seen.objects:
            where = team.there.namespace, each["metadata"]["name"]
            held = {_access_key(seen.secrets.get(where))} if each["kind"] == KEY else set()
            mine = [one for one in live.values() if owner_of(one["name"]) == _marker(each)]
            if {one["accessKey"] for one in mine} != held or not _is_settled(each):
                wrong.append(f"{where}: live {[one['id'] for one in mine]}, {_told(each)}")
                self.teams.attend(team, each)
            for one in mine:
                del live[one["id"]]
        return [*wrong, *self._left_over(seen, live, deaths)]

    def _left_over(self, seen: Seen, live: dict[str, Any], deaths: int) -> list[str]:
        """Keys, buckets and Secrets that belong to no object."""
        kept = {_access_key(seen.secrets.get(where)) for where in self.teams.retained}
        others = [key for key in live.values() if key["accessKey"] not in kept]
        # By a name that the service changed no process can know a key but that which asked for it.
        nameless = [key for key in others if not MARKED.search(key["name"])]
        names = {each["spec"].get("bucketName") for _, each in seen.objects}
        owned = {(team.there.namespace, each["metadata"]["name"]) for team, each in seen.objects}
        return [
            *(["renamed keys stay"] if len(nameless) > deaths else []),
            *(f"nobody holds {key['name']}" for key in others if key not in nameless),
            *(f"bucket {name} is left" for name in seen.buckets.keys() - names),
            *(
                f"Secret {where} is left"
                for where in seen.secrets.keys() - owned - self.teams.retained
            ),
            *(
                f"Secret {where} that was to stay is gone"
                for where in self.teams.retained - seen.secrets.keys()
            ),
        ]


def _access_key(secret: Manifest | None) -> str:
    """Of either format; empty where there is none."""
    data = {} if secret is None else secret.get("data") or {}
    if "AWS_ACCESS_KEY_ID" in data:
        return b64decode(data["AWS_ACCESS_KEY_ID"]).decode()
    lines = b64decode(data.get("credentials", "")).decode().splitlines()
    found = [line.partition("=")[2].strip() for line in lines if "aws_access_key_id" in line]
    return found[0] if found else ""


def _uid(each: Manifest) -> str:
    return str(each["metadata"]["uid"])


def _marker(each: Manifest) -> str:
    return marker_of(_uid(each))


def _is_settled(each: Manifest) -> bool:
    going = "deletionTimestamp" in each["metadata"]
    found = [condition(each, one) for one in ("Ready", "Synced")]
    told = {(one.get("status"), one.get("observedGeneration")) for one in found}
    return not going and told == {("True", each["metadata"]["generation"])}


def _told(each: Manifest) -> str:
    found = [condition(each, one) for one in ("Ready", "Synced")]
    return ", ".join(f"{one.get('reason')}: {one.get('message')}" for one in found)
