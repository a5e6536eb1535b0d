"""What a person may ask for, and of what."""

from __future__ import annotations

import pytest

from amove_operator.commands.kubectl.requests import annotation_of, run_request
from amove_operator.errors import SettingsError


@pytest.mark.parametrize(
    ("request_name", "name"),
    [
        ("rotate", "bucket/photos"),
        ("reconcile", "photos"),
        ("pause", "secret/photos"),
        ("pause", "key/"),
        ("rotate", "key/a/b"),
        ("pause", "key/.."),
        ("rotate", "."),
        ("resume", "key/Photos"),
    ],
)
def test_a_name_that_cannot_be_says_what_to_write_before_anything_is_done(
    request_name: str, name: str
) -> None:
    with pytest.raises(SettingsError, match=f"{name}: .*key/NAME"):
        run_request(request_name, ["key/good", name], None, None)


def test_each_request_is_an_annotation_that_the_operator_acts_on() -> None:
    assert annotation_of("pause") == ("paused", "true")
    assert annotation_of("resume") == ("paused", None)
    first, second = annotation_of("rotate"), annotation_of("rotate")
    assert first[0] == "rotate-requested-at"
    assert annotation_of("reconcile")[0] == "reconcile-requested-at"
    assert first[1] != second[1], "any new value counts"
