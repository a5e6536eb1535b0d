"""The product's names are words of the field, and its files and functions can be seen whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from figures.counts import count
from figures.tree import Tree

PACKAGE = Path(__file__).parents[3] / "operator/amove_operator"
TREE = Tree.read(PACKAGE)
# Each says less than a word of the field would: docs/glossary.md has those that we do use. `look`
# at the end of a name is the noun; `look_up` is a verb.
FORBIDDEN = re.compile(
    r"""(?x)
    (?: ^ | _ | (?<=[a-z0-9])(?=[A-Z]) )
    (?:
        (?i: worlds? | ghosts? | haunt(?:s|ed|ing)? | heirs? | told | doubt(?:s|ed|ful)? | unheld
           | untidy | unclear | unasked | unborn | given_up | in_?hand | turns
        ) (?: $ | _ | (?=[A-Z]) )
    | (?i: looks? ) $
    )
    | \w _ (?i: facts | words | view ) $
    """
)


def names() -> Iterator[tuple[str, str]]:
    """Every name that the product gives: of files, classes, functions, arguments, variables."""
    for module, tree in TREE.modules.items():
        for part in module.split("."):
            yield module, part
        for node in ast.walk(tree):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                    yield module, name
                case ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
                    yield module, name
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str() as name):
                    yield module, name
                case ast.alias(name=name, asname=other):
                    yield module, other or name.rsplit(".", 1)[-1]
                case ast.MatchAs(name=str() as name) | ast.ExceptHandler(name=str() as name):
                    yield module, name


@pytest.mark.parametrize(
    "name", ["KeyWorld", "_Ghost", "TOLD_AT", "InHand", "missing_unasked", "key_facts", "Look"]
)
def test_a_word_is_found_in_every_way_of_writing_it(name: str) -> None:
    assert FORBIDDEN.search(name)


@pytest.mark.parametrize("name", ["look_up", "returns", "artefacts", "overlook", "SecretView"])
def test_a_word_is_not_found_within_another(name: str) -> None:
    assert not FORBIDDEN.search(name)


def test_names_are_words_of_the_field() -> None:
    found = {f"{module}: {name}" for module, name in names() if FORBIDDEN.search(name)}
    assert sorted(found) == []


def test_no_file_has_more_than_300_lines() -> None:
    assert count(TREE).long_files == {}


def test_no_body_has_more_than_40_lines() -> None:
    assert count(TREE).long_bodies == {}
