"""Others that use a name on an instance: both sides say so, and no one's partitions are removed by another."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, in_process_executor

pytest.importorskip("pandas")

from curator_core import Pipeline
from curator_core.pipeline import canonical_json, component_config
from curator_core.testing.dummies import FileSource, JsonSink
from curator_core.workflow import Block, Domain, ExperimentData, Step, Workflow
from curator_dagster import build_curation_defs, build_workflow_defs
from curator_dagster._compat.notes import write_note  # noqa: PLC2701 - what an earlier release wrote

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
NAME = "rain"


class Rows(Block):
    """A table of so many experiments."""

    def __init__(self, n):
        self.n = n

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 1000)
        return ExperimentData(domain, [{"x": k} for k in range(self.n)])


@dataclass
class Shared:
    """An instance, and what runs on it under one name."""

    folder: Path
    instance: DagsterInstance

    def files(self, place, *names):
        """The folder of a curation, with these files and no others."""
        found = self.folder / place
        found.mkdir(exist_ok=True)
        for path in found.iterdir():
            path.unlink()
        for name in names:
            (found / name).write_text("1")
        return found

    def curation(self, place, db=None, **settings):
        source, sink = FileSource(str(self.folder / place)), JsonSink(str(self.folder / f"{place}.out"))
        pipeline = Pipeline(source, sink=sink, db_file=self.folder / f"{db or place}.db")
        return build_curation_defs(NAME, pipeline, executor=in_process_executor, **settings)

    def workflow(self, place, n=2, **settings):
        workflow = Workflow("made", [Step(Rows(n))])
        given: dict[str, Any] = {"rootdir": self.folder / place, "executor": in_process_executor} | settings
        return build_workflow_defs(NAME, workflow, **given)

    def run(self, defs):
        """Run the one job; what it said of others."""
        (job,) = [job.name for job in defs.jobs if job.name.endswith(("_refresh", "_run"))]
        result = defs.resolve_job_def(job).execute_in_process(instance=self.instance, run_config=QUIET)
        return self.said(result.run_id)

    def said(self, run_id):
        logs = [entry.user_message for entry in self.instance.all_logs(run_id)]
        return "".join(text for text in logs if "is used by others" in text)

    @property
    def partitions(self):
        return set(self.instance.get_dynamic_partitions(NAME))


@pytest.fixture
def shared(tmp_path):
    with DagsterInstance.ephemeral() as instance:
        yield Shared(tmp_path, instance)


def test_a_curation_and_a_workflow(shared):
    """The second is told, the first at its next run; both prune, and neither removes what the other has."""
    shared.files("texts", "a.txt", "b.txt")
    curation, workflow = shared.curation("texts", prune=True), shared.workflow("jobs", prune=True)
    assert shared.run(curation) == ""
    said = shared.run(workflow)
    assert re.search(
        rf"The name 'rain' is used by others on this instance, too: a curation of FileSource\(.*texts.*, recorded in "
        rf".*texts\.db \(last on \d{{4}}-\d\d-\d\d\)\. They share partitions and history; of theirs none is removed\. "
        rf".* curator sync --prune --take-over {NAME}$",
        said,
    )
    assert shared.partitions == {"a.txt", "b.txt", "0", "1"}
    shared.files("texts", "a.txt", "c.txt")
    assert f"the workflow in {shared.folder}/jobs/rain (last on" in shared.run(curation)
    assert shared.partitions == {"a.txt", "c.txt", "0", "1"}  # its own that vanished is removed still


def test_two_workflows(shared):
    """Of one name, in two code locations with a folder each; the same one from two locations is one."""
    assert shared.run(shared.workflow("one", 3, prune=True)) == ""
    assert shared.run(shared.workflow("one", 3, prune=True, key_prefix="lab")) == ""
    assert f"the workflow in {shared.folder}/one/rain" in shared.run(shared.workflow("two", 1, prune=True))
    assert shared.partitions == {"0", "1", "2"}
    assert f"the workflow in {shared.folder}/two/rain" in shared.run(shared.workflow("one", 3))


def test_two_curations_of_one_source(shared):
    """They differ in where they record: production and a branch that read one folder."""
    shared.files("texts", "a.txt")
    assert shared.run(shared.curation("texts")) == ""
    said = shared.run(shared.curation("texts", db="branch"))
    assert f"recorded in {shared.folder}/texts.db (last" in said
    assert "removed" not in said  # by neither


def test_a_run_of_partitions_says_it_too(shared):
    """A curation that is only ever launched from its page registers nothing, and uses the name all the same."""
    shared.files("texts", "a.txt")
    shared.run(shared.workflow("jobs"))
    shared.instance.add_dynamic_partitions(NAME, ["a.txt"])
    job = shared.curation("texts").resolve_implicit_global_asset_job_def()
    samples = [AssetKey([NAME, "samples"])]
    ran = job.execute_in_process(
        instance=shared.instance, asset_selection=samples, partition_key="a.txt", run_config=QUIET
    )
    assert "the workflow in" in shared.said(ran.run_id)
    shared.run(shared.workflow("jobs", prune=True))
    assert shared.partitions == {"a.txt", "0", "1"}


def test_nobody_is_forgotten_but_an_earlier_self(shared):
    """A source that had nothing new for long is still there; what an earlier release noted of this one is no other."""
    source = component_config(FileSource(str(shared.files("texts", "a.txt"))))
    earlier = hashlib.sha256(canonical_json(source).encode()).hexdigest()[:16]
    for signature, said in ((earlier, "FileSource(itself)"), ("0" * 16, "FileSource(another)")):
        write_note(shared.instance, f"sources/{NAME}", signature, {"source": said, "seen": 86_400.0})
    said = shared.run(shared.curation("texts"))
    assert "too: FileSource(another) (last on 1970-01-02). They" in said
