"""`curator sync`: partition keys from the command line."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from curator_core.cli import cli, main

LOCATION = """
from dagster import Definitions, definitions, in_process_executor
from curator_core import Pipeline
from curator_core.testing.dummies import FileSource, JsonSink
from curator_dagster import build_curation_defs

def curation(name):
    def pipeline():
        return Pipeline(FileSource(name), sink=JsonSink("out"), db_file="m.db")

    return build_curation_defs(name, pipeline, executor=in_process_executor)

def both():
    return Definitions.merge(curation("one"), curation("two"))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two folders of files, a Dagster home, and modules with definitions of both."""
    for name, files in (("one", "abc"), ("two", "xy")):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / f"{file}.txt").write_text("1")
    (tmp_path / "home").mkdir()
    (tmp_path / "synced_location.py").write_text(f"{LOCATION}\ndefs = both()\n")
    (tmp_path / "lazy_location.py").write_text(f"{LOCATION}\n@definitions\ndef defs():\n    return both()\n")
    (tmp_path / "two_locations.py").write_text(f'{LOCATION}\none = curation("one")\ntwo = curation("two")\n')
    (tmp_path / "no_curation.py").write_text("from dagster import Definitions\ndefs = Definitions()\n")
    (tmp_path / "no_dagster.py").write_text("")
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def sync(folder, capsys, monkeypatch):
    """Run ``curator sync``: its exit status, what it prints, and its error."""
    entry = EntryPoint("sync", "curator_dagster.cli.sync:sync_command", "curator.commands")
    monkeypatch.setitem(cli.__dict__, "_foreign", {"sync": entry})

    def run(*words):
        capsys.readouterr()
        code = main(["sync", *words])
        out, err = capsys.readouterr()
        return code, [line.split() for line in out.splitlines()[1:]], err

    return run


def partitions(name):
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        return instance.get_dynamic_partitions(name)


def test_the_items_of_all_curations_are_registered(sync, folder):
    """Added once, then up to date; nothing is processed."""
    assert sync("-m", "synced_location") == (0, [["one", "3", "0", "3"], ["two", "2", "0", "2"]], "")
    assert partitions("one") == ["a.txt", "b.txt", "c.txt"]
    assert partitions("two") == ["x.txt", "y.txt"]
    assert sync("-m", "synced_location") == (0, [["one", "0", "0", "3"], ["two", "0", "0", "2"]], "")
    assert not (folder / "m.db").exists()
    assert not (folder / "out").exists()


def test_vanished_items_go_only_when_that_is_asked_for(sync, folder):
    """Without --prune their partitions stay."""
    assert sync("-m", "synced_location", "one")[0] == 0
    (folder / "one" / "b.txt").unlink()
    (folder / "one" / "d,e.txt").write_text("1")
    assert sync("-m", "synced_location", "one")[1] == [["one", "1", "0", "4"]]
    assert sync("-m", "synced_location", "one", "--prune")[1] == [["one", "0", "1", "3"]]
    assert "b.txt" not in partitions("one")
    assert [key for key in partitions("one") if key.startswith("d_e.txt~")]
    assert partitions("two") == []


@pytest.mark.parametrize(
    "where",
    [
        ("-f", "synced_location.py", "two"),
        ("-m", "lazy_location", "two"),
        ("-m", "two_locations", "-a", "two"),
        ("-m", "synced_location", "-a", "both", "two"),
    ],
)
def test_definitions_are_found_as_dagster_finds_them(sync, where):
    """In a module or a file, by name or alone in it, at once or when they are called for."""
    assert sync(*where) == (0, [["two", "2", "0", "2"]], "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Say where the definitions are: -m MODULE or -f FILE."),
        (("-m", "synced_location", "-f", "synced_location.py"), "Say where the definitions are"),
        (("-m", "no_such_module"), "no_such_module cannot be imported: ModuleNotFoundError"),
        (("-m", "broken"), "No module named 'no_such_library'"),
        (("-f", "absent.py"), "'absent.py' does not exist"),
        (("-f", "home"), "is a directory"),
        (("-m", "two_locations"), "two_locations: Cannot have more than one Definitions object"),
        (("-m", "no_curation"), "no_curation: no curation in these definitions"),
        (("-m", "no_dagster"), "no_dagster: No Definitions"),
        (("-m", "synced_location", "-a", "LOCATION"), "Unknown attribute of synced_location 'LOCATION'. Known: "),
        (("-m", "synced_location", "tow"), "Unknown curation 'tow'. Known: two, one."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(sync, words, said):
    """Exit status 2, nothing registered."""
    code, rows, err = sync(*words)
    assert (code, rows) == (2, [])
    assert said in err
    assert len(err.splitlines()) == 1
    assert partitions("one") == []


def test_an_empty_source_takes_nothing_away(sync, folder):
    """A folder that is not mounted is an error, not a reason to remove partitions."""
    assert sync("-m", "synced_location", "one")[0] == 0
    (folder / "one").rename(folder / "elsewhere")
    code, rows, err = sync("-m", "synced_location", "one", "--prune")
    assert (code, rows) == (2, [])
    assert err.startswith("error: ")
    assert len(partitions("one")) == 3


WORKFLOW = """
from pathlib import Path
from dagster import Definitions, in_process_executor
from curator_core.workflow import Step, Workflow
from curator_dagster import build_workflow_defs
from synced_location import curation

def nothing(project_dir): ...

def study(name, folder):
    place = {"rootdir": Path(folder).absolute(), "project_job": "job", "executor": in_process_executor}
    return build_workflow_defs(name, Workflow("w", [Step(nothing)]), **place)

defs = Definitions.merge(curation("one"), study("study", "jobs"))

def moved():
    return study("study", "elsewhere")

def clash():
    return Definitions.merge(curation("one"), study("one", "jobs"))
"""


def test_the_experiments_of_workflows_are_registered(sync, folder):
    """As their tables are, in whichever folder; another workflow of the name removes them once it takes over."""
    pytest.importorskip("pandas")
    from curator_core.workflow import Domain, ExperimentData

    def store(place, n):
        domain = Domain()
        domain.add_int("x", 0, 9)
        ExperimentData(domain, [{"x": k} for k in range(n)]).store(folder / place / "job")

    (folder / "study_location.py").write_text(WORKFLOW)
    store("jobs", 3)
    assert sync("-m", "study_location") == (0, [["one", "3", "0", "3"], ["study", "3", "0", "3"]], "")
    moved = ("-m", "study_location", "-a", "moved", "--prune")
    code, rows, err = sync(*moved)
    assert (code, rows) == (2, [])  # as nothing is there, the folder may be missing
    assert f"'study' has no experiments in {folder}/elsewhere/job: nothing is removed." in err
    store("elsewhere", 1)
    code, rows, err = sync(*moved)
    assert (code, rows) == (0, [["study", "0", "0", "3"]])
    assert f"The name 'study' is used by others on this instance, too: the workflow in {folder}/jobs/job" in err
    assert sync(*moved, "--take-over") == (0, [["study", "0", "2", "1"]], "")
    code, _, err = sync("-m", "study_location", "-a", "clash")
    assert code == 2
    assert "study_location: a curation and a workflow are both named 'one', and share partitions" in err


@pytest.mark.parametrize(
    ("home", "said"),
    [(None, "DAGSTER_HOME"), ("relative", "must be an absolute path"), ("/no/such/folder", "/no/such/folder")],
)
def test_without_an_instance_it_says_what_to_set(sync, monkeypatch, home, said):
    """$DAGSTER_HOME is the one place where Dagster's command line looks."""
    if home is None:
        monkeypatch.delenv("DAGSTER_HOME")
    else:
        monkeypatch.setenv("DAGSTER_HOME", home)
    code, rows, err = sync("-m", "synced_location")
    assert (code, rows) == (2, [])
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_broken_dagster_yaml_is_said_in_one_line(sync, folder):
    """It is the instance that is wrong, not the definitions."""
    (folder / "home" / "dagster.yaml").write_text("no_such_setting: 1\n")
    code, _, err = sync("-m", "synced_location")
    assert code == 2
    assert "no_such_setting" in err
    assert len(err.splitlines()) == 1


def test_the_command_is_listed_without_loading_dagster():
    """Help and completion stay quick."""
    code = "import sys, curator_dagster.cli.sync; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
