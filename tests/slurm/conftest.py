"""A real SLURM for the tests, and what they run on it."""

import contextlib
import importlib.util
import os
import shutil
import signal
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


@pytest.fixture
def disturb():
    """Kills or cancels something at random; what it was, or nothing if there was nothing."""

    def disturb(chance, word, modules):
        kind = chance.choice([*modules, "scancel a task", "scancel all"])
        if kind in modules:
            found = processes(kind, word)
            for pid in found[:1]:
                os.kill(pid, signal.SIGKILL)
            return kind if found else None
        command = ["squeue", "--noheader", "--array", "--format=%i"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        jobs = [job for job in listed if "_" in job] if kind == "scancel a task" else listed
        if jobs:
            subprocess.run(["scancel", *(jobs if kind == "scancel all" else [chance.choice(jobs)])], check=True)
        return kind if jobs else None

    return disturb


def processes(*words):
    """Python processes whose command line has all of these."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = entry.joinpath("cmdline").read_bytes().decode(errors="replace")
            if "python" in line.split("\0")[0] and all(word in line for word in words):
                found.append(int(entry.name))
    return found


_SPEC = importlib.util.spec_from_file_location(
    "dagster_conftest", Path(__file__).parents[1] / "dagster" / "conftest.py"
)
dagster_conftest = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = dagster_conftest
_SPEC.loader.exec_module(dagster_conftest)
project = dagster_conftest.project  # for what runs in Dagster
