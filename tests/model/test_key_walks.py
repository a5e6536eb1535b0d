"""Long walks of the real key reconciler through a small cluster, on a virtual clock.

Several CRs in two namespaces, edits, vandalism, faults before and after every effect, lag, half
listings, restarts, clock jumps, another API user; what must never happen is watched at every call
(cluster_of_walks.py), and every walk must settle in the end.
"""

from __future__ import annotations

import base64
import copy
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from amove_operator.core.secrets.record import KEY_ID, RETIRING
from amove_operator.models.refs import Kind, Ref
from tests.model.cluster_of_walks import GRACE, SETTLE, Walked
from tests.stand_ins.fate import MEANWHILE
from tests.stand_ins.service import IDS, ODD_ANSWERS

NAMES = [Ref(Kind.KEY, space, name) for space in ("red", "blue") for name in "abc"]
FAULTS = ("unanswered, done", "unanswered, not done", "crash before", "crash after", "refused")
WORDS = ("ok", *FAULTS, *MEANWHILE, *ODD_ANSWERS)
A_WORD = st.one_of(st.just("ok"), st.sampled_from(WORDS))
ONE_FAULT = st.builds(lambda n, word: ("ok",) * n + (word,), st.integers(0, 8), A_WORD)
SOME_WORDS = st.one_of(st.just(()), ONE_FAULT, ONE_FAULT, st.lists(A_WORD, max_size=9).map(tuple))
THEN = st.one_of(st.none(), SOME_WORDS)
A_NAME = st.sampled_from([*NAMES[:1] * 6, *NAMES])
LAGS = st.sampled_from([0.0, 10.0, SETTLE - 1])
SEED = 20261126
"""That of the walks which ``make test`` walks."""


class Walk(RuleBasedStateMachine):
    """Everything that people, time and faults can do."""

    def __init__(self) -> None:
        super().__init__()
        self.walked = Walked()
        self.count = 0

    def _fresh(self) -> str:
        self.count += 1
        return str(self.count)

    def _then(self, ref: Ref, words: tuple[str, ...] | None) -> None:
        """What people do is often noticed at once."""
        if words is not None:
            self.walked.watch()
            self.walked.serve(ref, words)

    @initialize(lag=LAGS, quick=st.booleans(), crowd=st.booleans(), words=SOME_WORDS)
    def begin(self, lag: float, quick: bool, crowd: bool, words: tuple[str, ...]) -> None:
        self.walked.service.lag, self.walked.watches_are_quick = lag, quick
        self.walked.service.id_of = IDS
        for ref in NAMES if crowd else NAMES[:1]:
            self.create(ref, GRACE)
            self._then(ref, words)

    # -- people --------------------------------------------------------------------------------

    @rule(ref=A_NAME, grace=st.sampled_from([GRACE, "0s"]))
    def create(self, ref: Ref, grace: str) -> None:
        kube = self.walked.kube
        if ref in kube.crs:
            return
        version = kube.version()
        kube.crs[ref] = {
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "uid": f"uid-{version}",
                "resourceVersion": version,
                "generation": 1,
                "annotations": {},
            },
            "spec": {
                "permission": "ReadWrite",
                "bucketNames": ["shared", "one"],
                "rotation": {"gracePeriod": grace},
            },
            "status": {"observedGeneration": -1},
        }

    @rule(
        ref=A_NAME,
        what=st.sampled_from(
            ["rotate", "rotate", "scope", "scope", "grace", "pause", "accept", "delete"]
        ),
        then=THEN,
    )
    def edit(self, ref: Ref, what: str, then: tuple[str, ...] | None) -> None:
        self._edit(ref, what)
        self._then(ref, then)

    def _edit(self, ref: Ref, what: str) -> None:
        body = self.walked.kube.crs.get(ref)
        if body is None:
            return
        meta, spec, value = body["metadata"], body["spec"], self._fresh()
        match what:
            case "rotate":
                meta["annotations"]["storage.amove.io/rotate-requested-at"] = value
            case "accept":
                self.walked.accept_loss(ref, value)
            case "scope":
                spec["bucketNames"] = ["one"] if len(spec["bucketNames"]) > 1 else ["one", "shared"]
            case "grace":
                spec["rotation"] = {"gracePeriod": "1s"}
            case "pause":
                paused = meta["annotations"].pop("storage.amove.io/paused", None)
                if paused is None:
                    meta["annotations"]["storage.amove.io/paused"] = "true"
            case _ if meta.get("finalizers"):
                meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            case _:
                self.walked.strip(ref, vanish=True)
                return
        meta["generation"] += 1
        self.walked.kube.touch(body)

    @rule(
        ref=A_NAME,
        what=st.sampled_from(["delete", "delete", "data", "id", "retiring", "clear"]),
        then=THEN,
    )
    def vandalise(self, ref: Ref, what: str, then: tuple[str, ...] | None) -> None:
        self._vandalise(ref, what)
        self._then(ref, then)

    def _vandalise(self, ref: Ref, what: str) -> None:
        where = ref.namespace, ref.name
        body = self.walked.kube.secrets.get(where)
        if body is None or where in self.walked.foreign:
            return
        self.walked.tainted.add(where)
        notes = body["metadata"]["annotations"]
        others = [key.id for key in self.walked.visible()]
        match what:
            case "delete":
                self.walked.take_secret(ref)
                return
            case "data":
                body["data"]["AWS_SECRET_ACCESS_KEY"] = base64.b64encode(b"x").decode()
            case "id":
                notes[KEY_ID] = others[-1] if others else "nothing"
            case "retiring":
                told = ",".join(f'"{one}":"2020-01-01T00:00:00Z"' for one in others)
                notes[RETIRING] = "{" + told + "}"
            case _:
                kept = {name: notes[name] for name in notes if name.endswith("owner-uid")}
                body["metadata"]["annotations"] = kept
        self.walked.kube.touch(body)

    @rule(ref=A_NAME)
    def stranger_takes_the_name(self, ref: Ref) -> None:
        where, kube = (ref.namespace, ref.name), self.walked.kube
        if where in kube.secrets:
            return
        body: dict[str, Any] = {
            "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": self._fresh()},
            "data": {"theirs": base64.b64encode(b"own").decode()},
        }
        kube.touch(body)
        kube.secrets[where], self.walked.foreign[where] = body, copy.deepcopy(body)

    @rule(ref=A_NAME)
    def stranger_leaves(self, ref: Ref) -> None:
        where = ref.namespace, ref.name
        if self.walked.foreign.pop(where, None) is not None:
            del self.walked.kube.secrets[where]

    @precondition(lambda self: self.walked.service.keys)
    @rule(which=st.integers(0, 9))
    def somebody_revokes(self, which: int) -> None:
        keys = self.walked.service.keys
        del keys[sorted(keys)[which % len(keys)]]

    @precondition(lambda self: len(self.walked.service.keys) > 3)
    @rule()
    def somebody_revokes_all(self) -> None:
        self.walked.service.keys.clear()

    @rule(ref=A_NAME, vanish=st.booleans(), then=THEN)
    def somebody_strips_the_finalizer(
        self, ref: Ref, vanish: bool, then: tuple[str, ...] | None
    ) -> None:
        self.walked.strip(ref, vanish=vanish)
        if then is not None:
            self.walked.watch()
            self.walked.serve(ref, then)
            self.walked.serve_ghosts(then)

    @rule()
    def the_token_changes_its_user(self) -> None:
        service = self.walked.service
        service.user = "user-2" if service.user == "user-1" else "user-1"

    # -- time and faults -------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 5.0, 31.0, 601.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.walked.time.seconds += seconds

    @rule(minutes=st.sampled_from([0, 0, 3, -90, 600]))
    def the_clock_jumps(self, minutes: int) -> None:
        jumped = self.walked.time.jumped
        self.walked.time.jumped = type(jumped)(minutes=minutes)

    @rule(lag=LAGS, half=st.integers(0, 2))
    def lists_become_unreliable(self, lag: float, half: int) -> None:
        self.walked.service.lag, self.walked.service.half_lists = lag, half

    @rule()
    def restart(self) -> None:
        self.walked.restart()

    # -- the operator ----------------------------------------------------------------------------

    @rule(ref=A_NAME, words=SOME_WORDS)
    def serve(self, ref: Ref, words: tuple[str, ...]) -> None:
        self.walked.watch()
        self.walked.serve(ref, words)

    @rule(ref=A_NAME, words=SOME_WORDS)
    def serve_on_an_old_cache(self, ref: Ref, words: tuple[str, ...]) -> None:
        self.walked.serve(ref, words)

    @rule(words=SOME_WORDS)
    def serve_the_ghosts(self, words: tuple[str, ...]) -> None:
        self.walked.watch()
        self.walked.serve_ghosts(words)

    @rule()
    def the_garbage_is_collected(self) -> None:
        self.walked.collect()

    @rule()
    def sweep(self) -> None:
        self.walked.sweep()

    @invariant()
    def nothing_is_broken(self) -> None:
        self.walked.check()

    def teardown(self) -> None:
        for body in self.walked.kube.crs.values():
            body["metadata"]["annotations"].pop("storage.amove.io/paused", None)
            self.walked.kube.touch(body)
        self.walked.settle()


def _chosen(otherwise: int) -> int:
    """``WALK_SEED`` in the environment repeats the walks of that seed."""
    return int(os.environ.get("WALK_SEED", "0")) or otherwise


def _walk(chosen: int, examples: int) -> None:
    """The walks of one seed.

    What fails is raised anew with the seed in its first line, which pytest's summary repeats, and
    in its last, after the fewest steps that lead there: a log that is cut still has one of them.
    """
    try:
        run_state_machine_as_test(
            seed(chosen)(Walk),
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                phases=(Phase.generate, Phase.shrink),
                print_blob=False,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Exception as error:
        found = "\n\n".join(_found(error))
        again = f"WALK_SEED={chosen}"
        raise AssertionError(f"{again} fails\n{found}\n{again} walks there again") from error


def _found(error: Exception) -> Iterator[str]:
    """What each failure says, and the steps to it, which Hypothesis adds as notes."""
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from _found(one)
    else:
        yield "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def test_two_hundred_walks_break_nothing_and_settle() -> None:
    """The same walks each time: what fails is the fault of what was changed."""
    _walk(_chosen(SEED), 200)


@pytest.mark.long
def test_two_thousand_other_walks_break_nothing_and_settle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Others each time: these look for what nobody has found yet."""
    chosen = _chosen(int.from_bytes(os.urandom(4)))
    with capsys.disabled():
        sys.stdout.write(f"\n  WALK_SEED={chosen} ")
    _walk(chosen, 2000)
