"""The rule of time: what one process may take for known (docs/key-protocol.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from amove_operator.core.key_list import KeyList, RemoteKey
from amove_operator.core.keys.expectations import Expectations
from amove_operator.core.naming import Marker, key_name, marker_of
from amove_operator.core.scope import Scope
from tests.unit.core.keys.key_snapshots import MARKER, NARROW, WIDE, key, pending_key

SETTLE = 30.0
FIRST, SECOND = key(1), key(2, age=timedelta(0))


def ids(expectations: Expectations, listing: KeyList | None) -> list[str] | None:
    live = expectations.live(MARKER, listing, SETTLE)
    return None if live is None else [one.id for one in live]


def minted(at: float = 100.0) -> Expectations:
    return Expectations.for_new().sending(2).received(pending_key(SECOND), at)


def test_a_new_cr_needs_no_listing() -> None:
    assert ids(Expectations.for_new(), None) == []


def test_a_cr_that_another_process_touched_needs_a_listing_begun_after_the_settle_time() -> None:
    known = Expectations.for_known(100.0, SETTLE)
    assert ids(known, None) is None
    assert ids(known, KeyList.of(129.9, [FIRST])) is None
    assert ids(known, KeyList.of(130.0, [FIRST])) == ["id-1"]


def test_own_mints_are_added_to_what_a_young_listing_shows() -> None:
    assert ids(minted(), KeyList.of(129.0, [FIRST])) == ["id-1", "id-2"]


def test_a_listing_begun_after_the_settle_time_speaks_for_itself() -> None:
    assert ids(minted(), KeyList.of(130.0, [FIRST])) == ["id-1"]


def test_a_key_revoked_here_may_linger_in_a_list() -> None:
    revoked = Expectations.for_new().revoke_confirmed("id-1", 100.0)
    assert ids(revoked, KeyList.of(129.0, [FIRST])) == []


def test_a_lost_create_needs_a_listing_begun_after_the_settle_time() -> None:
    lost = Expectations.for_new().sending(1).lost(100.0, SETTLE)
    assert lost.outcome_unknown
    assert ids(lost, KeyList.of(129.0, [])) is None
    assert ids(lost.observe(KeyList.of(130.0, []), SETTLE), KeyList.of(130.0, [])) == []
    assert not lost.observe(KeyList.of(130.0, []), SETTLE).outcome_unknown


class _NeverWalked(dict[str, Marker | None]):
    """The ids of a list, of which one may be looked up, and never all."""

    def __iter__(self) -> NoReturn:
        raise AssertionError("all ids are walked for one object")

    keys = items = values = __iter__


def test_what_a_list_says_of_one_object_costs_nothing_that_grows_with_the_list() -> None:
    failed = minted().revoke_failed("id-1", 101.0)
    listing = KeyList.of(140.0, [SECOND])
    listing.owners = _NeverWalked(listing.owners)
    observed = failed.observe(listing, SETTLE)
    assert not observed.failed_revokes
    assert observed.unconfirmed == {"id-1"}
    assert observed.observe(listing, SETTLE) is observed


def test_a_create_that_was_not_sent_leaves_nothing_behind() -> None:
    before = Expectations.for_new().issue_recorded(1, WIDE)
    assert before.sending(1).not_sent(before) == before


def test_a_note_in_status_serves_one_create() -> None:
    noted = Expectations.for_new().issue_recorded(1, WIDE)
    assert noted.recorded == (1, WIDE)
    assert noted.sending(1).recorded is None


def test_a_failed_revocation_needs_a_newer_listing() -> None:
    failed = Expectations.for_new().revoke_failed("id-1", 100.0)
    assert failed.outcome_unknown
    assert ids(failed, KeyList.of(99.0, [FIRST])) is None
    assert ids(failed, KeyList.of(101.0, [FIRST])) == ["id-1"]


def test_a_key_at_work_that_the_list_lacks_after_a_failed_revocation_is_out_of_hand() -> None:
    failed = minted().revoke_failed("id-2", 110.0)
    young = failed.observe(KeyList.of(120.0, []), SETTLE)
    assert young.pending_key is not None, "it may be too young to show"
    gone = failed.observe(KeyList.of(131.0, []), SETTLE)
    assert gone.pending_key is None
    assert gone.unconfirmed == {"id-2"}
    assert not gone.outcome_unknown


def test_a_failed_revocation_of_a_key_that_the_list_still_has_is_not_over() -> None:
    still = (
        Expectations.for_new()
        .revoke_failed("id-1", 100.0)
        .observe(KeyList.of(101.0, [FIRST]), SETTLE)
    )
    assert still.failed_revokes == {"id-1"}
    assert not still.unconfirmed


def test_only_keys_under_the_own_marker_are_live() -> None:
    stranger = marker_of("cluster", "uid-2")
    theirs = RemoteKey("id-9", key_name("team-app", stranger, WIDE.names9, 1), "AK9")
    assert ids(Expectations.for_new(), KeyList.of(0.0, [FIRST, theirs])) == ["id-1"]


def test_the_readable_part_of_a_name_proves_nothing() -> None:
    forged = f"{FIRST.name}-{key_name('', marker_of('cluster', 'uid-2'), WIDE.names9, 1)}"
    listing = KeyList.of(0.0, [RemoteKey("id-9", forged, "AK9")])
    assert ids(Expectations.for_new(), listing) == []


def test_a_listing_shows_no_key_any_more_that_was_revoked_since() -> None:
    listing = KeyList.of(0.0, [key(1), key(2)])
    listing.forget(key(1).id)
    listing.forget("unknown")
    assert set(listing.owners) == {key(2).id}
    assert listing.of_marker(MARKER) == (key(2),)


def test_what_was_asked_to_be_revoked_stays_known_whatever_the_answer() -> None:
    asked = minted().revoke_failed("id-1", 110.0).revoke_confirmed("id-2", 111.0)
    observe = asked.observe(KeyList.of(200.0, []), SETTLE)
    assert observe.asked == {"id-1", "id-2"}
    assert not observe.is_empty


# ---------------------------------------------------------------- names that the listed keys keep


def keeping(listing: KeyList, name: str) -> list[str]:
    return [one.id for one in listing.keeping(name)]


def test_a_listed_key_keeps_the_names_that_its_own_name_tells() -> None:
    everything = key(3, Scope.everything("account", "region", "s3.example", "Read"))
    by_hand = RemoteKey("id-9", "one", "AK9")
    listing = KeyList.of(0.0, [key(1, WIDE), key(2, NARROW), everything, by_hand])
    assert keeping(listing, "one") == ["id-2", "id-1"]
    assert keeping(listing, "two") == ["id-1"]
    assert keeping(listing, "pearls") == []


def test_a_key_that_was_issued_since_keeps_its_names_once() -> None:
    listing = KeyList.of(0.0, [])
    listing.add(key(1, NARROW))
    listing.add(key(1, NARROW))
    assert keeping(listing, "one") == ["id-1"]
    assert listing.names9_of("id-1") == NARROW.names9
    assert listing.of_marker(MARKER) == (key(1, NARROW),)


def test_a_key_that_was_revoked_since_keeps_no_name() -> None:
    listing = KeyList.of(0.0, [key(1, WIDE), key(2, NARROW)])
    listing.forget("id-1")
    assert keeping(listing, "one") == ["id-2"]
    assert listing.names9_of("id-1") == ""


# ---------------------------------------------------------------- whose list it is


def test_a_list_speaks_for_the_user_whose_keys_it_shows_and_for_no_other() -> None:
    listing = KeyList.of(0.0, [FIRST])
    assert listing.speaks_for("user-1") is True
    assert listing.speaks_for("user-2") is False


def test_nobody_knows_whose_an_empty_list_is_nor_whether_it_is_an_unknown_users() -> None:
    assert KeyList.of(0.0, []).speaks_for("user-1") is None
    assert KeyList.of(0.0, [FIRST]).speaks_for(None) is None


def test_whose_revocation_was_asked_for_counts_only_while_status_or_this_process_names_it() -> None:
    """One more id for each rotation, for weeks, would serve nobody."""
    made = Expectations.for_new()
    for number in range(20):
        made = made.revoke_confirmed(f"id-{number}", float(number))
    made = made.received(pending_key(SECOND), 20.0).revoke_failed(SECOND.id, 21.0)
    kept = made.named(frozenset({"id-3", "id-never"})).asked
    assert kept == {"id-3", SECOND.id}


def refused(*moments: float) -> Expectations:
    expectations = Expectations.for_new()
    for serial, at in enumerate(moments, start=1):
        expectations = expectations.sending(serial).create_refused(serial, at, SETTLE)
    return expectations


def test_a_refused_issue_is_given_back_only_by_a_list_begun_the_settle_time_later() -> None:
    early = refused(100.0, 110.0).observe(KeyList.of(129.0, []), SETTLE)
    assert early.given_back == frozenset()
    later = early.observe(KeyList.of(130.0, []), SETTLE)
    assert later.given_back == {1}
    assert later.refused == ((2, 110.0),)


def test_a_corrected_spec_skips_the_wait_while_fewer_refusals_than_the_budget_are_open() -> None:
    assert refused(100.0, 110.0).spec_corrected(3).knows_from == 110.0
    assert refused(100.0, 110.0, 120.0).spec_corrected(3).knows_from == 150.0


def test_a_corrected_spec_does_not_skip_the_wait_for_a_later_create_without_answer() -> None:
    lost = refused(100.0).sending(2).lost(110.0, SETTLE)
    assert lost.spec_corrected(3).knows_from == 140.0
