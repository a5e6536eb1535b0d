"""The walk of one object: how far a reader is sent who follows it through the code.

It begins at a reconciler's entry, with one parameter (``item`` of ``KeyReconciler.reconcile``), and
takes every call, in the order of the text, that hands the object on as an argument. The called
function is read in the same way, with the parameters that the object arrived by. A function is
read once; each further call of it is one more visit, since a reader looks there again.

*The object* is

- the parameter, and every local name that is given it;
- what an attribute of it gives, an element that it picks, or a call that was handed it, where the
  annotations say that this is a whole CR, of the class of the entry's parameter or of a field of
  that (a reference), or a carrier: a class with a field for one whole CR, such as a record that a
  reconcile hands from step to step. A method that is called on a carrier is handed it, too;
- and its *parts*, unless they are left out: what is of another class in ``models/`` (the CR's
  metadata, spec, status).

Names, UIDs and times taken out of the object are not the object any more; nor is the snapshot that
is gathered from it, which the planner reads in its stead. Only calls that annotations resolve are
taken: a function of the file or imported, ``self.method``, a method of an attribute. Where they
lead to a Protocol or an abstract class, the implementations for the kind (those with ``key``, or
``bucket``, in their name or their file's) are taken.

The visits in this order give

- ``stays``: visits to another file than the visit before, and the first;
- ``files``: how many different ones;
- ``returns``: stays in a file that was left before, so stays minus files;
- ``climbs``: stays on a floor above that of the stay before (``FLOORS``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from figures.tree import Callee, Class, Scope, Tree, Types

# From the ground up, with the names of both plans of the house.
FLOORS = (
    ("errors", "fairness", "telemetry"),
    ("models",),
    ("settings", "times"),
    ("crds", "fence"),
    ("core",),
    ("api", "amove", "engine", "kube"),
    ("controller", "controllers"),
    ("handlers", "runtime", "app"),
    ("commands", "orphans_command"),
    ("cli",),
)
# Where a kind's reconcile begins: the first of them that a tree has.
ENTRIES = {
    "key": (
        ("controllers.keys.reconciler", "KeyReconciler", "reconcile"),
        ("controller.key", "KeyReconciler", "reconcile"),
    ),
    "bucket": (
        ("controllers.buckets.reconciler", "BucketReconciler", "reconcile"),
        ("controller.bucket", "BucketReconciler", "reconcile"),
    ),
}
_OBJECTS = ("AmoveBucket", "AmoveStorageKey")


@dataclass(frozen=True)
class Trip:
    """What one walk came to."""

    stays: int
    files: int
    returns: int
    climbs: int
    route: tuple[str, ...]


def walk(tree: Tree, kind: str, *, parts: bool = True) -> Trip:
    """Follow an object of a kind, ``key`` or ``bucket``, from the entry of its reconciler."""
    entry, parameter = _entry(tree, kind)
    models = {one.key for one in tree.classes() if tree.room(one.module) == "models"}
    begun = _with_fields(tree, tree.parameters(entry)[parameter])
    whole = {key for key in models if key[1] in _OBJECTS}
    carriers = {one.key for one in tree.classes() if _carries(tree, one, whole)}
    walker = _Walker(tree, kind, (models if parts else whole) | begun | carriers, carriers)
    walker.visit(entry, frozenset({parameter}))
    route = tuple(module for module, _ in groupby(walker.visits))
    floors = [_floor(tree, module) for module in route]
    files = len(set(route))
    climbs = sum(after > before for before, after in pairwise(floors))
    return Trip(len(route), files, len(route) - files, climbs, route)


def _entry(tree: Tree, kind: str) -> tuple[Callee, str]:
    """The entry, and its first parameter after ``self``."""
    for module, name, method in ENTRIES[kind]:
        found = tree.find(f"{tree.root.name}.{module}", name)
        if isinstance(found, Class):
            entry = tree.members(found)[method]
            if isinstance(entry, Callee):
                callee = Callee(entry.module, entry.node, found)
                return callee, entry.node.args.args[1].arg
    raise LookupError(f"no reconciler of a {kind} in {tree.root}")


def _floor(tree: Tree, module: str) -> int:
    room = tree.room(module)
    return next((floor for floor, rooms in enumerate(FLOORS) if room in rooms), -1)


def _with_fields(tree: Tree, types: Types) -> set[tuple[str, str]]:
    fields = [one for each in types.classes for one in tree.members(each).values()]
    every = [types, *(one for one in fields if isinstance(one, Types))]
    return {one.key for each in every for one in each.classes}


def _carries(tree: Tree, one: Class, whole: set[tuple[str, str]]) -> bool:
    """Whether a field of the class is one whole CR, not a mapping of many."""
    return any(
        isinstance(member, Types) and any(each.key in whole for each in member.classes)
        for member in tree.members(one).values()
    )


@dataclass
class _Walker:
    """One walk under way."""

    tree: Tree
    kind: str
    mine: set[tuple[str, str]]
    carriers: set[tuple[str, str]]
    visits: list[str] = field(default_factory=list)
    _read: set[tuple[str, int, str]] = field(default_factory=set)

    def visit(self, callee: Callee, given: frozenset[str]) -> None:
        """Read a function that was handed the object by these parameters."""
        self.visits.append(callee.module)
        owner = callee.owner.node.name if callee.owner is not None else ""
        mark = callee.module, callee.node.lineno, owner
        if mark in self._read:
            return
        self._read.add(mark)
        reading = _Reading(self, callee.module, set(given), self.tree.parameters(callee))
        reading.learn_names(callee)
        for call in _calls(callee):
            for each, parameters in reading.handed_to(call):
                self.visit(each, frozenset(parameters))

    def implementations(self, callee: Callee) -> list[Callee]:
        """The function itself, or where it is only promised, those of this kind."""
        if callee.owner is None or not _is_promised(callee):
            return [callee]
        name, promise = callee.node.name, callee.owner
        needed = {
            each for each, one in self.tree.members(promise).items() if isinstance(one, Callee)
        }
        found = []
        for each in self.tree.classes():
            members = self.tree.members(each)
            member = members.get(name)
            if isinstance(member, Callee) and not _is_promised(member) and needed <= members.keys():
                found.append(Callee(member.module, member.node, each))
        of_kind = [
            one for one in found if one.owner and self.kind in ".".join(one.owner.key).lower()
        ]
        return of_kind or found


@dataclass
class _Reading:
    """One function under the reader's eyes; ``names`` are those that the object goes by."""

    walker: _Walker
    module: str
    names: set[str]
    known: Scope

    def learn_names(self, callee: Callee) -> None:
        """Find the local names of the object, and the types of all."""
        for _ in range(2):  # a name may be used above the line, in a loop, that gives it
            for node in ast.walk(callee.node):
                match node:
                    case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                        for name, value in zip(names, values, strict=False):
                            self._learn(name, value)
                    case ast.Assign(targets=[target, *_], value=value):
                        self._learn(target, value)
                    case ast.AnnAssign(target=target, value=ast.expr() as value):
                        self._learn(target, value)
                    case ast.NamedExpr(target=target, value=value):
                        self._learn(target, value)

    def _learn(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            return
        if types := self.walker.tree.infer(self.module, value, self.known):
            self.known.setdefault(target.id, types)
        if self.is_the_object(value):
            self.names.add(target.id)

    def is_the_object(self, value: ast.expr) -> bool:
        """Whether an expression is the object, or a part of it that still is."""
        match value:
            case ast.Await(value=inner) | ast.Starred(value=inner) | ast.NamedExpr(value=inner):
                return self.is_the_object(inner)
            case ast.Name(id=name):
                return name in self.names
            case ast.IfExp(body=first, orelse=second):
                return self.is_the_object(first) or self.is_the_object(second)
            case ast.BoolOp(values=values):
                return any(self.is_the_object(each) for each in values)
            case ast.Attribute(value=inner):
                return self._is_mine(value) and self.is_the_object(inner)
            case ast.Subscript(slice=place):
                return self._is_mine(value) and self.is_the_object(place)
            case ast.Call():
                return self._is_mine(value) and any(
                    self.is_the_object(each) for each in _handed(value)
                )
        return False

    def _is_mine(self, value: ast.expr) -> bool:
        types = self.walker.tree.infer(self.module, value, self.known)
        return any(one.key in self.walker.mine for one in types.classes)

    def _is_carrier(self, value: ast.expr) -> bool:
        types = self.walker.tree.infer(self.module, value, self.known)
        carried = any(one.key in self.walker.carriers for one in types.classes)
        return carried and self.is_the_object(value)

    def handed_to(self, call: ast.Call) -> Iterator[tuple[Callee, set[str]]]:
        """The functions that a call hands the object to, and by which parameters."""
        callee = self.walker.tree.callee(self.module, call, self.known)
        if not isinstance(callee, Callee):
            return
        for each in self.walker.implementations(callee):
            given = each.node.args
            places = [one.arg for one in (*given.posonlyargs, *given.args)]
            parameters = {
                one.arg for one in call.keywords if one.arg and self.is_the_object(one.value)
            }
            if each.owner is not None and places and places[0] in ("self", "cls"):
                function = call.func
                if isinstance(function, ast.Attribute) and self._is_carrier(function.value):
                    parameters.add(places[0])
                places = places[1:]
            handed = zip(places, call.args, strict=False)
            parameters |= {name for name, value in handed if self.is_the_object(value)}
            if parameters:
                yield each, parameters


def _handed(call: ast.Call) -> list[ast.expr]:
    """What a call hands on: its arguments, and what the method is called on."""
    on = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    return [*call.args, *(one.value for one in call.keywords), *on]


def _calls(callee: Callee) -> list[ast.Call]:
    """The calls of a function's body, in the order in which they end in the text."""
    found = [
        node
        for statement in callee.node.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    ]
    return sorted(found, key=lambda call: (call.end_lineno or 0, call.end_col_offset or 0))


def _is_promised(callee: Callee) -> bool:
    """Whether the function has no body of its own: an abstract one, or one of a Protocol."""
    body = [
        each
        for each in callee.node.body
        if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        and not isinstance(each, ast.Raise | ast.Pass)
    ]
    return not body
