"""`curator components` and `curator backends`."""

import json
from importlib.metadata import EntryPoint

import pytest

from curator_core.pipeline.components import Component
from curator_core.pipeline.registry import components
from curator_core.run.base import backends

NEEDS_ASE = """
from curator_core.errors import MissingDependencyError
raise MissingDependencyError.of("ase", "atoms", "ase_lmdb")
"""


@pytest.fixture
def fake_entries(monkeypatch, folder):
    """Registries that know no other entry points than those added by calling it."""
    found = {"component": {}, "backend": {}}
    for kind, registry in (("component", components), ("backend", backends)):
        monkeypatch.setattr(registry, "_found", found[kind])
        monkeypatch.setattr(registry, "_classes", {})
    monkeypatch.syspath_prepend(folder)

    def add(kind, name, code):
        module = f"fake_{kind}_{name}"
        (folder / f"{module}.py").write_text(code)
        found[kind][name] = EntryPoint(name, f"{module}:Thing", f"curator.{kind}s")

    return add


def test_components_show_kind_and_description(curator, fake_entries):
    """A component is listed with its kind and description."""
    from cli_parts import Numbers

    class Listed(Numbers):  # of its own: a class keeps the name that it was registered under
        pass

    components.register("numbers", Listed)
    assert curator("components").out.splitlines() == [
        "component  kind    description",
        "numbers    source  Whole numbers.",
    ]


def test_component_with_a_missing_library_is_listed(curator, fake_entries):
    """One whose library is missing is listed as unavailable, with the extra that brings it."""
    fake_entries("component", "ase_lmdb", NEEDS_ASE)
    result = curator("components")
    assert result.code == 0
    assert "ase_lmdb   unavailable  ase_lmdb needs ase. Install it with: pip install" in result.out


def test_component_that_cannot_be_imported_is_listed(curator, fake_entries):
    """A broken one of another package harms no other."""
    fake_entries("component", "odd", "1 / 0")
    (entry,) = json.loads(curator("components", "--json").out)
    assert entry == {
        "name": "odd",
        "kind": None,
        "description": "",
        "available": False,
        "reason": "cannot be loaded: ZeroDivisionError: division by zero",
    }


def test_unavailable_component_is_one_line_when_asked_for(curator, fake_entries):
    """Asking for one whose library is missing says what to install."""
    fake_entries("component", "ase_lmdb", NEEDS_ASE)
    result = curator("components", "ase_lmdb")
    assert result.code == 2
    assert result.err == "error: ase_lmdb needs ase. Install it with: pip install 'curator-dagster[atoms]'\n"


def test_parameters_of_a_component(curator):
    """With a name, every parameter is shown with type, default, choices and description; secrets are hidden."""
    assert curator("components", "cli_parts:Knobs").out.splitlines() == [
        "cli_parts:Knobs (filter, cli_parts:Knobs)",
        "Many parameters.",
        "",
        "parameter  type              default   description",
        "level      float             required  How much.",
        "mode       'fast' | 'exact'  'fast'    Which way. One of 'fast', 'exact'.",
        "token      str               (secret)  A password.",
    ]


def test_parameters_as_json(curator):
    """--json gives the parameters for scripts, without the secret's value."""
    data = json.loads(curator("components", "cli_parts:Knobs", "--json").out)
    assert [param["name"] for param in data["params"]] == ["level", "mode", "token"]
    assert data["params"][1]["choices"] == ["fast", "exact"]
    assert data["params"][0]["required"] is True
    assert "hush" not in json.dumps(data)


def test_component_without_parameters(curator, fake_entries):
    """A component without parameters says so."""

    class Bare(Component):
        pass

    components.register("bare", Bare)
    assert "It has no parameters.\n" in curator("components", "bare").out


def test_class_of_the_current_folder_is_found(executable, folder):
    """module:Class is looked for in the current folder."""
    (folder / "local_parts.py").write_text("from cli_parts import Numbers\nclass Mine(Numbers): name = 'mine'\n")
    assert executable("components", "local_parts:Mine").out.startswith("local_parts:Mine (source, ")


def test_backends_are_listed(curator):
    """Every backend is listed with its availability."""
    assert "sequential" in curator("backends").out
    data = json.loads(curator("backends", "--json").out)
    assert data["sequential"]["available"] is True
    assert data["sequential"]["requires"] == []


def test_backend_that_cannot_be_imported_is_listed(curator, fake_entries):
    """A broken backend of another package is listed with the reason."""
    fake_entries("backend", "odd", "1 / 0")
    assert curator("backends").out.splitlines()[1] == (
        "odd      no         cannot be loaded: ZeroDivisionError: division by zero"
    )
