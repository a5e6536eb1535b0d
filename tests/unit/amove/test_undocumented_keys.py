"""What is not documented about keys: the rest of the rows of test_undocumented.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from amove_operator.amove import AmoveClient
from amove_operator.errors import (
    IncompleteListing,
    Rejected,
    ServerFault,
    Unavailable,
)
from tests.unit.amove.stand_ins import error_of, new_key, swap_in

if TYPE_CHECKING:
    from amove_emulator import Emulator


async def ids(amove: AmoveClient) -> set[str]:
    return {key.id for key in await amove.get_storage_keys()}


async def users(amove: AmoveClient) -> set[str | None]:
    return {key.user_id for key in await amove.get_storage_keys()}


UNSURE_LISTS: list[dict[str, Any]] = [
    {"odd": "page_lost"},
    {"odd": "page_cut"},
    {"odd": "page_repeated", "nth": 2},
    {"odd": "page_parameters_ignored"},
    {"odd": "total_too_high"},
    {"odd": "total_too_low"},
    {"odd": "total_too_high", "nth": 2},
    {"status": 500},
    {"status": 200, "body": '{"data": []}'},
    {"status": 200, "body": '{"total": 0}'},
    {"status": 200, "body": "[]"},
    {"status": 200, "body": ""},
    {"truncate_at": 200},
]


@pytest.mark.parametrize("fault", UNSURE_LISTS, ids=str)
async def test_absent_key_row(
    amove: AmoveClient, emulator: Emulator, fault: dict[str, Any]
) -> None:
    """A list that is not proved complete is not given out; a sound one afterwards is."""
    for number in range(60):
        emulator.control.add_key(f"key-{number}")
    emulator.control.fault("get_storage_key", times=None, **fault)
    assert isinstance(await error_of(amove.get_storage_keys()), Unavailable)
    emulator.control.clear_faults()
    assert len(await amove.get_storage_keys()) == 60


@pytest.mark.parametrize(("odd", "listed"), [("key_made_unlisted", 0), ("key_made_dead", 1)])
async def test_half_created_row(
    amove: AmoveClient, emulator: Emulator, odd: str, listed: int
) -> None:
    """A failed create is sent once, and says that something may be left of it."""
    emulator.control.fault("create_storage_key", odd=odd)
    error = await error_of(amove.create_storage_key(new_key(emulator)))
    assert isinstance(error, ServerFault)
    assert error.maybe_done
    assert emulator.control.count("create_storage_key") == 1
    assert len(await amove.get_storage_keys()) == listed


async def test_half_deleted_row_the_key_died_but_its_record_stayed(
    amove: AmoveClient, emulator: Emulator
) -> None:
    """A failed delete is tried again until it answers 200."""
    issued = await amove.create_storage_key(new_key(emulator))
    emulator.control.fault("delete_storage_key", odd="key_deleted_listed")
    await amove.delete_storage_key(issued.id)
    assert emulator.control.count("delete_storage_key") == 2
    assert await amove.get_storage_keys() == ()


async def test_half_deleted_row_the_record_went_but_the_key_lives(
    amove: AmoveClient, emulator: Emulator
) -> None:
    """The retry is refused: an error with ``maybe_done``, so that the caller looks at the list."""
    issued = await amove.create_storage_key(new_key(emulator))
    emulator.control.fault("delete_storage_key", odd="key_deleted_unlisted")
    error = await error_of(amove.delete_storage_key(issued.id))
    assert isinstance(error, Rejected)
    assert error.maybe_done
    assert issued.id not in await ids(amove)
    assert len(emulator.control.live_keys()) == 1


async def test_token_user_row(amove: AmoveClient, emulator: Emulator, token_file: Path) -> None:
    """The list tells whose keys it shows; another user's token shows another's."""
    issued = await amove.create_storage_key(new_key(emulator))
    first = await users(amove)
    assert first == {issued.user_id}
    other = emulator.control.add_user(email="other@example.com")
    swap_in(token_file, emulator.control.set_token(user_id=other))
    assert await amove.get_storage_keys() == ()
    await amove.create_storage_key(new_key(emulator))
    assert await users(amove) == {other}


async def test_paging_row(amove: AmoveClient, emulator: Emulator) -> None:
    """Newest first is asked for, and a total that moves between two pages starts a new reading."""
    for number in range(60):
        emulator.control.add_key(f"key-{number}")
    emulator.control.fault("get_storage_key", nth=2, odd="total_too_high")
    assert len(await amove.get_storage_keys()) == 60
    asked = [entry["query"] for entry in emulator.control.journal("get_storage_key")]
    assert [query["page"] for query in asked] == ["1", "2", "1", "2"]
    assert {(query["sortfield"], query["descending"]) for query in asked} == {
        ("CreateDate", "true")
    }


async def test_paging_row_without_dates(amove: AmoveClient, emulator: Emulator) -> None:
    """Where no date proves the order, two readings in a row must agree."""
    emulator.control.behave(dates="minimum")
    for number in range(60):
        emulator.control.add_key(f"key-{number}")
    assert len(await amove.get_storage_keys()) == 60
    assert emulator.control.count("get_storage_key") == 4


async def test_duplicate_names_row(amove: AmoveClient, emulator: Emulator) -> None:
    """Two keys of one name are two keys."""
    one = await amove.create_storage_key(new_key(emulator))
    two = await amove.create_storage_key(new_key(emulator))
    assert await ids(amove) == {one.id, two.id}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 500, "effect": True},
        {"status": 503, "effect": True},
        {"drop": "before"},
        {"drop": "after"},
        {"truncate_at": 30},
        {"truncate_at": 30, "declare": "cut"},
        {"status": 200, "body": "<html>", "content_type": "text/html"},
    ],
    ids=str,
)
async def test_lost_create_row(
    amove: AmoveClient, emulator: Emulator, fault: dict[str, Any]
) -> None:
    """Sent once; the error says that it may have been done, and the list shows what was."""
    emulator.control.fault("create_storage_key", times=None, **fault)
    error = await error_of(amove.create_storage_key(new_key(emulator, name="marker-1")))
    assert error.maybe_done
    assert emulator.control.count("create_storage_key") == 1
    listed = [key.name for key in await amove.get_storage_keys()]
    assert listed == ["marker-1"] * len(emulator.control.live_keys())


async def test_missing_id_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A missing id is refused, or not; either way the list confirms that it is gone."""
    missing = "00000000-0000-4000-8000-000000000000"
    assert isinstance(await error_of(amove.delete_storage_key(missing)), Rejected)
    emulator.control.behave(delete_missing_key="ok")
    await amove.delete_storage_key(missing)
    assert missing not in await ids(amove)


async def test_no_bucket_row(emulator: Emulator) -> None:
    """A key for no bucket is refused here; nothing is sent."""
    with pytest.raises(ValidationError, match="at least one bucket"):
        new_key(emulator, selected_buckets=())
    assert emulator.control.count() == 0


async def test_ignored_pages_row(amove: AmoveClient, emulator: Emulator) -> None:
    """A server that gives page 1 for every page is noticed at its second page."""
    for number in range(60):
        emulator.control.add_key(f"key-{number}")
    emulator.control.fault("get_storage_key", odd="page_parameters_ignored", times=None)
    error = await error_of(amove.get_storage_keys())
    assert isinstance(error, IncompleteListing)
    assert emulator.control.count("get_storage_key") == 2 * 4
