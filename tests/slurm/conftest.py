"""A real SLURM for the tests, and what they run on it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.slurm_daemons import SlurmDaemons
from curator_core import run_pipeline
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.testing import FaultySource, FileSource, JsonSink


def need(*programs):
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", *programs) if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("not root: slurmd runs the jobs of others")


@pytest.fixture(scope="session")
def slurm_daemons():
    """A cluster without accounting, as the simplest ones are."""
    need()
    with SlurmDaemons() as daemons:
        daemons.start()
        yield daemons


@pytest.fixture(scope="session")
def accounting_daemons():
    """A cluster with accounting, that runs jobs of the account ``lab`` alone."""
    need("slurmdbd", "mariadbd", "mariadb-install-db")
    with SlurmDaemons() as daemons:
        daemons.start(accounting=True)
        daemons.ask("sacctmgr", "--immediate", "add", "account", "lab", "Cluster=tests")
        daemons.ask("sacctmgr", "--immediate", "add", "user", "root", "Account=lab", "Cluster=tests")
        yield daemons


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """The cluster as a user describes it; nothing of other tests is in its queue."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_daemons.configuration))
    yield SlurmCluster(account="", runner=f"'{sys.executable}'")
    subprocess.run(["scancel", "--me"], check=True, capture_output=True)


@pytest.fixture
def accounted(accounting_daemons, monkeypatch):
    """The cluster with accounting as a user describes it."""
    monkeypatch.setenv("SLURM_CONF", str(accounting_daemons.configuration))
    yield SlurmCluster(account="lab", runner=f"'{sys.executable}'")
    subprocess.run(["scancel", "--me"], check=True, capture_output=True)


@pytest.fixture
def resources():
    """Little enough for any machine."""
    return SlurmResources(time="00:05:00", mem="100M")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of twelve files, of which every part of the name means something to a shell or to SLURM."""
    folder = tmp_path / "it's $(touch oh no) %j"
    (folder / "in").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for number in range(12):
        (folder / "in" / f"f{number:02d}.txt").write_text(f"{number} {number + 1}")
    return folder


@pytest.fixture
def run(slurm, resources):
    """Runs a pipeline on SLURM."""

    def run(faults=None, source=None, pause_s=0.0, **options):
        source = FaultySource(source or FileSource("in", by_content=True), "log", faults, pause_s)
        pipeline = source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True)
        given = {"cluster": slurm, "resources": resources} | options
        return run_pipeline(pipeline, backend="slurm", progress=False, **given)

    return run


_SPEC = importlib.util.spec_from_file_location(
    "dagster_conftest", Path(__file__).parents[1] / "dagster" / "conftest.py"
)
dagster_conftest = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = dagster_conftest
_SPEC.loader.exec_module(dagster_conftest)
project = dagster_conftest.project  # for what runs in Dagster
