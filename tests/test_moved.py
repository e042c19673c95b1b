"""Former names of modules: old pickles, submitted job scripts and code of others find what has moved."""

import pickle
import re
import subprocess
import sys
from importlib import import_module

import pytest

from curator_core.moved import former_name, former_names

FORMER = [
    ("curator_core.gather", "gather_pipeline", "curator_core.run.gathering"),
    ("curator_core.shards", "ShardArchive", "curator_core.merge.archive"),
    ("curator_core.workflow.samples", "ExperimentSample", "curator_core.experiments.sample"),
    ("curator_core.workflow.orchestrator", "main", "curator_core.workflow.slurm.orchestrator"),
    ("curator_core.run.board", "Heartbeats", "curator_core.run.workers.heartbeats"),
]
PACKAGES = [
    ("curator_core.pipeline", "Pipeline", "curator_core.pipeline.pipeline"),
    ("curator_core.filters.statistics", "StatisticsFilter", "curator_core.filters.statistics.filter"),
    ("curator_core.run.backends.slurm", "SlurmBackend", "curator_core.run.backends.slurm.backend"),
    ("curator_dagster.backend", "DagsterBackend", "curator_dagster.backend.backend"),
    ("curator_dagster.curation", "Curation", "curator_dagster.curation.curation"),
    ("curator_dagster.checks", "BUILT_IN_CHECKS", "curator_dagster.checks.spec"),
    ("curator_dagster.automation", "dataset_condition", "curator_dagster.automation.condition"),
    ("curator_dagster.component", "CurationComponent", "curator_dagster.component.component"),
]


@pytest.fixture
def forgotten():
    """Forget the former names that were imported already."""
    for name in former_names():
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("former", "attribute", "now"), FORMER)
@pytest.mark.usefixtures("forgotten")
def test_former_name_is_the_same_module(former, attribute, now):
    """It is imported, with one sentence that names the new place."""
    with pytest.warns(DeprecationWarning, match=f"{re.escape(former)} has moved: import {re.escape(now)}"):
        found = import_module(former)
    assert found is import_module(now)
    assert hasattr(found, attribute)
    assert found.__spec__.name == now


@pytest.mark.parametrize(("package", "attribute", "now"), PACKAGES)
def test_module_that_is_a_package_now(package, attribute, now):
    """What was in it is found there still."""
    assert getattr(import_module(package), attribute) is getattr(import_module(now), attribute)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = import_module(package).nothing


@pytest.mark.usefixtures("forgotten")
def test_every_former_name_is_found():
    """Nothing in the tables is out of date."""
    for former, now in former_names().items():
        with pytest.warns(DeprecationWarning, match=f"{re.escape(former)} has moved"):
            assert import_module(former) is import_module(now)


@pytest.mark.usefixtures("forgotten")
def test_pickles_of_before():
    """A pickle names the module that a class was in."""
    from curator_core.experiments.sample import JobStatus

    now = pickle.dumps(JobStatus.OPEN, protocol=0)
    before = now.replace(b"curator_core.experiments.sample", b"curator_core.workflow.samples")
    assert before != now
    with pytest.warns(DeprecationWarning, match=r"curator_core\.workflow\.samples has moved"):
        assert pickle.loads(before) is JobStatus.OPEN


@pytest.mark.parametrize("module", ["curator_core.workflow.orchestrator", "curator_core.run.slurm_task"])
def test_submitted_scripts(module, tmp_path):
    """`python -m` with a former name, as scripts say that wait in a queue, runs the module."""
    now = {former: now for former, _, now in FORMER}.get(module, "curator_core.run.backends.slurm.task")
    said = [
        subprocess.run([sys.executable, "-m", name], cwd=tmp_path, capture_output=True, text=True, check=False)
        for name in (module, now)
    ]
    assert said[0].returncode == said[1].returncode
    assert said[0].stderr.splitlines()[-1] == said[1].stderr.splitlines()[-1]


def test_identities_stay():
    """What is identified by its module has the identity that it had before."""
    assert former_name("curator_core.filters.statistics.split") == "curator_core.filters.split"
    assert former_name("my.module") == "my.module"


def test_a_class_under_its_former_name():
    """`Workers` of run configurations is found still, with one sentence that names `BackendChoice`."""
    config = import_module("curator_core.run.config")
    with pytest.warns(DeprecationWarning, match="Workers is BackendChoice now"):
        former = config.Workers
    assert former is config.BackendChoice
    with pytest.raises(AttributeError, match="no attribute 'Worker'"):
        config.Worker  # noqa: B018
