"""The rules that the tree keeps: who may import whom (docs/design.md), and what no product module may contain."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Folder (or entry file) -> its floor and the folders of ours that it may import. "workers" in a list means the shared
#: files of workers/, never a role's folder.
RULES: dict[str, tuple[int, frozenset[str]]] = {
    "errors": (0, frozenset()),
    "host": (0, frozenset()),
    "ipc": (0, frozenset()),
    "jobs": (0, frozenset({"errors", "ipc", "host"})),
    "settings": (1, frozenset({"errors", "host"})),
    "movers": (1, frozenset({"errors", "host"})),
    "events": (1, frozenset({"errors"})),
    "queues": (1, frozenset({"errors", "jobs"})),
    "plugins": (1, frozenset({"errors", "host", "ipc", "jobs", "settings", "queues"})),
    "pilot": (2, frozenset({"errors", "host", "jobs", "settings", "movers", "queues", "workflows"})),
    "slot": (2, frozenset({"errors", "host", "ipc", "jobs", "settings"})),
    "workflows": (2, frozenset({"errors", "host", "ipc", "jobs", "settings", "movers", "queues", "plugins", "events"})),
    "workers": (
        2,
        frozenset({"slot", "errors", "host", "ipc", "jobs", "settings", "movers", "queues", "plugins", "events"}),
    ),
    "core": (2, frozenset({"errors", "host", "ipc", "jobs", "settings", "workflows"})),
    "supervision": (3, frozenset({"slot", "errors", "host", "ipc", "jobs", "settings", "core", "workers"})),
    "people": (3, frozenset({"errors", "host", "ipc", "jobs", "settings", "core", "supervision", "sandbox"})),
    "sandbox": (3, frozenset()),
    "supervisor": (4, frozenset({"ipc", "people", "settings", "supervision", "workers"})),
}
_ALL = frozenset({"Exception", "BaseException"})
ROLES = ("stager", "runner", "monitor", "reporter")
#: Heavy libraries that deciding what to do next must not cost.
NOT_IN_CORE = ("requests", "rich", "aiohttp", "psutil", "multiprocess", "zmq", "setproctitle")
#: What the guardian must stand without.
NOT_IN_GUARDIAN = ("zmq", "requests", "multiprocess", "psutil", "sqlite3", "logging", "ipc", "workers", "settings")


@dataclass(frozen=True)
class Module:
    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def folder(self) -> str:
        return self.name.removesuffix(".py").partition("/")[0]

    @property
    def role(self) -> str:
        parts = self.path.relative_to(ROOT).parts
        return parts[1] if parts[0] == "workers" and len(parts) > 2 else ""

    def imports(self) -> Iterator[tuple[int, str]]:
        """Give the line and the dotted name of each import, of each name taken from a package as well."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def modules() -> tuple[Module, ...]:
    paths = [ROOT / "supervisor.py", *(path for folder in RULES for path in sorted((ROOT / folder).rglob("*.py")))]
    return tuple(Module(path, ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in paths)


def calls(module: Module, dotted: str) -> list[int]:
    """Return the lines where a module names `dotted`, as an attribute or imported by name."""
    owner, _, attribute = dotted.rpartition(".")
    found = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    ]
    return found + [line for line, name in module.imports() if name == dotted]


def test_there_is_something_to_check():
    assert len(modules()) > 50
    assert {module.folder for module in modules()} >= {"core", "ipc", "jobs", "supervision", "workers", "supervisor"}


def test_every_folder_of_code_has_a_floor():
    with_code = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert with_code <= {*RULES, "benchmarks"}


def test_the_table_itself_never_points_upward():
    upward = [
        (folder, other) for folder, (floor, others) in RULES.items() for other in others if RULES[other][0] > floor
    ]
    assert upward == []


def test_nothing_is_imported_that_the_table_does_not_allow():
    bad = []
    for module in modules():
        for line, name in module.imports():
            target = name.partition(".")[0]
            if target in RULES and target != module.folder and target not in RULES[module.folder][1]:
                bad.append(f"{module.name}:{line} imports {name}")
    assert bad == []


def test_the_allowed_folders_do_not_import_each_other_in_a_circle():
    waiting = {folder: set(others) for folder, (_, others) in RULES.items()}
    while waiting:
        free = {folder for folder, others in waiting.items() if not others & waiting.keys()}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {folder: others for folder, others in waiting.items() if folder not in free}


def test_a_worker_knows_no_other_role_and_nobody_else_knows_a_role():
    bad = []
    for module in modules():
        for line, name in module.imports():
            parts = name.split(".")
            if parts[0] == "workers" and len(parts) > 1 and parts[1] in ROLES and parts[1] != module.role:
                bad.append(f"{module.name}:{line} imports {name}")
    assert bad == []


def test_only_the_stager_moves_files():
    """The workflow asks the registry which copy tools there are, nothing more; `pilot` is for other programs."""
    users = {
        module.role or module.folder
        for module in modules()
        for _, name in module.imports()
        if name.partition(".")[0] == "movers" and (module.folder, name) != ("workflows", "movers.registry.MOVERS")
    }
    assert users <= {"stager", "movers", "pilot"}


def test_imports_are_absolute():
    bad = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert bad == []


@pytest.mark.parametrize("dotted", ["time.sleep", "pickle.loads", "pickle.load", "os.system", "os.popen"])
def test_what_no_module_may_use(dotted):
    assert [f"{module.name}:{line}" for module in modules() for line in calls(module, dotted)] == []


def test_no_process_is_started_through_a_shell_of_ours():
    bad = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword)
        and node.arg == "shell"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert bad == []


def _is_suppress(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"contextlib.suppress", "suppress"}


def _names(handler: ast.ExceptHandler) -> set[str]:
    parts = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def _only_passes(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass | ast.Continue)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _catch_alls() -> Iterator[tuple[str, str]]:
    for module in modules():
        for node in ast.walk(module.tree):
            where = f"{module.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ExceptHandler):
                if node.type is None:
                    yield where, "a bare except"
                elif _names(node) & _ALL and _only_passes(node.body):
                    yield where, "a catch-all that does nothing"
            elif _is_suppress(node) and {ast.unparse(argument) for argument in node.args} & _ALL:
                yield where, "a catch-all that does nothing"


def test_no_error_is_swallowed_without_a_name():
    assert list(_catch_alls()) == []


def test_each_init_holds_a_docstring_and_nothing_else():
    bad = [
        module.name
        for module in modules()
        if module.path.name == "__init__.py"
        and not (len(module.tree.body) == 1 and ast.get_docstring(module.tree, clean=False))
    ]
    assert bad == []


def test_each_module_says_what_it_is_for():
    assert [module.name for module in modules() if not ast.get_docstring(module.tree)] == []


def test_no_drawer_for_odds_and_ends():
    """The names in pilot/ are those that Harvester imports."""
    names = {"utils", "common", "helpers", "misc", "util", "helper"}
    own = [module for module in modules() if module.folder != "pilot"]
    assert [module.name for module in own if module.path.stem in names or module.path.parent.name in names] == []


def _loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `code`, beside those it starts with."""
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_deciding_costs_no_heavy_imports():
    assert _loaded_after("import core.step") & set(NOT_IN_CORE) == set()


def test_the_guardian_stands_without_libraries():
    assert _loaded_after("import supervisor, supervision.guardian") & set(NOT_IN_GUARDIAN) == set()
