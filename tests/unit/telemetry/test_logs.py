"""Logs: one harmless line a record, and no credential in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from amove_operator.amove.credentials import TokenFile
from amove_operator.telemetry import configure_logging, log_context, register_secret
from amove_operator.telemetry.logs import QUIETEST, JsonFormatter

_log = logging.getLogger("amove_operator.test")

KEY = "q7Zr+Xw2/9sLmT4vB8nYcE1kJ6hGdF3p"
"""A secret key as the storage makes them, and nowhere registered."""

Start = Callable[..., io.StringIO]


@pytest.fixture
def start() -> Iterator[Start]:
    """Configures logging into a text buffer, and puts everything back afterwards."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in QUIETEST}

    def configure(
        log_format: Literal["json", "console"] = "json", level: str = "INFO"
    ) -> io.StringIO:
        stream = io.StringIO()
        configure_logging(log_format, level, stream=stream)
        return stream

    yield configure
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line as the JSON object it must be."""
    text = stream.getvalue()
    assert text.endswith("\n")
    return [json.loads(line) for line in text[:-1].split("\n")]


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = objects(stream)
    return line


# --- lines


def test_a_json_line_says_when_how_bad_who_and_what(start: Start) -> None:
    stream = start()
    _log.warning("bucket %s is %d late", "photos", 3)
    line = only(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "warning",
        "logger": "amove_operator.test",
        "msg": "bucket photos is 3 late",
    }


def test_the_time_is_in_utc(start: Start) -> None:
    stream = start()
    record = logging.makeLogRecord(
        {"name": "n", "msg": "x", "levelno": 20, "created": 1_700_000_000.0426}
    )
    logging.getLogger().handle(record)
    assert only(stream)["ts"] == "2023-11-14T22:13:20.042Z"


def test_the_object_at_work_is_on_every_line_within_its_context(start: Start) -> None:
    stream = start()
    with log_context(kind="AmoveBucket", namespace="team-a", name="photos"):
        with log_context(uid="u-1", kind="AmoveStorageKey"):
            _log.info("inner")
        _log.info("outer")
    _log.info("after")
    inner, outer, after = objects(stream)
    assert (inner["kind"], inner["namespace"], inner["name"], inner["uid"]) == (
        "AmoveStorageKey",
        "team-a",
        "photos",
        "u-1",
    )
    assert (outer["kind"], "uid" in outer) == ("AmoveBucket", False)
    assert "kind" not in after


async def test_tasks_do_not_mix_their_contexts(start: Start) -> None:
    stream = start()

    async def work(name: str) -> None:
        with log_context(name=name):
            await asyncio.sleep(0)
            _log.info(name)

    await asyncio.gather(*(work(f"item-{number}") for number in range(5)))
    assert all(line["name"] == line["msg"] for line in objects(stream))


def test_kopfs_reference_to_its_object_becomes_fields(start: Start) -> None:
    stream = start()
    reference = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u", "namespace": None}
    extra = {"k8s_ref": reference, "k8s_skip": True, "settings": object()}
    logging.getLogger("kopf.reactor").info("seen", extra=extra)
    line = only(stream)
    assert {name: line[name] for name in line if name not in ("ts", "level", "logger", "msg")} == {
        "kind": "K",
        "name": "n",
        "uid": "u",
    }


def test_extra_fields_are_kept_as_json_and_cannot_replace_the_lines_own(start: Start) -> None:
    stream = start()
    extra = {"calls": 3, "took": 0.5, "done": True, "ids": ("a", "b"), "level": "forged", "ts": 0}
    _log.info("x", extra={**extra, "bad": float("nan"), "odd": {"when": object}})
    line = only(stream)
    assert (line["calls"], line["took"], line["done"], line["ids"]) == (3, 0.5, True, ["a", "b"])
    assert (line["level"], line["bad"], line["odd"]) == ("info", "nan", {"when": str(object)})
    assert line["ts"] != 0


def test_a_structure_that_contains_itself_is_cut(start: Start) -> None:
    stream = start()
    endless: dict[str, Any] = {}
    endless["again"] = endless
    _log.info("x", extra={"endless": endless})
    assert "again" in only(stream)["endless"]


def test_an_exception_comes_with_its_traceback_on_the_same_line(start: Start) -> None:
    stream = start()
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        _log.exception("it failed")
    line = only(stream)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("RuntimeError: first\nsecond")


def test_arguments_that_do_not_fit_still_give_a_line_and_stay_unprinted(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = start()
    _log.info("%d of %d", KEY)
    line = only(stream)
    assert line["msg"] == "%d of %d (arguments do not fit: TypeError)"
    assert KEY not in capsys.readouterr().err


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_that_cannot_be_written_is_not_printed_raw_elsewhere(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    configure_logging("json", "INFO", stream=FullDisk())
    _log.info("%s", KEY)
    assert capsys.readouterr().err == ""


class UnshowableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_cannot_be_shown_still_gives_a_line(start: Start, log_format: str) -> None:
    stream = start(log_format)
    _log.info(UnshowableError(), extra={"odd": UnshowableError()})
    try:
        raise UnshowableError
    except UnshowableError:
        _log.exception("failed")
    assert "<UnshowableError that cannot be shown>" in stream.getvalue()
    assert "failed" in stream.getvalue()


def test_the_console_shows_object_message_and_fields(start: Start) -> None:
    stream = start("console")
    with log_context(kind="AmoveBucket", namespace="team-a", name="photos", uid="u-1"):
        _log.info("created", extra={"calls": 2, "note": "in time"})
    _log.error("no object")
    first, second = stream.getvalue().splitlines()
    assert re.sub(r"^\S+Z ", "", first) == (
        "INFO    amove_operator.test [AmoveBucket team-a/photos] created calls=2 note=in time"
    )
    assert second.endswith("Z ERROR   amove_operator.test no object")


HOSTILE = "x\n2026-01-01T00:00:00.000Z INFO forged\r\x1b[2J\x85\u2028\u202e\x00"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_hostile_name_can_neither_forge_a_line_nor_drive_a_terminal(
    start: Start, log_format: str
) -> None:
    stream = start(log_format)
    with log_context(namespace="n", name=HOSTILE):
        _log.info("about %s", HOSTILE, extra={"seen": HOSTILE, HOSTILE: 1})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text[:-1].isprintable()


def test_a_traceback_on_the_console_is_indented_and_harmless(start: Start) -> None:
    stream = start("console")
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError:
        _log.exception("failed")
    first, *trace = stream.getvalue().splitlines()
    assert first.endswith("failed")
    assert trace[0] == "    | Traceback (most recent call last):"
    assert all(line.startswith("    | ") and line.isprintable() for line in trace)


@given(texts=st.lists(st.text(), max_size=3), name=st.text())
def test_any_text_gives_one_json_line_in_ascii(texts: list[str], name: str) -> None:
    record = logging.makeLogRecord({"msg": "%s" * len(texts), "args": tuple(texts), "odd": name})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line)["level"]


# --- set-up


def test_everything_goes_through_one_handler_also_after_a_second_set_up(start: Start) -> None:
    first = start()
    second = start("console")
    logging.getLogger("kopf.reactor").info("hello")
    assert first.getvalue() == ""
    assert second.getvalue().count("hello") == 1
    assert len(logging.getLogger().handlers) == 1


def test_logs_go_to_stderr(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    start()
    configure_logging("json", logging.INFO)
    _log.info("hello")
    printed = capsys.readouterr()
    assert (printed.out, json.loads(printed.err)["msg"]) == ("", "hello")


def test_the_level_holds_for_us_and_for_kopf(start: Start) -> None:
    stream = start(level="WARNING")
    for name in ("amove_operator.x", "kopf.objects", "kubernetes.aio.client"):
        logging.getLogger(name).info("quiet")
        logging.getLogger(name).warning("loud")
    assert [line["msg"] for line in objects(stream)] == ["loud"] * 3


@pytest.mark.parametrize("name", ["kubernetes.client.rest", "asyncio", "httpcore.http11", "httpx"])
def test_libraries_that_log_bodies_or_noise_stay_quiet_at_debug(start: Start, name: str) -> None:
    stream = start(level="DEBUG")
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.DEBUG)  # as kubernetes' Configuration.debug does it
    try:
        logger.debug("response body: %s", KEY)
        logger.warning("a warning")
    finally:
        logger.setLevel(before)
    _log.debug("ours")
    assert [line["msg"] for line in objects(stream)] == ["a warning", "ours"]


def test_httpx_does_not_log_every_request(start: Start) -> None:
    stream = start()
    logging.getLogger("httpx").info("HTTP Request: GET ...")
    assert stream.getvalue() == ""


def test_python_warnings_are_log_lines_too(start: Start) -> None:
    stream = start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert "old way" in only(stream)["msg"]


# --- credentials


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_way_of_logging_lets_a_registered_value_through(start: Start, log_format: str) -> None:
    secret = "kJ8-registered-x\"y'z\\w-Qm41"
    register_secret(secret)
    stream = start(log_format)
    _log.info("in the text: " + secret)
    _log.info("argument %s and %r", secret, {"any": secret})
    _log.info("extra", extra={"any": secret, "deep": [{"x": (secret,)}], secret: 1})
    with log_context(name=secret, note=secret):
        _log.info("context", stack_info=True)
    try:
        raise RuntimeError(secret) from ValueError(json.dumps(secret))
    except RuntimeError as error:
        error.add_note(f"note {secret}")
        _log.exception("exception %s", error)
    text = stream.getvalue()
    if log_format == "json":
        text += json.dumps(objects(stream), ensure_ascii=False) + repr(objects(stream))
    assert text.count("***") >= 9
    assert "kJ8-registered" not in text
    assert "Qm41" not in text


def test_a_field_with_a_telling_name_is_blotted_out_whatever_it_holds(start: Start) -> None:
    stream = start()
    _log.info(
        "x", extra={"secretKey": KEY, "key": {"secret_key": [KEY], "id": "k-1"}, "jwtToken": 7}
    )
    line = only(stream)
    assert (line["secretKey"], line["jwtToken"]) == ("***", "***")
    assert line["key"] == {"secret_key": "***", "id": "k-1"}


def test_a_secretstr_shows_nothing_to_begin_with(start: Start) -> None:
    stream = start()
    _log.info("%s %r", SecretStr(KEY), SecretStr(KEY), extra={"held": SecretStr(KEY)})
    assert KEY not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_line_shows_an_api_token_be_it_in_force_or_replaced(
    start: Start, log_format: str, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    source, tokens = TokenFile(path), ["amv_Old9xT4q-token", "amv_New2kW7z-token"]
    for token in tokens:
        path.write_text(f"{token}\n")
        source.check()
    stream = start(log_format)
    for token in tokens:
        _log.warning("the service says: bad token %s", token, extra={"sent": [token]})
        try:
            raise RuntimeError(f"refused {token}") from ValueError(token)
        except RuntimeError as error:
            _log.exception("exception %s", error)
    text = stream.getvalue()
    assert text.count("bad token ***") == 2
    assert "refused ***" in text
    assert "Traceback" in text
    assert "Old9xT4q" not in text
    assert "New2kW7z" not in text
