"""Odd answers: what a service or a proxy might say instead of the truth."""

from __future__ import annotations

import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from amove_emulator import ODD_ANSWERS, EmulatorControl
from amove_emulator.plain_client import PlainClient

ROOT = Path(__file__).parents[2]
README = (ROOT / "dev/amove_emulator/README.md").read_text()


def keys(answer: httpx.Response) -> list[dict[str, Any]]:
    return list(answer.json()["data"])


def names(answer: httpx.Response) -> list[str]:
    return [key["name"] for key in keys(answer)]


# --- which there are, and which calls they meet


def test_the_readme_lists_each_odd_answer_once() -> None:
    table = README[README.index("### Odd answers") : README.index("## Journal")]
    listed = [name for row in re.findall(r"^\| (`.+?) \|", table, re.M) for name in quoted(row)]
    assert sorted(set(listed) - {"odd="}) == sorted(ODD_ANSWERS)
    assert len(listed) == len(set(listed))


def quoted(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row)


def test_the_demo_asks_for_no_fault() -> None:
    for program in (ROOT / "dev/demo").glob("*.py"):
        assert not re.search(r"\bfault\(|\bodd\b|behave\(|/faults", program.read_text()), program


def test_a_fresh_emulator_has_no_fault(control: EmulatorControl) -> None:
    assert control.faults() == []


def test_a_share_of_the_calls_is_struck_and_the_seed_says_which(
    api: PlainClient, control: EmulatorControl
) -> None:
    def struck(seed: int) -> list[bool]:
        fault = control.fault("get_all", odd="forbidden", rate=0.3, seed=seed, times=None)
        statuses = [api.get_all().status_code for _ in range(60)]
        control.clear_faults(fault)
        return [status == 403 for status in statuses]

    first = struck(1)
    assert 8 <= sum(first) <= 28
    assert struck(1) == first
    assert struck(2) != first


def test_the_seed_does_not_care_what_other_calls_came_between(
    api: PlainClient, control: EmulatorControl
) -> None:
    def struck(*, between: bool) -> list[int]:
        fault = control.fault("*", odd="forbidden", rate=0.5, times=None)
        statuses = []
        for _ in range(12):
            if between:
                api.list_buckets()
            statuses.append(api.get_all().status_code)
        control.clear_faults(fault)
        return statuses

    assert struck(between=True) == struck(between=False)


def test_a_share_and_a_number_of_times_combine(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("get_all", odd="forbidden", rate=0.5, times=3)
    assert [api.get_all().status_code for _ in range(40)].count(403) == 3


def test_of_several_one_is_drawn_that_the_call_can_be_given(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("*", odd=["bucket_absent", "html_404", "forbidden"], times=None)
    api.create_bucket()
    statuses = {api.bucket_status().status_code for _ in range(30)}
    assert statuses == {499, 404, 403}
    assert {api.get_all().status_code for _ in range(30)} == {404, 403}


def test_a_call_that_can_be_given_none_of_them_is_not_matched(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("*", odd="bucket_absent")
    assert api.create_bucket().status_code == 200
    assert api.bucket_status().status_code == 499
    assert control.faults()[0]["matched"] == 1


def test_the_journal_names_the_odd_answer(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("get_all", odd="forbidden")
    api.get_all()
    api.get_all()
    assert [entry["odd"] for entry in control.journal()] == ["forbidden", None]


def test_every_odd_answer_can_be_given_to_each_of_its_calls(
    api: PlainClient, control: EmulatorControl
) -> None:
    for name, odd in ODD_ANSWERS.items():
        for call in sorted(odd.calls):
            control.add_bucket("old-bucket")
            old = control.add_key("old-key")
            control.fault(call, odd=name)
            arguments = {
                "delete_storage_key": [old["id"]],
                "create_bucket": ["new-bucket"],
                "bucket_status": ["old-bucket"],
                "update_bucket": ["old-bucket"],
                "delete_bucket": ["old-bucket"],
            }
            answer = getattr(api, call)(*arguments.get(call, []))
            assert answer.status_code < 600
            (entry,) = control.journal()
            assert (entry["odd"], entry["effect"]) == (name, odd.done), call
            control.reset()


# --- 200, and no success


def test_a_200_may_hold_a_problem_and_then_nothing_was_done(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("create_storage_key", odd="problem_in_200")
    answer = api.create_storage_key()
    assert (answer.status_code, answer.json()["type"]) == (200, "INTERNAL_ERROR")
    assert "error-code" not in answer.headers
    assert control.keys() == []


@pytest.mark.parametrize(("done", "left"), [("done", 0), ("not_done", 1)])
@pytest.mark.parametrize(
    ("odd", "text"), [("text_200", "OK"), ("html_200", "<html>"), ("cut_json", '{"succeeded')]
)
def test_a_200_of_a_write_may_be_no_json_with_the_effect_or_without(
    api: PlainClient, control: EmulatorControl, odd: str, text: str, done: str, left: int
) -> None:
    key = api.create_storage_key().json()
    control.fault("delete_storage_key", odd=f"{odd}_{done}")
    answer = api.delete_storage_key(key["id"])
    assert answer.status_code == 200
    assert answer.text.startswith(text)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()
    assert len(control.live_keys()) == left


def test_the_answer_that_has_the_secret_may_be_cut_or_empty(
    api: PlainClient, control: EmulatorControl
) -> None:
    for odd in ("cut_json_done", "empty_200"):
        control.fault("create_storage_key", odd=odd)
        answer = api.create_storage_key(odd)
        assert answer.status_code == 200
        assert "secretKey" not in answer.text
    assert names(api.get_storage_key()) == ["empty_200", "cut_json_done"]


# --- proxies, refusals


@pytest.mark.parametrize(
    ("odd", "status", "kind", "text"),
    [
        ("bodiless_499_not_done", 499, None, ""),
        ("client_closed_not_done", 499, "text/plain", "Client Closed Request"),
        ("html_499_not_done", 499, "text/html", "not found"),
        ("html_404", 404, "text/html", "Not Found"),
        ("html_502_not_done", 502, "text/html", "Bad Gateway"),
        ("server_error_not_done", 500, None, ""),
        ("forbidden", 403, None, ""),
    ],
)
def test_a_proxy_answers_without_a_code(
    api: PlainClient, control: EmulatorControl, odd: str, status: int, kind: str | None, text: str
) -> None:
    control.add_bucket("one-bucket")
    control.fault("bucket_status", odd=odd)
    answer = api.bucket_status()
    assert (answer.status_code, answer.headers.get("content-type")) == (status, kind)
    assert text in answer.text
    assert "error-code" not in answer.headers


def test_a_throttled_call_may_come_again_after_seconds_or_at_a_date(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_all", odd="throttled_seconds")
    assert api.get_all().headers["retry-after"] == "1"
    control.fault("get_all", odd="throttled_date")
    date = parsedate_to_datetime(api.get_all().headers["retry-after"])
    assert date.timestamp() > time.time()
    control.fault("get_all", odd="throttled_seconds", headers={"Retry-After": "7"})
    assert api.get_all().headers["retry-after"] == "7"


def test_one_call_alone_may_be_refused_for_its_credentials(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.fault("get_all", odd="auth_refused", times=None)
    assert api.get_all().headers["error-code"] == "AUTH"
    assert api.get_storage_key().status_code == 200


def test_a_name_may_be_refused(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("*", odd="name_refused", times=2)
    for answer in (api.create_bucket(), api.create_storage_key()):
        assert (answer.status_code, answer.headers["error-code"]) == (499, "DEFAULT")
    assert (control.keys(), control.buckets()) == ([], {})


def test_a_bucket_may_not_be_found_for_a_while_and_be_there_again(
    api: PlainClient, control: EmulatorControl
) -> None:
    control.add_bucket("one-bucket")
    control.fault("bucket_status", odd="bucket_absent", times=2)
    assert [api.bucket_status().status_code for _ in range(3)] == [499, 499, 200]


# --- spelling


def test_ids_may_come_in_capitals_and_are_taken_so(
    api: PlainClient, control: EmulatorControl
) -> None:
    key = api.create_storage_key().json()
    control.fault("*", odd="ids_in_capitals", times=2)
    (shown,) = keys(api.get_storage_key())
    assert shown == {**shown, "id": key["id"].upper(), "userId": key["userId"].upper()}
    (account,) = keys(api.get_all())
    assert account["id"] == account["id"].upper()
    assert api.delete_storage_key(shown["id"]).status_code == 200
    assert control.live_keys() == []


@pytest.mark.parametrize(
    ("odd", "kept"),
    [("name_cut", "a-key-of-sixteen"), ("name_changed", "a_key_of_sixteen_and_more")],
)
def test_a_name_may_be_cut_or_changed_for_good(
    api: PlainClient, control: EmulatorControl, odd: str, kept: str
) -> None:
    control.fault("create_storage_key", odd=odd)
    assert api.create_storage_key("a-key-of-sixteen-and-more").json()["name"] == kept
    assert names(api.get_storage_key()) == [kept]


@pytest.mark.parametrize(("odd", "hours"), [("dates_early", -7), ("dates_late", 3)])
def test_dates_may_be_hours_off_without_a_zone(
    api: PlainClient, control: EmulatorControl, odd: str, hours: int
) -> None:
    api.create_storage_key()
    (true,) = keys(api.get_storage_key())
    control.fault("get_storage_key", odd=odd)
    (shown,) = keys(api.get_storage_key())
    before, after = (datetime.fromisoformat(key["createDate"][:26]) for key in (true, shown))
    assert (after - before).total_seconds() == hours * 3600
    assert re.fullmatch(r"[0-9T:-]{19}\.\d{7}", shown["createDate"])


# --- lists


@pytest.mark.parametrize(
    ("odd", "second_page", "total"),
    [
        ("page_lost", [], 5),
        ("page_cut", ["key-2"], 5),
        ("page_repeated", ["key-4", "key-3"], 5),
        ("page_parameters_ignored", ["key-4", "key-3", "key-2", "key-1", "key-0"], 5),
        ("oldest_first", ["key-2", "key-3"], 5),
        ("total_of_page", ["key-2", "key-1"], 2),
        ("total_too_high", ["key-2", "key-1"], 6),
        ("total_too_low", ["key-2", "key-1"], 4),
    ],
)
def test_a_page_goes_wrong(
    api: PlainClient, control: EmulatorControl, odd: str, second_page: list[str], total: int
) -> None:
    for n in range(5):
        api.create_storage_key(f"key-{n}")
    control.fault("get_storage_key", odd=odd, contains="page=2")
    answer = api.get_storage_key(page=2, pagesize=2)
    assert (names(answer), answer.json()["total"]) == (second_page, total)


def test_no_data_may_be_null(api: PlainClient, control: EmulatorControl) -> None:
    control.fault("get_storage_key", odd="data_null_if_empty", times=2)
    assert api.get_storage_key().json()["data"] is None
    api.create_storage_key()
    assert len(keys(api.get_storage_key())) == 1
    control.fault("get_storage_key", odd="data_null")
    answer = api.get_storage_key().json()
    assert (answer["data"], answer["total"]) == (None, 1)


def test_a_list_may_be_mixed_of_two_users_pages(api: PlainClient, control: EmulatorControl) -> None:
    for n in range(4):
        api.create_storage_key(f"key-{n}")
    control.fault("get_storage_key", odd="users_mixed", times=3)
    first = api.get_storage_key(page=1, pagesize=2).json()
    second = api.get_storage_key(page=2, pagesize=2).json()
    assert second == api.get_storage_key(page=2, pagesize=2).json()
    assert first["total"] == second["total"] == 4
    assert len({key["id"] for key in first["data"] + second["data"]}) == 4
    assert [len({key["userId"] for key in page["data"]}) for page in (first, second)] == [1, 1]
    assert first["data"][0]["userId"] != second["data"][0]["userId"]


def test_a_list_may_be_that_of_a_while_ago(api: PlainClient, control: EmulatorControl) -> None:
    old = api.create_storage_key("old").json()
    control.change_key(old["id"], created_seconds_ago=7200)
    api.delete_storage_key(old["id"])
    api.create_storage_key("new")
    control.behave(stale_by=3600)
    control.fault("get_storage_key", odd="stale_list")
    assert names(api.get_storage_key()) == ["old"]
    assert names(api.get_storage_key()) == ["new"]
