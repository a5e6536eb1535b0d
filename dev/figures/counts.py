"""What is counted of a tree.

- *code lines*: lines with a token that is neither comment nor docstring; blank lines are none.
- *docstring lines*: of files, classes, functions, and of attributes; *comment lines*: lines with
  nothing but a comment.
- *body*: the lines of a function after its docstring, from its first statement to its last.
- *one-word names*: functions whose name has no inner underscore, those with two leading underscores
  left out.
- *private functions*: named with one leading underscore; *used once*: named at one other place of
  their file; *tiny*: those of them whose body has at most three lines.
- *holders of state*: classes in the controllers and the engine, and the snapshots and expectations
  in core, with more than five fields: annotated ones, and what their methods set on ``self``.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from figures.tree import Function, Functions, Tree

LONG_FILE, LONG_BODY, TINY_BODY, FEW_FIELDS = 300, 40, 3, 5
# Where state is held, in both plans of the house.
_STATE = (
    "controllers.", "controller.", "engine.", "core.key_world", "core.bucket_world", "core.ledger",
    "core.keys.snapshot", "core.buckets.snapshot", "core.keys.expectations",
)  # fmt: skip
_NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@dataclass(frozen=True)
class Counts:
    """The figures of one tree. Long files and bodies, and holders of state, by name."""

    files: int
    lines: int
    code: int
    docstrings: int
    comments: int
    imports: int
    bodies: tuple[int, ...]
    one_word: int
    named: int
    private: int
    used_once: int
    tiny: int
    holders: dict[str, int]
    long_files: dict[str, int]
    long_bodies: dict[str, int]


def count(tree: Tree) -> Counts:
    """Count everything."""
    functions = list(functions_of(tree))
    bodies = {f"{module}.{one.name}": body_lines(one) for module, one in functions}
    named = [one.name for _, one in functions if not one.name.startswith("__")]
    private = [each for each in functions if _is_private(each[1].name)]
    mentions = {name: _mentions(module) for name, module in tree.modules.items()}
    once = [one for name, one in private if mentions[name][one.name] == 1]
    lengths = {name: len(text.splitlines()) for name, text in tree.sources.items()}
    docs = {name: docstring_lines(module) for name, module in tree.modules.items()}
    return Counts(
        files=len(tree.modules),
        lines=sum(lengths.values()),
        code=sum(len(_code(tree.sources[name]) - docs[name]) for name in tree.modules),
        docstrings=sum(map(len, docs.values())),
        comments=sum(_comments(text) for text in tree.sources.values()),
        imports=sum(map(_imports, tree.modules.values())),
        bodies=tuple(sorted(body_lines(one) for _, one in functions)),
        one_word=sum("_" not in name.strip("_") for name in named),
        named=len(named),
        private=len(private),
        used_once=len(once),
        tiny=sum(body_lines(one) <= TINY_BODY for one in once),
        holders=holders(tree),
        long_files={name: size for name, size in lengths.items() if size > LONG_FILE},
        long_bodies={name: size for name, size in bodies.items() if size > LONG_BODY},
    )


def functions_of(tree: Tree) -> Iterator[tuple[str, Function]]:
    """Every function, methods and inner ones too, with its module."""
    for name, module in tree.modules.items():
        yield from ((name, node) for node in ast.walk(module) if isinstance(node, Functions))


def body_lines(function: Function) -> int:
    """How long a body is, its docstring left out."""
    body = [one for one in function.body if not _is_text(one)]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def docstring_lines(module: ast.Module) -> set[int]:
    """The numbers of the lines that docstrings take."""
    found: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef):
            texts = [one for one in node.body if _is_text(one)]
        elif isinstance(node, Functions):
            texts = [one for one in node.body[:1] if _is_text(one)]
        else:
            continue
        found |= {line for one in texts for line in range(one.lineno, (one.end_lineno or 0) + 1)}
    return found


def holders(tree: Tree) -> dict[str, int]:
    """The classes that hold state, the largest first, with the number of their fields."""
    found = {}
    for one in tree.classes():
        module = one.module.removeprefix(f"{tree.root.name}.")
        fields = set(_fields(one.node))
        if module.startswith(_STATE) and len(fields) > FEW_FIELDS:
            found[one.node.name] = len(fields)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for statement in ast.walk(node):
        match statement:
            case ast.AnnAssign(target=ast.Attribute(ast.Name("self"), name)):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                        yield target.attr
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _mentions(module: ast.Module) -> Counter[str]:
    nodes = list(ast.walk(module))
    found = Counter(node.attr for node in nodes if isinstance(node, ast.Attribute))
    return found + Counter(node.id for node in nodes if isinstance(node, ast.Name))


def _code(text: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }


def _comments(text: str) -> int:
    return sum(line.lstrip().startswith("#") for line in text.splitlines())


def _imports(module: ast.Module) -> int:
    found = [node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom)]
    return sum((node.end_lineno or 0) - node.lineno + 1 for node in found)
