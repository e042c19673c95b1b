"""What a person reads in Dagster's pages: which file, how long, what went wrong, what changed."""

import logging
import re
import shlex
import time
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    MetadataValue,
    RunsFilter,
    TimestampMetadataValue,
    in_process_executor,
)

from curator_core import Filter, Pipeline
from curator_core.datasets import Changes, diff_versions, list_versions
from curator_core.testing import DatasetSink, FaultySource, FileSource
from curator_dagster import build_curation_defs
from curator_dagster.curation.failing import FAILED_TAG, MAX_SUMMARY, NOTHING
from curator_dagster.metadata import item

SAMPLES, DATASET = AssetKey(["texts", "samples"]), AssetKey(["texts", "dataset"])
MANY = 30


class Talkative(Filter[int]):
    """Says a lot of every number above nine."""

    def __call__(self, items):
        for number in items:
            for line in range(number - 9):
                logging.getLogger("instrument").warning("line %d of %s", line, "x" * 500)
            yield number


def pipeline(folder):
    source = FaultySource(FileSource(folder / "raw"), str(folder / "attempts"), {"c.txt": ["fail"]})
    return Pipeline(source, [Talkative()], DatasetSink("out/texts.json"), db_file=folder / "m.db")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A curation of three files whose third fails at first, refreshed twice; outputs have relative paths."""
    folder = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patched, DagsterInstance.ephemeral() as instance:
        patched.chdir(folder)
        (folder / "raw").mkdir()
        for name, text in {"a": "1", "b": "19", "c": "3"}.items():
            (folder / "raw" / f"{name}.txt").write_text(text)
        defs = build_curation_defs("texts", lambda: pipeline(folder), executor=in_process_executor, max_missing=1)
        found = Texts(folder, instance, defs.resolve_job_def("texts_refresh"))
        found.refresh()
        found.refresh()
        yield found


class Texts:
    def __init__(self, folder, instance, job):
        self.folder, self.instance, self.job, self.runs = folder, instance, job, []

    def refresh(self, **tags):
        self.runs.append(self.job.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags))
        return self.runs[-1]

    def metadata(self, asset=SAMPLES, number=0):
        """Of the materializations of an asset, by partition; of several of the same, an earlier one by its number."""
        records = self.instance.fetch_materializations(asset, limit=100).records
        found = [record.asset_materialization for record in records]
        return found[number].metadata if asset == DATASET else {one.partition: one.metadata for one in found}

    def rows(self, kind, run=0):
        """Messages of the rows on a run's page."""
        return [entry.message for entry in self.instance.all_logs(self.runs[run].run_id, of_type=kind)]


def test_a_partition_says_which_file_it_is_and_when_it_was_processed(texts):
    """Paths in full, a time, numbers with units; what is for machines comes last or not at all."""
    found = texts.metadata()["a.txt"]
    assert list(found) == [
        *("curator/key", "curator/path", "curator/processed_at", "curator/wall_time_s", "curator/peak_memory_mib"),
        *("curator/outputs", "curator/stages", "curator/fingerprint"),
    ]
    assert found["curator/path"] == MetadataValue.path(str(texts.folder / "raw" / "a.txt"))
    assert found["curator/outputs"] == MetadataValue.path(str(texts.folder / "out" / "texts.json"))
    assert Path(found["curator/outputs"].value).exists()
    assert isinstance(found["curator/processed_at"], TimestampMetadataValue)
    assert found["curator/processed_at"].value == pytest.approx(time.time(), abs=600)
    assert 1 < found["curator/peak_memory_mib"].value < 1e5
    assert re.fullmatch(r"FaultySource \S+ s, Talkative \S+ s, DatasetSink \S+ s", found["curator/stages"].value)


def test_the_last_lines_that_an_item_logged_stand_in_its_partition(texts):
    """Few, and cut: all of them are in the metrics database."""
    lines = texts.metadata()["b.txt"]["curator/log"].value.splitlines()
    assert [line[:26] for line in lines] == [f"WARNING instrument: line {number}" for number in range(5, 10)]
    assert {len(line) for line in lines} == {item.MAX_LOG_LINE + 1}


def test_rows_of_a_runs_page_carry_the_key(texts):
    """Of what was materialized, and of what failed."""
    rows = texts.rows(DagsterEventType.ASSET_MATERIALIZATION)
    assert re.fullmatch(r"a\.txt: \S+ s", rows[0])
    assert rows[1].startswith("b.txt: ")
    (failed,) = texts.rows(DagsterEventType.ASSET_OBSERVATION)
    assert failed == "c.txt failed: ComponentError: planned failure of c.txt, attempt 1"


def test_a_failure_is_one_sentence_on_the_run_and_its_partition(texts):
    """Dagster's own stack is not below it; a run that is re-executed does not keep the sentence of the one before."""
    (event,) = [event for event in texts.runs[0].all_events if event.is_step_failure]
    data = event.step_failure_data
    said = "1 of 3 items failed: c.txt: ComponentError: planned failure of c.txt, attempt 1"
    assert data.user_failure_data.description == data.error.message.strip() == said
    assert data.error.stack == []
    assert texts.instance.get_run_by_id(texts.runs[0].run_id).tags[FAILED_TAG] == said
    (record,) = texts.instance.fetch_observations(
        AssetRecordsFilter(SAMPLES, asset_partitions=["c.txt"]), limit=5
    ).records
    found = record.asset_observation
    assert found.description == found.metadata["curator/error"].value == said.partition("c.txt: ")[2]
    assert found.metadata["curator/path"].value == str(texts.folder / "raw" / "c.txt")
    assert texts.refresh(**{FAILED_TAG: said}).success
    assert texts.instance.get_runs(RunsFilter(), limit=1)[0].tags[FAILED_TAG] == NOTHING


def test_the_dataset_says_how_long_it_is_where_it_is_and_what_changed(texts):
    """Published twice: first without the failed item, which then was added."""
    first, second = texts.metadata(DATASET, 1), texts.metadata(DATASET, 0)
    assert [found["dagster/row_count"].value for found in (first, second)] == [2, 3]
    assert second["dagster/uri"].value == (texts.folder / "out" / "texts.json").as_uri()
    assert second["curator/path/texts.json"] == MetadataValue.path(str(texts.folder / "out" / "texts.json"))
    counts = ("curator/n_added", "curator/n_changed", "curator/n_removed")
    assert [[found[name].value for name in counts] for found in (first, second)] == [[2, 0, 0], [1, 0, 0]]
    assert [record.data for record in second["curator/changes"].records] == [{"key": "c.txt", "what": "added"}]
    versions = [version.id for version in list_versions(texts.folder / "out" / "texts.json")]
    assert [found["curator/data_version"].value for found in (second, first)] == versions
    assert second["curator/new_mib"].value == round((texts.folder / "out" / "texts.json").stat().st_size / 2**20, 3)
    compare = shlex.split(second["curator/compare"].value.strip("`"))
    assert compare[:3] == ["curator", "versions", "diff"]
    assert diff_versions(*compare[3:]) == Changes(added=("c.txt",))
    assert "curator/compare" not in first


def test_a_summary_is_short_and_a_table_of_very_many_failures_ends(texts, monkeypatch):
    """Tags are shown whole, and an event is read as a whole."""
    monkeypatch.setattr(item, "MAX_FAILURES", 2)
    bad = [texts.folder / "raw" / f"d{number:02d}.txt" for number in range(MANY)]
    for path in bad:
        path.write_text("no number" * 20)
    result = texts.refresh()
    for path in bad:
        path.unlink()
    summary = texts.instance.get_run_by_id(result.run_id).tags[FAILED_TAG]
    assert summary.startswith(f"{MANY} of {MANY + 3} items are missing, more than max_missing=1 allows")
    assert len(summary) == MAX_SUMMARY
    (event,) = [event for event in result.all_events if event.is_step_failure]
    table = event.step_failure_data.user_failure_data.metadata["curator/missing"].records
    assert [record.data["key"] for record in table] == ["d00.txt", "d01.txt", f"… and {MANY - 2} more"]
