"""The documentation names everything there is, and nothing that is not."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import curator_core
import curator_dagster
from curator_core import backends as kit
from curator_core import errors, workflow
from curator_core.cli import cli
from curator_core.pipeline.registry import BUILT_IN_COMPONENTS, components
from curator_core.run.base import BUILT_IN_BACKENDS, backends
from curator_core.store.columns import INDEX_RESULTS, SCHEMA_VERSION, TABLES
from curator_core.store.migrations import MIGRATIONS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ERRORS = sorted(
    name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, Exception)
)
COMMON_OPTIONS = {"-h", "--help", "-v", "--verbose", "--traceback"}
OPTIONS_OF_OTHERS = {"command", "use_tui"}
"""Of the backend that a page writes, and of what a page compares with."""
CODE = [path for package in ("curator_core", "curator_dagster") for path in (ROOT / package).rglob("*.py")]


def words(page):
    """Text of a reference page."""
    return (REFERENCE / page).read_text(encoding="utf-8")


def command_names():
    """All commands of the command line."""
    return cli.list_commands(click.Context(cli))


def options(command):
    """Option names of a command and its sub-commands, as typed; those that every command has left out."""
    found = cli.get_command(click.Context(cli), command)
    params = [*found.params, *(p for child in getattr(found, "commands", {}).values() for p in child.params)]
    names = {name for param in params if isinstance(param, click.Option) for name in param.opts}
    names |= {name for param in params if isinstance(param, click.Option) for name in param.secondary_opts}
    return names - COMMON_OPTIONS


def section(command):
    """What the reference says about a command."""
    found = re.search(rf"^## curator {command}$(.*?)(?=^## |\Z)", words("cli.md"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section 'curator {command}'"
    return found[1]


@pytest.mark.parametrize("command", command_names())
def test_every_option_of_a_command_is_documented(command):
    """The section of a command lists all its options and no others."""
    first_cells = "".join(re.findall(r"^\| .*?\|", section(command), re.MULTILINE))
    documented = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", first_cells))
    assert documented == options(command)


def code_of(page):
    """What a page shows as code: each line of a block, each span between backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + [" ".join(span.split()) for span in spans]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_of_commands_exist(page):
    """Whatever a page types behind a command of ours is an option of that command."""
    unknown = []
    for line in code_of(page):
        for command, rest in re.findall(r"\bcurator ([a-z]+)\b([^;&|>]*)", line):
            if command in command_names():
                typed = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", rest))
                unknown += [(command, name) for name in typed - options(command) - COMMON_OPTIONS]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_of_runs_exist(page):
    """Whatever a page gives to `run_pipeline` is an argument of its, or an option of the backend that it names."""
    own = set(inspect.signature(curator_core.run_pipeline).parameters) - {"backend_kwargs"}
    unknown = []
    for call in re.findall(r"\brun_pipeline\(((?:[^()]|\([^()]*\))*)\)", page.read_text(encoding="utf-8")):
        outer = re.sub(r"\([^()]*\)|\[[^\]]*\]|\{[^}]*\}", "", call)
        (named,) = re.findall(r"\bbackend=\"(\w+)\"", outer) or [None]
        known = [backends.get(named)] if named in BUILT_IN_BACKENDS else map(backends.get, BUILT_IN_BACKENDS)
        taken = own | {option for backend in known for option in backend.options}
        unknown += [name for name in re.findall(r"\b(\w+)=", outer) if name not in taken | OPTIONS_OF_OTHERS]
    assert unknown == []


def test_the_options_of_backends_are_listed():
    """The page on backends has each with what its class says of it, and no other."""
    page = (ROOT / "docs" / "how-to" / "backends.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    declared = [(name, *option) for name in BUILT_IN_BACKENDS for option in _described(name)]
    assert sorted(listed) == sorted(declared)


def _described(backend):
    cls = backends.get(backend)
    return [(name, cls.declared_option(name).description) for name in cls.options]


@pytest.mark.parametrize("name", kit.__all__)
def test_every_name_of_the_kit_is_documented(name):
    """The reference shows it, here or among the names at the top."""
    reference = words("core.md")
    assert f"::: curator_core.backends.{name}\n" in reference or f"::: curator_core.{name}\n" in reference


def test_every_documented_command_exists():
    """The reference has no section of a command that is gone."""
    assert set(re.findall(r"^## curator (\w+)$", words("cli.md"), re.MULTILINE)) == set(command_names())


@pytest.mark.parametrize("backend", [*backends.names(), "auto"])
def test_every_backend_is_documented(backend):
    """The reference of the command line lists it."""
    assert f"| `{backend}` |" in section("backends")


@pytest.mark.parametrize("component", BUILT_IN_COMPONENTS)
def test_every_component_is_documented(component):
    """The reference of the core shows the class of every registered component."""
    assert f".{components.get(component).__name__}\n" in words("core.md")


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_documented(error):
    """The table of errors has a line of it."""
    assert f"| `{error}` |" in words("errors.md")


def test_every_error_of_another_module_is_documented():
    """The table of errors has a line of each that is derived from one of those above."""
    text = "".join(path.read_text(encoding="utf-8") for path in CODE)
    derived = re.findall(rf"^class (\w+)\((?:.*\b)?(?:{'|'.join(ERRORS)})\b.*\):", text, re.MULTILINE)
    derived += re.findall(rf"^class (\w+)\((?:{'|'.join(derived)})\):", text, re.MULTILINE)
    assert {"SlurmError", "SlurmAwayError", "EventLogError"} <= set(derived)
    assert [name for name in derived if f"| `{name}` |" not in words("errors.md")] == []


@pytest.mark.parametrize("name", curator_core.__all__)
def test_every_public_name_of_the_core_is_documented(name):
    """The reference shows it."""
    assert f"::: curator_core.{name}\n" in words("core.md")


@pytest.mark.parametrize("name", workflow.__all__)
def test_every_public_name_of_workflows_is_documented(name):
    """The reference shows it."""
    assert f"::: curator_core.workflow.{name}\n" in words("workflow.md")


@pytest.mark.parametrize("name", curator_dagster.__all__)
def test_every_public_name_for_dagster_is_documented(name):
    """The reference shows it."""
    assert f"::: curator_dagster.{name}\n" in words("dagster.md")


def rows_of(table):
    """Lines of the reference on the columns of a table."""
    for column in table.columns:
        null = ", may be NULL" if column.may_be_null else ""
        yield f"| `{column.name}` | {column.sqlite_type}{null} | {described(column)} |"


def described(column):
    """What the reference says about a column."""
    return f"{column.what}. ISO-8601, UTC" if column.kind == "time" else column.what


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_of_a_table_is_documented(table):
    """The section of a table says of its columns what their declarations do; the lines that belong there are shown."""
    section = re.search(rf"^## {table.name}$(.*?)(?=^## |\Z)", words("database.md"), re.MULTILINE | re.DOTALL)[1]
    lines = [line for line in section.strip().splitlines() if line]
    wanted = [table.what, "| column | type | |", "|---|---|---|", *rows_of(table)]
    assert lines == wanted, "\n".join([f"docs/reference/database.md, section {table.name}, is to be:", *wanted])


def test_every_version_of_the_database_is_documented():
    """The reference has a line on every schema version, and names the present one."""
    text = words("database.md")
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(step.version) for step in MIGRATIONS]
    assert f"version of the schema, now {SCHEMA_VERSION}." in text


def test_every_exported_column_is_documented():
    """The reference of `curator export` names its columns, in their order."""
    named = re.findall(r"`(\w+)`", section("export").partition("Rows are written")[0])
    exported = [name for _, name, _ in INDEX_RESULTS.exported]
    assert [name for name in named if name in exported] == exported


def test_every_environment_variable_is_documented():
    """Whatever the code reads from the environment has a line."""
    text = "".join(path.read_text(encoding="utf-8") for path in CODE)
    constants = dict(re.findall(r"^([A-Z_]+) = \"(\w+)\"", text, re.MULTILINE))
    read = set(re.findall(r"environ(?:\.(?:get|pop)\(|\[)\"?(\w+)", text)) - {"name"}
    read = {constants.get(name, name) for name in read} | {name for name in constants.values() if "CURATOR_" in name}
    assert {name for name in read if f"| `{name}` |" not in words("environment.md")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_make_targets_exist(page):
    """Every `make` command of a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_links_of_the_readme_lead_somewhere():
    """Every relative link and picture of the README is a file of the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_the_readme_leads_to_every_page():
    """Every page of the documentation but its home, which the README is itself, has a link."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT).as_posix() for page in PAGES[1:] if page.name != "index.md"]
    assert [page for page in pages if f"]({page})" not in text] == []


@pytest.mark.campaign
def test_the_documentation_builds(tmp_path):
    """The strict build has no warning: links, anchors and references of the API hold; nothing comes from elsewhere."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assets = r"<(?:script|img|iframe)[^>]+src=\"https?:|<link[^>]+rel=\"(?:stylesheet|preconnect)\"[^>]+href=\"https?:"
    built = list((tmp_path / "site").rglob("*.html"))
    assert [page.name for page in built if re.search(assets, page.read_text(encoding="utf-8"))] == []
