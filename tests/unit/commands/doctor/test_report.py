"""What ``doctor`` prints: a line for each check, with what to do; or JSON."""

from __future__ import annotations

import json

from amove_operator import __version__
from amove_operator.commands.doctor.report import as_json, fail, has_failed, ok, skipped, warn

FINDINGS = [
    ok("fence", "it stands."),
    warn("lease", "nobody holds it", "see why"),
    skipped("a", "b"),
]


def test_a_line_says_how_it_is_and_what_to_do() -> None:
    lines = [one.line for one in FINDINGS]
    assert lines == [
        "ok      fence        it stands.",
        "warn    lease        nobody holds it. To do: see why.",
        "skipped a            b.",
    ]


def test_what_a_server_wrote_makes_no_second_line_and_drives_no_terminal() -> None:
    line = fail("service", "one\ntwo\x1b[31m", "three").line
    assert line.isprintable()
    assert "one two" in line


def test_only_a_failure_fails() -> None:
    assert not has_failed(FINDINGS)
    assert has_failed([*FINDINGS, fail("roles", "none", "bind them")])


def test_json_has_every_check_for_programs() -> None:
    said = json.loads(as_json(FINDINGS))
    assert (said["ok"], said["version"]) == (True, __version__)
    assert said["checks"][1] == {
        "check": "lease",
        "status": "warn",
        "found": "nobody holds it",
        "remedy": "see why",
    }
    assert json.loads(as_json([fail("a", "b", "c")]))["ok"] is False
