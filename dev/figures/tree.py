"""A product tree: its files, and which class or function an expression in them means.

Types are read from annotations alone, as far as a walk needs them: parameters, attributes of
classes, results, and the elements of mappings. What has no annotation has no type here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)
_PICKS = ("get", "pop", "setdefault", "__getitem__")
_PLAIN = ("bool", "bytes", "float", "int", "str")


@dataclass(frozen=True)
class Class:
    """A class of the tree."""

    module: str
    node: ast.ClassDef

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.module, self.node.name


@dataclass(frozen=True)
class Callee:
    """A function of the tree; ``owner`` is the class whose object it is called on."""

    module: str
    node: Function
    owner: Class | None = None


@dataclass(frozen=True)
class Types:
    """The classes a value may have, and those of its elements if it holds others."""

    classes: tuple[Class, ...] = ()
    elements: tuple[Class, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.classes or self.elements)


@dataclass(frozen=True)
class _Alias:
    module: str
    name: str


@dataclass(frozen=True)
class _Name:
    """A name that a module gives to an expression: ``Item = Ref | Ghost``."""

    module: str
    value: ast.expr


Definition = Class | Callee | _Alias | _Name | str
Scope = dict[str, Types]


@dataclass
class Tree:
    """Every file of a package. ``sources`` and ``modules`` go by dotted names."""

    root: Path
    sources: dict[str, str] = field(default_factory=dict)
    modules: dict[str, ast.Module] = field(default_factory=dict)
    _names: dict[str, dict[str, Definition]] = field(default_factory=dict)
    _members: dict[tuple[str, str], dict[str, Callee | Types]] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> Tree:
        """Read the package whose folder ``root`` is."""
        tree = cls(root)
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree.sources[name] = path.read_text()
            tree.modules[name] = ast.parse(tree.sources[name])
        for name, module in tree.modules.items():
            tree._names[name] = dict(tree._defined(name, module))
        return tree

    def room(self, module: str) -> str:
        """The first folder or file below the package: ``core`` for ``pkg.core.keys.plan``."""
        return module.removeprefix(self.root.name).strip(".").split(".")[0]

    def _defined(self, name: str, module: ast.Module) -> Iterator[tuple[str, Definition]]:
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    full = f"{node.module}.{each.name}"
                    alias = full if full in self.modules else _Alias(node.module, each.name)
                    yield each.asname or each.name, alias
        for statement in module.body:
            if isinstance(statement, Functions):
                yield statement.name, Callee(name, statement)
            elif isinstance(statement, ast.ClassDef):
                yield statement.name, Class(name, statement)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                yield statement.targets[0].id, _Name(name, statement.value)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                yield statement.target.id, _Name(name, statement.value or statement.annotation)

    def find(self, module: str, name: str) -> Class | Callee | _Name | str | None:
        """What a name means in a module; a string is another module."""
        for _ in range(20):
            found = self._names.get(module, {}).get(name)
            if not isinstance(found, _Alias):
                return found
            module, name = found.module, found.name
        return None

    def _meant(self, module: str, node: ast.expr) -> Class | Callee | _Name | str | None:
        """What ``name`` or ``module.name`` means."""
        if isinstance(node, ast.Name):
            return self.find(module, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            where = self.find(module, node.value.id)
            return self.find(where, node.attr) if isinstance(where, str) else None
        return None

    def classes(self) -> Iterator[Class]:
        """Every class at the top of a file."""
        for module, tree in self.modules.items():
            yield from (Class(module, n) for n in tree.body if isinstance(n, ast.ClassDef))

    def types(self, module: str, annotation: ast.expr | None) -> Types:
        """The classes of the tree in an annotation."""
        match annotation:
            case ast.Constant(value=str() as text):
                return self.types(module, ast.parse(text, mode="eval").body)
            case ast.BinOp(left=left, right=right):
                return _joined([self.types(module, left), self.types(module, right)])
            case ast.Subscript(value=base, slice=inner):
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                elements = _joined(self.types(module, part) for part in parts).classes
                return Types(self.types(module, base).classes, elements)
            case ast.Call(func=ast.Name("TypeVar"), args=bounds, keywords=more):
                given = [*bounds[1:], *(one.value for one in more if one.arg == "bound")]
                return _joined(self.types(module, each) for each in given)
            case ast.Name() | ast.Attribute():
                meant = self._meant(module, annotation)
                if isinstance(meant, _Name):
                    return self.types(meant.module, meant.value)
                return Types((meant,)) if isinstance(meant, Class) else Types()
        return Types()

    def bases(self, of: Class) -> list[Class]:
        """The classes of the tree that it is derived from directly."""
        return [one for base in of.node.bases for one in self.types(of.module, base).classes]

    def members(self, of: Class) -> dict[str, Callee | Types]:
        """Its methods, and the types of its attributes and properties."""
        if of.key in self._members:
            return self._members[of.key]
        found = self._members[of.key] = {}
        for base in self.bases(of):
            found.update(self.members(base))
        for node in of.node.body:
            if isinstance(node, Functions):
                shown = any("property" in ast.unparse(each) for each in node.decorator_list)
                types = self.types(of.module, node.returns)
                found[node.name] = types if shown else Callee(of.module, node, of)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[node.target.id] = self.types(of.module, node.annotation)
        for method in [node for node in of.node.body if isinstance(node, Functions)]:
            for name, types in self._set_on_self(of, method):
                if not found.get(name):
                    found[name] = types
        return found

    def _set_on_self(self, of: Class, method: Function) -> Iterator[tuple[str, Types]]:
        known = self.parameters(Callee(of.module, method, of))
        for node in ast.walk(method):
            match node:
                case ast.AnnAssign(target=ast.Attribute(ast.Name("self"), name), annotation=given):
                    yield name, self.types(of.module, given)
                case ast.Assign(targets=[ast.Attribute(ast.Name("self"), name)], value=value):
                    yield name, self.infer(of.module, value, known)

    def parameters(self, of: Callee) -> Scope:
        """The types of a function's parameters, ``self`` included."""
        given = of.node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        known = {one.arg: self.types(of.module, one.annotation) for one in every}
        if of.owner is not None and every and every[0].arg in ("self", "cls"):
            known[every[0].arg] = Types((of.owner,))
        return known

    def infer(self, module: str, value: ast.expr, known: Scope) -> Types:
        """The types of an expression, where ``known`` are those of the local names."""
        match value:
            case ast.Await(value=inner) | ast.Starred(value=inner) | ast.NamedExpr(value=inner):
                return self.infer(module, inner, known)
            case ast.Name(id=name):
                return known.get(name, Types())
            case ast.IfExp(body=first, orelse=second):
                return _joined(self.infer(module, each, known) for each in (first, second))
            case ast.BoolOp(values=values):
                return _joined(self.infer(module, each, known) for each in values)
            case ast.Subscript(value=inner):
                return Types(self.infer(module, inner, known).elements)
            case ast.Attribute(value=inner, attr=name):
                member = self._member(self.infer(module, inner, known), name)
                return member if isinstance(member, Types) else Types()
            case ast.Call():
                return self._result(module, value, known)
        return Types()

    def _member(self, types: Types, name: str) -> Callee | Types | None:
        for each in types.classes:
            if found := self.members(each).get(name):
                return (
                    Callee(found.module, found.node, each) if isinstance(found, Callee) else found
                )
        return None

    def _result(self, module: str, call: ast.Call, known: Scope) -> Types:
        callee = self.callee(module, call, known)
        if isinstance(callee, Class):
            return Types((callee,))
        held = Types()
        if isinstance(call.func, ast.Attribute):
            held = self.infer(module, call.func.value, known)
        if callee is None:  # of the language's own containers
            picked = isinstance(call.func, ast.Attribute) and call.func.attr in _PICKS
            return Types(held.elements) if picked else Types()
        if callee.node.returns is not None and ast.unparse(callee.node.returns) == "Self":
            return Types(held.classes)
        if callee.node.returns is not None and ast.unparse(callee.node.returns) in _PLAIN:
            return Types()
        result = self.types(callee.module, callee.node.returns)
        return result or Types(held.elements)  # a type variable stands for what it holds

    def callee(self, module: str, call: ast.Call, known: Scope) -> Class | Callee | None:
        """The function or class of the tree that a call calls."""
        function = call.func
        if isinstance(function, ast.Name) and function.id not in known:
            meant = self.find(module, function.id)
            return meant if isinstance(meant, Class | Callee) else None
        if not isinstance(function, ast.Attribute):
            return None
        root = function.value
        if isinstance(root, ast.Call) and ast.unparse(root) == "super()":
            return self._inherited(known, function.attr)
        if isinstance(root, ast.Name) and root.id not in known:
            where = self.find(module, root.id)
            if isinstance(where, str):
                meant = self.find(where, function.attr)
                return meant if isinstance(meant, Class | Callee) else None
            types = Types((where,)) if isinstance(where, Class) else Types()
        else:
            types = self.infer(module, root, known)
        member = self._member(types, function.attr)
        return member if isinstance(member, Callee) else None

    def _inherited(self, known: Scope, name: str) -> Callee | None:
        for owner in known.get("self", Types()).classes:
            for base in self.bases(owner):
                if isinstance(found := self.members(base).get(name), Callee):
                    return Callee(found.module, found.node, owner)
        return None


def _joined(types: Iterable[Types]) -> Types:
    every = list(types)
    return Types(
        tuple(dict.fromkeys(one for each in every for one in each.classes)),
        tuple(dict.fromkeys(one for each in every for one in each.elements)),
    )
