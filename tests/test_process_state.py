"""State of the process: all of it is known, and no test sees what another one did with it."""

from __future__ import annotations

import ast
import logging
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import pytest

from curator_core import register_component
from curator_core.pipeline.registry import components
from curator_core.redaction import secret_variable, without_known
from curator_core.run.progress import notebook
from curator_core.storage import locations
from curator_core.storage.local import LocalLocation
from curator_core.storage.locations import register_location
from curator_core.testing import NumbersSource
from tests import process_state
from tests.process_state import restored

ROOT = Path(__file__).parents[1]
CODE = [path for package in ("curator_core", "curator_dagster") for path in sorted((ROOT / package).rglob("*.py"))]
KNOWN = (
    process_state.RESTORED,
    process_state.REGISTRIES,
    process_state.WARNED,
    process_state.OF_ONE_PLACE,
    process_state.CONSTANT,
)

FIXED = {"ParamSpec", "TypeVar", "argument", "attrgetter", "compile", "frozenset", "getLogger", "getattr", "option"}
"""Calls that make what does not change."""
FILLED = {"ContextVar", "Registry", "WeakSet", "defaultdict", "deque", "dict", "list", "local", "set"}
"""Calls that make what is filled later, whatever its name."""


def is_state(name, value):
    """Whether a module keeps something under a name that changes: a constant, in capitals, is full from the start."""
    if isinstance(value, ast.Call):
        function = value.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return called in FILLED or (called not in FIXED and name == name.lower())
    if isinstance(value, (ast.Dict, ast.List, ast.Set)):
        return ast.unparse(value) in ("{}", "[]") or name == name.lower()
    return False


def is_cached(function):
    """Whether a function remembers its results."""
    return any("cache" in ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in function.decorator_list)


def states(path):
    """Names at the top of a module that stand for what can be changed, and cached functions."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and is_cached(node):
            yield node.name
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                if isinstance(target, ast.Name) and not target.id.startswith("__") and is_state(target.id, node.value):
                    yield target.id


def test_every_state_of_the_process_is_known():
    """What a module keeps for the whole process is put back after a test, or a reason says why it need not be."""
    found = {(".".join(path.relative_to(ROOT).with_suffix("").parts), name) for path in CODE for name in states(path)}
    known = [(module, name) for state in KNOWN for module, names in state.items() for name in names]
    assert sorted(known) == sorted(found)


def test_nobody_binds_a_name_of_a_module_again():
    """State that is bound anew could not be put back by who holds it."""
    found = [
        str(path) for path in CODE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)
    ]
    assert found == []


def mask():
    """The file mode mask, which can only be seen by setting it."""
    found = os.umask(0o77)
    os.umask(found)
    return found


@pytest.fixture
def changes(tmp_path, monkeypatch):
    """Pairs: what changes the process, and what tells its state."""
    monkeypatch.setenv("GIVEN", "before")
    (tmp_path / "of_this_test.py").touch()
    kept = logging.getLogger("curator.kept")
    thing = type("Thing", (NumbersSource,), {"name": "of_this_test"})
    shelf = type("Shelf", (LocalLocation,), {"scheme": "of-this-test"})

    def imported():
        sys.path.append(str(tmp_path))
        import_module("of_this_test")

    return [
        (lambda: os.environ.update(GIVEN="after", NEW="1"), lambda: (os.environ["GIVEN"], "NEW" in os.environ)),
        (lambda: os.environ.pop("GIVEN"), lambda: os.environ.get("GIVEN")),
        (lambda: os.chdir(tmp_path), Path.cwd),
        (lambda: os.umask(0o70), mask),
        (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), lambda: signal.getsignal(signal.SIGTERM)),
        (lambda: kept.setLevel(logging.DEBUG), lambda: kept.level),
        (lambda: kept.addHandler(logging.NullHandler()), lambda: kept.handlers[:]),
        (lambda: logging.getLogger().addHandler(logging.NullHandler()), lambda: logging.getLogger().handlers[:]),
        (lambda: logging.disable(logging.ERROR), lambda: logging.root.manager.disable),
        (imported, lambda: (sys.path[:], "of_this_test" in sys.modules)),
        (lambda: register_component(thing), components.names),
        (lambda: register_location(shelf), locations._kinds.copy),
        (lambda: secret_variable("GIVEN", "here"), lambda: without_known("before and after")),
    ]


def test_what_a_test_changes_is_put_back(tmp_path, changes):
    """One after the other, and all at once."""
    for change, tell in changes:
        before = tell()
        with restored(tmp_path):
            change()
            assert tell() != before
        assert tell() == before
    before = [tell() for _, tell in changes]
    with restored(tmp_path):
        for change, _ in reversed(changes):
            change()
    assert [tell() for _, tell in changes] == before


def test_what_is_said_once_in_a_process_is_said_once_in_a_test(tmp_path, caplog):
    """Which test comes first makes no difference."""
    for _ in range(2):
        caplog.clear()
        with restored(tmp_path):
            for _ in range(2):
                notebook._hint("a_package")
        assert len(caplog.records) == 1


def test_a_job_of_dagster_is_made_anew(tmp_path, monkeypatch):
    """Dagster keeps the last one by the name of its module, and hands it out although the module was forgotten."""
    reconstructable = pytest.importorskip("dagster").reconstructable
    (tmp_path / "of_this_test.py").write_text(
        "import os\nfrom dagster import graph\n\n\n@graph\ndef nothing():\n    pass\n\n\n"
        "def job():\n    return nothing.to_job(name='nothing', tags={'of': os.environ['OF']})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for of in ("one", "another"):
        with restored(tmp_path):
            monkeypatch.setenv("OF", of)
            job = reconstructable(import_module("of_this_test").job)
            assert job.get_definition().tags["of"] == of
