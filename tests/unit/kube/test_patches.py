"""The patches: a JSON merge patch turns the old into the new, and never more than that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amove_operator.kube.patches import adding_finalizer, merge_difference, removing_finalizer
from amove_operator.kube.transport import path_of
from amove_operator.models import FINALIZER, ObjectMeta

values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(old=objects, new=objects)
def test_the_difference_turns_the_old_into_the_new(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert merged(old, merge_difference(old, new)) == new


@given(same=objects)
def test_nothing_differs_from_itself(same: dict[str, Any]) -> None:
    assert merge_difference(same, dict(same)) == {}


@given(old=objects, new=objects)
def test_a_field_that_stayed_is_not_sent(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_difference(old, new)
    assert not [key for key in old if key in new and old[key] == new[key] and key in patch]


def test_a_list_is_sent_whole() -> None:
    assert merge_difference({"l": [1, 2]}, {"l": [2]}) == {"l": [2]}


def meta(*finalizers: str) -> ObjectMeta:
    return ObjectMeta.model_validate(
        {"name": "photos", "resourceVersion": "7", "finalizers": finalizers}
    )


def test_every_finalizer_patch_tests_the_version_that_was_read() -> None:
    tested = {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert adding_finalizer(meta())[0] == tested
    assert removing_finalizer(meta(FINALIZER))[0] == tested


def test_the_finalizer_is_removed_from_its_own_place() -> None:
    assert removing_finalizer(meta("x/y", FINALIZER))[1:] == [
        {"op": "test", "path": "/metadata/finalizers/1", "value": FINALIZER},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_mean_another_resource_is_never_sent(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        path_of("api", "v1", "namespaces", "team", "secrets", name)


def test_a_slash_in_a_name_stays_in_the_name() -> None:
    assert path_of("secrets", "a/b") == "/secrets/a%2Fb"
