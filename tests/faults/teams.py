"""Four teams whose objects live random lives: declared, edited, rotated, deleted, made again, kept.

What a person would do about a condition is done here as well; what must never happen meanwhile is
in invariants.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import httpx

from amove_emulator import CLOUD_ACCOUNT_ID, ControlError, Emulator
from tests.cluster.harness import BUCKET, KEY, Manifest, a_bucket, a_key, condition, refs
from tests.cluster.harness_cluster import Cluster
from tests.cluster.harness_keys import KEY_ID

TEAMS, BUCKETS, KEYS = 4, 15, 35
"""So many namespaces, and so many of each kind in each: 200 objects."""
TRUSTED = 0
"""The team whose namespace is trusted."""
KEPT = range(10)
"""Buckets that something is put in, and that nobody asks to delete. Keys are for these."""
SHARED, DOOMED = range(10, 12), range(12, 14)
"""Buckets whose name another team wants as well; those that people delete and make again."""
ADOPTED = 14
"""The trusted team's bucket that is let go of, and taken over again."""
QUIET, LEAVING = range(12), range(32, 34)
"""Keys that nobody touches; those that are kept for good at their end, where that is allowed."""
OF_SHARED = dict(zip(range(30, 32), SHARED, strict=True))
"""Which key is for which bucket of a shared name."""
LIVELY = sorted({*range(KEYS)} - {*QUIET, *LEAVING, *OF_SHARED})
FORMATS = ({"format": "AWS"}, {"format": "CredentialsFile"}, {"labels": {"team": "storm"}})

Where = tuple[str, str]
"""Namespace and name."""


class Team(NamedTuple):
    """One namespace, and what the names of its buckets at the service are."""

    number: int
    there: Cluster

    def remote(self, bucket: int) -> str:
        """The name of one of its buckets at the service."""
        owner = f"pair-{self.number // 2}" if bucket in SHARED else f"team-{self.number}"
        return f"{owner}-{self.local(bucket)}"

    @staticmethod
    def local(bucket: int) -> str:
        """The name of one of its AmoveBuckets."""
        role = "shared" if bucket in SHARED else "doomed" if bucket in DOOMED else "kept"
        return f"{role}-{bucket}"


def may_be_deleted(remote: str) -> bool:
    """Whether somebody asked for the deletion of the bucket of that name."""
    return "-doomed-" in remote or "-shared-" in remote


class Teams:
    """The teams' objects and what people do with them. All chance is ``chance``'s."""

    def __init__(self, namespaces: list[Cluster], emulator: Emulator, chance: Random) -> None:
        self.all = [Team(number, there) for number, there in enumerate(namespaces)]
        self.control, self.chance = emulator.control, chance
        self.touched: set[Where] = set()
        """Keys or Secrets that somebody deleted, damaged, or revoked behind our back."""
        self.retained: set[Where] = set()
        """Keys that went and whose Secret stays."""
        self.claimed: list[str] = []
        """Buckets of which an admin said that they are the team's."""
        self.done = self.failed = 0

    # -- what is declared ------------------------------------------------------------------------

    def declare(self, number: int) -> None:
        """All that a team has; of a shared name, the even team is first."""
        team = self.all[number]
        for bucket in range(BUCKETS):
            self._declare_bucket(team, bucket)
        for key in range(KEYS):
            self._declare_key(team, key)

    def _declare_bucket(self, team: Team, bucket: int) -> None:
        policy = "Delete" if may_be_deleted(team.remote(bucket)) else "Retain"
        wanted = a_bucket(
            team.local(bucket),
            bucketName=team.remote(bucket),
            versioningEnabled=bucket % 3 == 0,
            deletionPolicy=policy,
        )
        if (team.number, bucket) == (TRUSTED, ADOPTED):
            wanted["spec"]["adoptionPolicy"] = "IfExists"
        team.there.apply(wanted)

    def _declare_key(self, team: Team, key: int) -> None:
        if (team.there.namespace, f"key-{key}") in self.retained:
            return
        # One that stays for good has one bucket: of several its name tells by a mask, by which
        # others' buckets seem reached for ever.
        several = key % 2 == 1 and key not in LEAVING
        some = [OF_SHARED[key]] if key in OF_SHARED else self.chance.sample(KEPT, 1 + several)
        names = refs(*(team.local(bucket) for bucket in some))
        rotation = {"gracePeriod": "1s"} | ({"interval": "6h"} if key % 2 else {})
        team.there.apply(a_key(f"key-{key}", bucketRefs=names, rotation=rotation))

    # -- what people do --------------------------------------------------------------------------

    def something_happens(self) -> None:
        """One thing that a person does; the API server may refuse it, as it may refuse anybody."""
        team = self.chance.choice(self.all)
        rarer = (self._of_bucket, self._of_bucket, self._of_shared, self._of_leaving)
        deed = self.chance.choice((*[self._of_lively] * 9, *rarer))
        self.tries(lambda: deed(team))

    def tries(self, deed: Callable[[], object]) -> None:
        """Do it, if the API server lets us and what it is about is there."""
        try:
            deed()
        except (AssertionError, ControlError, httpx.HTTPError):
            self.failed += 1
        else:
            self.done += 1

    def _of_lively(self, team: Team) -> None:
        key = self.chance.choice(LIVELY)
        name, there = f"key-{key}", team.there
        found = there.get(KEY, name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            self._declare_key(team, key)
            return
        deeds = (self._rotated, self._rotated, self._edited, self._edited, self._of_secret)
        self.chance.choice((*deeds, self._deleted, self._paused, self._revoked))(there, name)

    def _rotated(self, there: Cluster, name: str) -> None:
        there.annotate(KEY, name, rotate_requested_at=str(time.time()))

    def _edited(self, there: Cluster, name: str) -> None:
        buckets = [Team.local(bucket) for bucket in self.chance.sample(KEPT, 2)]
        change = self.chance.choice(
            (
                {"bucketRefs": refs(*buckets)},
                {"permission": self.chance.choice(("Read", "ReadWrite"))},
                {"secret": self.chance.choice(FORMATS)},
                {"keyName": self.chance.choice(("plain", "simple"))},
            )
        )
        there.patch(KEY, name, {"spec": change})

    def _of_secret(self, there: Cluster, name: str) -> None:
        self.touched.add((there.namespace, name))
        if self.chance.random() < 0.5:
            there.delete("Secret", name)
        else:
            there.patch_if_there("Secret", name, {"stringData": {"AWS_REGION": "elsewhere"}})

    def _deleted(self, there: Cluster, name: str) -> None:
        self.touched.add((there.namespace, name))
        there.delete(KEY, name)

    def _paused(self, there: Cluster, name: str) -> None:
        there.annotate(KEY, name, paused=self.chance.choice(("true", None)))

    def _revoked(self, there: Cluster, name: str) -> None:
        self.touched.add((there.namespace, name))
        secret = there.get("Secret", name)
        held = "" if secret is None else secret["metadata"].get("annotations", {}).get(KEY_ID, "")
        if any(one["id"] == held for one in self.control.live_keys()):
            self.control.revoke_key(held)

    def _of_bucket(self, team: Team) -> None:
        there, kept = team.there, team.local(self.chance.choice(KEPT))
        going = self.chance.choice([*DOOMED, *([ADOPTED] if team.number == TRUSTED else [])])
        what = self.chance.random()
        if what < 0.3:
            there.patch(BUCKET, kept, {"spec": {"versioningEnabled": self.chance.random() < 0.5}})
        elif what < 0.4:
            remote = team.remote(self.chance.choice(KEPT))
            self.control.set_flags(remote, encryptionEnabled=self.chance.random() < 0.5)
        elif there.get(BUCKET, team.local(going)) is None:
            self._declare_bucket(team, going)
        else:
            there.delete(BUCKET, team.local(going))

    def _of_shared(self, team: Team) -> None:
        """Give a shared name away, or want it (again)."""
        key, bucket = self.chance.choice([*OF_SHARED.items()])
        if self.chance.random() < 0.5:
            self._give_away(team, key, bucket)
        else:
            self._declare_bucket(team, bucket)
            self._declare_key(team, key)

    def _give_away(self, team: Team, key: int, bucket: int) -> None:
        self.touched.add((team.there.namespace, f"key-{key}"))
        team.there.delete(KEY, f"key-{key}")
        team.there.delete(BUCKET, team.local(bucket))

    def _of_leaving(self, _team: Team) -> None:
        """A key of the trusted team goes, and what it was issued stays."""
        there = self.all[TRUSTED].there
        name = f"key-{self.chance.choice(LEAVING)}"
        if condition(there.get(KEY, name), "Ready").get("status") == "True":
            there.patch(KEY, name, {"spec": {"deletionPolicy": "Retain"}})
            self.retained.add((there.namespace, name))
            there.delete(KEY, name)

    def calm_down(self) -> None:
        """Nothing is paused any more, and the shared names are free: the even teams get them.

        A bucket that is to go waits for the key that somebody declared for it meanwhile.
        """
        for team in self.all:
            for each in team.there.every(KEY):
                team.there.annotate(KEY, each["metadata"]["name"], paused=None)
            for key, bucket in OF_SHARED.items():
                self._give_away(team, key, bucket)

    def declare_missing(self) -> list[str]:
        """Declare what is not there, and is the team's; what that was, or waits to be declared."""
        missing = []
        for team in self.all:
            objects = [*team.there.every(BUCKET), *team.there.every(KEY)]
            there = {one["metadata"]["name"] for one in objects}
            going = {
                one["metadata"]["name"] for one in objects if "deletionTimestamp" in one["metadata"]
            }
            for bucket in range(BUCKETS):
                if team.local(bucket) not in there and not (team.number % 2 and bucket in SHARED):
                    self._declare_bucket(team, bucket)
                    missing.append(team.remote(bucket))
            for key in self._keys_of(team):
                if f"key-{key}" not in there:
                    missing.append(f"key-{key} of team {team.number}")
                    if key not in OF_SHARED or team.local(OF_SHARED[key]) not in going:
                        self._declare_key(team, key)
        return missing

    def _keys_of(self, team: Team) -> list[int]:
        """Those that a team has in the end."""
        retained = {name for namespace, name in self.retained if namespace == team.there.namespace}
        given_away = OF_SHARED if team.number % 2 else ()
        return [
            key for key in range(KEYS) if f"key-{key}" not in retained and key not in given_away
        ]

    def attend(self, team: Team, each: Manifest) -> None:
        """What a person who reads the condition does about it."""
        reason = condition(each, "Synced").get("reason")
        name, now = each["metadata"]["name"], str(time.time())
        if reason == "ApiRefused":
            self.tries(lambda: team.there.annotate(each["kind"], name, reconcile_requested_at=now))
        elif reason == "BucketExists":
            self.tries(lambda: self._claim_as_admin(team, each))
        elif reason == "MassKeyLoss":
            self.tries(lambda: team.there.annotate(each["kind"], name, accept_loss=now))

    def _claim_as_admin(self, team: Team, each: Manifest) -> None:
        """What the message of BucketExists says: the admin knows that it was made for this object.

        A create without an answer, then a look that shows no bucket, then "already exists": the
        operator cannot tell that from another's bucket.
        """
        status = {
            "ownerUID": each["metadata"]["uid"],
            "provenance": "Adopted",
            "bucketName": each["spec"]["bucketName"],
            "cloudAccountId": CLOUD_ACCOUNT_ID,
        }
        name = each["metadata"]["name"]
        team.there.patch(BUCKET, name, {"status": status}, subresource="status")
        self.claimed.append(status["bucketName"])
