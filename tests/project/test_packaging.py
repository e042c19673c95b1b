"""Import cost and entry points."""

from __future__ import annotations

import subprocess
import sys

import pytest

import curator_core
from curator_core import get_backend
from curator_core.errors import ConfigError
from curator_core.pipeline.registry import Registry, components
from curator_core.run.base import backends
from curator_core.testing import registered

HEAVY = (
    "asyncio",
    "dagster",
    "pandas",
    "zarr",
    "dask",
    "numpy",
    "torch",
    "ase",
    "pyarrow",
    "rich",
    "pytest",
    "hypothesis",
)


@pytest.mark.parametrize(
    "statement",
    [
        "import curator_core",
        "from curator_core import Pipeline, run_pipeline",
        "import curator_core.testing",
    ],
)
def test_import_is_cheap(statement):
    """Importing the core loads nothing heavy."""
    code = f"{statement}; import sys; print(*(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_public_names():
    """Every public name can be had, and an unknown one is an AttributeError."""
    for name in curator_core.__all__:
        assert getattr(curator_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = curator_core.nothing


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed third-party package with a component and backends."""
    info = tmp_path / "thirdparty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[curator.components]\ntheir_source = thirdparty:TheirSource\nno_component = thirdparty:nothing\n"
        "[curator.backends]\ntheirs = thirdparty:Theirs\nbroken = thirdparty_missing:Broken\n"
    )
    (tmp_path / "thirdparty.py").write_text(
        "from curator_core import RunBackend\n"
        "from curator_core.testing import NumbersSource\n"
        "nothing = 3\n"
        "class TheirSource(NumbersSource):\n    name = 'their_source'\n"
        "class Theirs(RunBackend):\n    name = 'theirs'\n"
        "    def run(self, pipeline, config): return [pipeline[i] for i in config.indices]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in (components, backends):
        monkeypatch.setattr(registry, "_found", None)
    with registered():
        yield


def test_third_party_component(package, tmp_path):
    """A component of another package is known by its entry point's name, also in files."""
    source = components.get("their_source")(2)
    pipeline = curator_core.Pipeline(source)
    pipeline.save(tmp_path / "p.yaml")
    assert "component: their_source" in (tmp_path / "p.yaml").read_text()
    assert type(curator_core.Pipeline.load(tmp_path / "p.yaml").source) is type(source)


def test_third_party_backend(package, tmp_path):
    """A backend of another package runs by name."""
    from curator_core.testing import JsonSink, NumbersSource

    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "out")))
    assert len(curator_core.run_pipeline(pipeline, backend="theirs", progress=False)) == 2


def test_entry_point_that_cannot_be_loaded(package):
    """A broken package is told with the entry point's name and place."""
    with pytest.raises(ConfigError, match="Cannot load the backend 'broken' from 'thirdparty_missing:Broken'"):
        get_backend("broken")


def test_broken_package_does_not_hide_the_others(package):
    """Backends that cannot be loaded are listed as unavailable."""
    listed = curator_core.list_backends()
    assert listed["broken"]["available"] is False
    assert "Cannot load" in listed["broken"]["description"]
    assert listed["sequential"]["available"] is True


def test_entry_point_that_is_no_component(package):
    """An entry point that gives something else is refused."""
    with pytest.raises(ConfigError, match="gives 3, no subclass of Component"):
        components.get("no_component")


def test_registry_refuses_other_classes():
    """Only subclasses of the registry's base can be registered."""
    registry = Registry("thing", "curator.things", NumbersLike)
    with pytest.raises(ConfigError, match="must be a subclass of NumbersLike"):
        registry.register("x", int)
    registry.register("x", NumbersLike)
    assert registry.register("x", NumbersLike) is NumbersLike


class NumbersLike:
    """A base for the registry under test."""
