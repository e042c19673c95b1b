"""What a component is known by: its registered name and version, wherever its code is."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import cloudpickle
import pytest

from curator_core import Filter, Pipeline, register_component, run_pipeline
from curator_core.errors import ConfigError, DuplicateNameError
from curator_core.pipeline.registry import components
from curator_core.run.base import BUILT_IN_BACKENDS
from curator_core.testing import JsonSink, NumbersSource, registered

DOUBLE = """
from curator_core import Filter, register_component
class Double(Filter[int]):
    name = "double"
    def __call__(self, items):
        for item in items:
            yield 2 * item
"""


@pytest.fixture(autouse=True)
def registry():
    """Names that a test registers are forgotten."""
    with registered():
        yield


@pytest.fixture
def module(monkeypatch):
    """Makes a module of code."""

    def made(name, code):
        found = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, found)
        exec(code, vars(found))
        return found

    return made


def digest(step):
    return Pipeline(NumbersSource(1), [step], JsonSink("out")).config_hash


def test_a_registered_class_that_moves_keeps_its_hash(module):
    """Its name stands for a registered class; the module counts for one without a name."""
    found = {}
    for where in ("old_place", "new_place"):
        cls = module(where, DOUBLE).Double
        unregistered = digest(cls())
        with registered(cls):
            found[where] = (unregistered, digest(cls()))
    (old, old_registered), (new, new_registered) = found.values()
    assert old != new
    assert old_registered == new_registered not in {old, new}


def test_the_name_goes_with_a_class_that_is_sent_by_value(module):
    """A worker that gets a registered class by value, and never saw it registered, knows it by the same name."""
    step = register_component(module("sent_by_value", DOUBLE).Double)()
    cloudpickle.register_pickle_by_value(sys.modules["sent_by_value"])
    try:
        sent = cloudpickle.dumps(step)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules["sent_by_value"])
    code = (
        "import pickle, sys; from curator_core.pipeline.config import component_config; "
        "print(component_config(pickle.load(sys.stdin.buffer))['component'])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "double"


def test_a_subclass_does_not_inherit_the_registered_name(module):
    """What is registered is one class, not those that are made of it."""
    cls = register_component(module("some_place", DOUBLE).Double)
    assert digest(type("Other", (cls,), {})()) != digest(cls())


def test_a_class_that_is_defined_again_takes_its_place(module):
    """A notebook's cell is run twice; another class of that name is still refused."""
    register_component(module("cell", DOUBLE).Double)
    again = register_component(module("cell", DOUBLE).Double)
    assert components.get("double") is again
    with pytest.raises(DuplicateNameError, match=r"double.*cell:Double"):
        register_component(module("elsewhere", DOUBLE).Double)


def test_the_version_of_the_code_counts(tmp_path):
    """Raised, it makes another configuration, and the plan says so; without one nothing is written of it."""

    class Versioned(Filter[int]):
        def __call__(self, items):
            yield from items

    def pipeline():
        steps = [Versioned()]
        return Pipeline(NumbersSource(2), steps, JsonSink(str(tmp_path)), db_file=tmp_path / "m.db", resume=True)

    assert "version" not in pipeline().config["filters"][0]
    run_pipeline(pipeline(), progress=False)
    assert pipeline().plan().counts() == {"up to date": 2}
    Versioned.version = "2"
    assert pipeline().config["filters"][0]["version"] == "2"
    assert pipeline().plan().counts() == {"config changed": 2}
    Versioned.version = 3  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="Versioned: its version must be a text, such as '2', not 3"):
        pipeline().plan()


def test_what_an_earlier_development_version_recorded(tmp_path, caplog):
    """Results under configurations of another form are left alone, and one sentence says so."""
    pipeline = Pipeline(NumbersSource(2), [], JsonSink(str(tmp_path)), db_file=tmp_path / "m.db", resume=True)
    run_pipeline(pipeline, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        for place in ("pipeline.pipeline", "session.former_formats"):
            patch.setattr(f"curator_core.{place}.CONFIG_FORMAT", 3)
        assert pipeline.plan().counts() == {"config changed": 2}
    assert "m.db was begun by a development version of curator" in caplog.text
    caplog.clear()
    assert pipeline.plan().counts() == {"up to date": 2}
    assert caplog.text == ""


def test_what_the_core_brings_is_declared_once():
    """Its names are in its code alone; entry points declare what belongs to the package on top of it."""
    root = Path(__file__).parents[2]
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert "curator.components" not in declared
    assert declared["curator.backends"] == {"dagster": BUILT_IN_BACKENDS["dagster"]}


@pytest.fixture
def checkout(tmp_path):
    """Environment of a Python in which curator is no installed package, but a folder on the path."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for installed in (Path(folder) for folder in sys.path if folder.endswith("site-packages")):
        for path in installed.iterdir():
            if "curator" not in path.name and path.suffix not in (".pth", ".egg-link"):
                (packages / path.name).symlink_to(path)
    for name in ("curator_core", "curator_dagster"):
        (tmp_path / name).symlink_to(Path(__file__).parents[2] / name)
    return os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{packages}"}


LOOK = """
import importlib.metadata as metadata
from curator_core import list_backends, run_pipeline
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.pipeline.config import component_config
from curator_core.testing import JsonSink, NumbersSource
if __name__ == "__main__":
    print(list(metadata.distributions(name="curator-dagster")))
    print(component_config(StatisticsFilter("s.parquet"))["component"])
    print(*list_backends())
    pipeline = NumbersSource(2).write(JsonSink("out"))
    print(*[len(run_pipeline(pipeline, backend=name, n_jobs=2, progress=False)) for name in ("auto", "sequential")])
"""


def test_built_in_names_without_an_installation(checkout, tmp_path):
    """A checkout on the path runs pipelines by name of component and backend, hashed as in an installed one."""
    (tmp_path / "look.py").write_text(LOOK)
    command = [sys.executable, "-S", "look.py"]
    done = subprocess.run(command, cwd=tmp_path, env=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "statistics", " ".join(sorted(BUILT_IN_BACKENDS)), "2 2"]


def test_a_file_with_a_registered_name_is_read_in_a_process_that_never_saw_it(tmp_path, module):
    """The file says where the class is registered, for names that no installed package declares."""
    cls = module("shapes_of_mine", DOUBLE).Double
    path = tmp_path / "pipeline.yaml"
    pipeline = Pipeline(NumbersSource(1), [cls()], JsonSink("out"))
    with registered(cls):
        pipeline.save(path)
    again = Pipeline.load(path)
    assert type(again.filters[0]) is cls
    assert again.config_hash == pipeline.config_hash


def test_a_place_that_is_none_is_refused(tmp_path):
    """Where a class is registered is said as module:Class."""
    path = tmp_path / "pipeline.yaml"
    path.write_text("curator: 1\nsource: {component: nobody, from: [a], params: {}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'from' must be the module:Class of 'nobody'"):
        Pipeline.load(path)
