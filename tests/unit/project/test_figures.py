"""The figures of a tree: what is counted, and how one object is followed along the calls."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from figures.__main__ import main
from figures.counts import Counts, count
from figures.table import BEGIN, END, recorded
from figures.tree import Tree
from figures.walk import Trip, walk

RECONCILER = "controllers/keys/reconciler.py"
MODELS = """
    class Metadata:
        name: str
    class AmoveStorageKey:
        metadata: Metadata
"""
STORE = """
    from pkg.models.kinds import AmoveStorageKey
    class Ref:
        name: str
    class Store:
        def __init__(self) -> None:
            self.keys: dict[Ref, AmoveStorageKey] = {}
        def put(self, key: AmoveStorageKey) -> None:
            self.index(key.metadata.name)
        def index(self, name: str) -> None: ...
"""
CORE = """
    from pkg.models.kinds import Metadata
    def plan(metadata: Metadata) -> str:
        return metadata.name
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a package with two models, a store, a plan, and nothing that acts."""
    write(tmp_path / "pkg", {"models/kinds.py": MODELS, "controllers/store.py": STORE})
    write(tmp_path / "pkg", {"core/plan.py": CORE, "__init__.py": ""})
    return tmp_path / "pkg"


def write(package: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(dedent(text).lstrip())


def counted(tmp_path: Path, text: str, name: str = "controllers/one.py") -> Counts:
    write(tmp_path / "pkg", {name: text})
    return count(Tree.read(tmp_path / "pkg"))


def walked(package: Path, text: str, **more: str) -> Trip:
    """The walk of a key whose reconciler is written so."""
    write(package, {RECONCILER: text, **more})
    return walk(Tree.read(package), "key")


def test_code_lines_are_neither_docstrings_nor_comments_nor_blank(tmp_path: Path) -> None:
    text = '''
        """A file."""

        import ast

        LIMIT = 3
        """How many."""


        def double(one: int) -> int:  # a remark beside code is code
            """Twice.

            No more.
            """
            # why
            return (
                one * 2
            )
    '''
    found = counted(tmp_path, text)
    assert (found.code, found.docstrings, found.comments, found.imports) == (6, 6, 1, 1)
    assert found.bodies == (3,)


def test_names_and_uses_of_functions_are_counted(tmp_path: Path) -> None:
    text = """
        class Thing:
            def __init__(self) -> None: ...
            def read(self) -> None:
                self._once()
                self._twice()
                self._twice()
            def write_all(self) -> None: ...
            def _once(self) -> None:
                a = b = c = 1
                print(a)
                print(b)
                print(c)
            def _twice(self) -> None: ...
        def _tiny() -> None: ...
        _tiny()
    """
    found = counted(tmp_path, text)
    assert (found.named, found.one_word) == (5, 4), "all but write_all, without __init__"
    assert (found.private, found.used_once, found.tiny) == (3, 2, 1)


def test_a_holder_of_state_is_a_class_with_more_than_five_fields(tmp_path: Path) -> None:
    text = """
        class Five:
            a: int; b: int; c: int; d: int; e: int
        class Six(Five):
            a: int; b: int; c: int
            def __init__(self) -> None:
                self.d = self.e = 1
                self.f: int = 2
                other.g = 3
    """
    assert counted(tmp_path, text).holders == {"Six": 6}
    assert counted(tmp_path, text, name="kube/one.py").holders == {"Six": 6}, "only the first"


def test_long_files_and_bodies_are_named(tmp_path: Path) -> None:
    text = "def long() -> None:\n" + "    print()\n" * 41 + "\n" * 260
    found = counted(tmp_path, text)
    assert found.long_files == {"pkg.controllers.one": 302}
    assert found.long_bodies == {"pkg.controllers.one.long": 41}


def test_an_object_is_followed_from_file_to_file(package: Path) -> None:
    trip = walked(
        package,
        """
        from pkg.controllers.store import Ref, Store
        from pkg.core import plan
        class KeyReconciler:
            def __init__(self, store: Store) -> None:
                self.store = store
            def reconcile(self, item: Ref) -> None:
                key = self.store.keys.get(item)
                self.store.put(key)
                plan.plan(key.metadata)
                self.store.put(key)
                self.store.index(key.metadata.name)  # a name is the object no more
        """,
    )
    store, reconciler = "pkg.controllers.store", "pkg.controllers.keys.reconciler"
    assert trip.route == (reconciler, store, "pkg.core.plan", store)
    assert (trip.stays, trip.files, trip.returns, trip.climbs) == (4, 3, 1, 1)


def test_the_parts_of_an_object_can_be_left_out(package: Path) -> None:
    text = """
        from pkg.controllers.store import Ref, Store
        from pkg.core.plan import plan
        class KeyReconciler:
            store: Store
            def reconcile(self, item: Ref) -> None:
                key = self.store.keys[item]
                self.store.put(key)
                plan(key.metadata)
        """
    assert walked(package, text).stays == 3
    assert walk(Tree.read(package), "key", parts=False).stays == 2


def test_a_copy_of_the_object_is_the_object(package: Path) -> None:
    models = """
        from typing import Self
        class Metadata:
            name: str
        class AmoveStorageKey:
            metadata: Metadata
            def with_name(self, name: str) -> Self: ...
    """
    text = """
        from pkg.controllers.store import Store
        from pkg.models.kinds import AmoveStorageKey
        class KeyReconciler:
            store: Store
            def reconcile(self, key: AmoveStorageKey) -> None:
                copy = key.with_name("another")
                self.store.put(copy)
        """
    assert walked(package, text, **{"models/kinds.py": models}).stays == 2


def test_a_function_is_read_once_and_visited_at_each_call(package: Path) -> None:
    trip = walked(
        package,
        """
        from pkg.controllers.store import Ref
        from pkg.core.plan import plan
        from pkg.models.kinds import AmoveStorageKey
        class KeyReconciler:
            def reconcile(self, item: Ref) -> None:
                self.twice(self.look_up(item))
                self.twice(self.look_up(item))
                self.reconcile(item)
            def look_up(self, item: Ref) -> AmoveStorageKey: ...
            def twice(self, key: AmoveStorageKey) -> None:
                plan(key.metadata)
        """,
    )
    assert (trip.stays, trip.returns) == (3, 1), "there, to the plan, and back"


def test_a_number_that_a_container_of_objects_gives_is_no_object(package: Path) -> None:
    trip = walked(
        package,
        """
        from typing import Generic, TypeVar
        from pkg.controllers.store import Ref
        from pkg.core.plan import plan
        Item = TypeVar("Item")
        class Queue(Generic[Item]):
            def failures(self, item: Item) -> int: ...
        class KeyReconciler:
            queue: Queue[Ref]
            def reconcile(self, item: Ref) -> None:
                plan(self.queue.failures(item))
        """,
    )
    assert trip.route == ("pkg.controllers.keys.reconciler",)


def test_a_record_that_carries_the_object_hands_it_on(package: Path) -> None:
    trip = walked(
        package,
        """
        from pkg.controllers.one_pass import Pass
        from pkg.controllers.store import Ref, Store
        class KeyReconciler:
            store: Store
            def reconcile(self, item: Ref) -> None:
                found = Pass(self.store.keys[item])
                found.plan()
        """,
        **{
            "controllers/one_pass.py": """
                from pkg.core.plan import plan
                from pkg.models.kinds import AmoveStorageKey
                class Pass:
                    key: AmoveStorageKey
                    def plan(self) -> None:
                        plan(self.key.metadata)
            """
        },
    )
    assert trip.route[1:] == ("pkg.controllers.one_pass", "pkg.core.plan")


def test_what_is_only_promised_is_read_where_the_kind_keeps_it(package: Path) -> None:
    trip = walked(
        package,
        """
        from pkg.controllers.loop import Loop
        from pkg.core.plan import plan
        from pkg.models.kinds import AmoveStorageKey
        class KeyHands:
            def perform(self, key: AmoveStorageKey) -> None:
                plan(key.metadata)
        class KeyReconciler(Loop): ...
        """,
        **{
            "controllers/loop.py": """
                from typing import Protocol
                from pkg.controllers.store import Ref, Store
                from pkg.models.kinds import AmoveStorageKey
                class Hands(Protocol):
                    def perform(self, key: AmoveStorageKey) -> None: ...
                class Loop:
                    store: Store
                    hands: Hands
                    def reconcile(self, item: Ref) -> None:
                        self.hands.perform(self.store.keys[item])
            """,
            "controllers/buckets.py": """
                class BucketHands:
                    def perform(self, key: object) -> None:
                        print(key)
            """,
        },
    )
    assert trip.route == (
        "pkg.controllers.loop",
        "pkg.controllers.keys.reconciler",
        "pkg.core.plan",
    )


def test_a_loop_of_both_kinds_is_read_with_the_methods_of_the_kind(package: Path) -> None:
    trip = walked(
        package,
        """
        from pkg.controllers.loop import Decision, Loop
        from pkg.controllers.store import Ref
        from pkg.core.plan import plan
        from pkg.models.kinds import AmoveStorageKey
        class KeyReconciler(Loop[AmoveStorageKey]):
            def reconcile(self, item: Ref) -> None:
                super().reconcile(item)
            def perform(self, decision: Decision[AmoveStorageKey]) -> None:
                plan(decision.seen.metadata)
        """,
        **{
            "controllers/loop.py": """
                from typing import Generic, TypeVar
                from pkg.controllers.store import Ref, Store
                from pkg.models.kinds import AmoveStorageKey
                Seen = TypeVar("Seen", bound=AmoveStorageKey)
                class Decision(Generic[Seen]):
                    seen: Seen
                class Loop(Generic[Seen]):
                    store: Store
                    def reconcile(self, item: Ref) -> None:
                        self.perform(Decision(self.store.keys[item]))
                    def perform(self, decision: Decision[Seen]) -> None: ...
            """
        },
    )
    keys = "pkg.controllers.keys.reconciler"
    assert trip.route == (keys, "pkg.controllers.loop", keys, "pkg.core.plan")


def test_a_tree_without_a_reconciler_is_refused(package: Path) -> None:
    with pytest.raises(LookupError, match="no reconciler of a key"):
        walk(Tree.read(package), "key")


def test_two_trees_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[3] / "operator/amove_operator"
    assert main([f"before={root}", f"today={root}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| figure | before | today |"
    assert {line.count("|") for line in lines} == {4}
    assert len(lines) > 15
    for line in lines[2:]:
        _, before, after = line.strip("|").split("|")
        assert before == after, line


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path)])


def test_a_record_replaces_the_table_between_the_marks_alone() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert recorded(page, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="marks"):
        recorded("no marks", "new")
