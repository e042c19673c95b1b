"""What is told of a published dataset: its version, its schema, its statistics and a plot."""

import base64
import io
import json
import logging
import sys
import tempfile
from functools import partial
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster import AssetKey, TableSchema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curator_core import Pipeline, Sink, Source, SplitByKey, gather_pipeline, run_pipeline
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.merge.facts import DatasetFacts
from curator_core.report.dataset_plot import MAX_PNG_BYTES
from curator_core.session.session import Session
from curator_dagster import Curation
from curator_dagster.metadata.dataset import COLUMN_SCHEMA, dataset_metadata
from curator_dagster.steps.dataset import is_published, publish_dataset
from tests.dagster import readings


class Fields(Source[dict]):
    """Normally distributed fields, many or few."""

    def __init__(self, n_items: int, n_fields: int) -> None:
        self.n_items = n_items
        self.n_fields = n_fields

    def __len__(self):
        return self.n_items

    def __getitem__(self, index):
        made = np.random.default_rng(index)
        yield {f"field_{number:03d}": made.normal(number, 1.0, 20) for number in range(self.n_fields)}


class Nowhere(Sink[dict]):
    """Takes everything and writes nothing."""

    def __call__(self, items, index):
        for _ in items:
            pass
        return []


def published(pipeline):
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    return dataset_metadata(DatasetFacts(pipeline))


def with_statistics(source, folder, sink):
    statistics = StatisticsFilter(str(folder / "statistics.parquet"))
    return Pipeline(source, [statistics], sink, db_file=folder / "metrics.db", resume=True)


@pytest.fixture
def station(tmp_path):
    (tmp_path / "input").mkdir()
    for name, text in {"a": "1 2", "b": "3", "c": "4 5 6"}.items():
        (tmp_path / "input" / f"{name}.txt").write_text(text)
    source = readings.Readings(str(tmp_path / "input"))
    return with_statistics(source, tmp_path, readings.ReadingsTable(str(tmp_path / "readings.json")))


class Telling(readings.ReadingsTable):
    """A table that tells facts as libraries have them."""

    def describe(self, output_path):
        return {
            "n": np.int64(3),
            "share": np.float32(0.5),
            "whole": np.bool_(True),
            "name": np.str_("station"),
            "mean": np.array(2.5),
            "where": Path("here"),
        }


def test_facts_are_plain_whatever_library_they_come_from(station, tmp_path):
    """NumPy's numbers become Python's, so that Dagster plots them; what is no number becomes text."""
    pipeline = station.with_settings(sink=Telling(str(tmp_path / "readings.json")), filters=[])
    metadata = published(pipeline)
    facts = DatasetFacts(pipeline).description
    assert facts == {"n": 3, "share": 0.5, "whole": True, "name": "station", "mean": 2.5, "where": "here"}
    assert [type(fact) for fact in facts.values()] == [int, float, bool, str, float, str]
    assert {name: metadata[f"curator/{name}"].value for name in facts} == facts


def test_a_table_tells_its_columns_where_dagster_looks_and_its_statistics(station):
    """Columns with types and units; one row of numbers per field; a picture."""
    metadata = published(station)
    schema = metadata[COLUMN_SCHEMA].value
    assert isinstance(schema, TableSchema)
    assert [(column.name, column.type) for column in schema.columns] == [("reading", "float64"), ("n", "int64")]
    assert schema.columns[0].description == "what the instrument showed, mV"
    rows = {record.data["field"]: record.data for record in metadata["curator/statistics"].records}
    expected = {"count": 6, "missing": 0, "mean": 3.5, "std": 1.70783, "min": 1.0, "max": 6.0}
    assert rows["reading"] == {"field": "reading"} | expected
    assert picture(metadata).size[0] > 500


def test_a_zarr_dataset_tells_its_arrays(tmp_path):
    """A row per array: type, shape, dimensions, chunks, unit."""
    pytest.importorskip("ase_db_backends")
    from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink, AtomicStatsFilter, write_g2_emt

    write_g2_emt(tmp_path / "input", n_files=3, n_variants=1)
    step = AtomicStatsFilter(str(tmp_path / "statistics.parquet"))
    sink = AtomicDataZarrSink(str(tmp_path / "g2.zarr"))
    pipeline = Pipeline(ASELMDBSource(str(tmp_path / "input")), [step], sink, db_file=tmp_path / "metrics.db")
    metadata = published(pipeline)
    assert COLUMN_SCHEMA not in metadata
    assert DatasetFacts(pipeline).record_path == str(tmp_path / "g2.zarr" / "croissant.json")
    rows = {record.data["variable"]: record.data for record in metadata["curator/schema"].records}
    n_atoms = metadata["curator/n_atoms"].value
    assert rows["forces"] == {
        "variable": "forces",
        "dtype": "float64",
        "shape": f"{n_atoms}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}3",
        "dimensions": "atom, xyz",
        "chunks": "2048\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}3",
        "unit": "eV/Å",
        "description": "",
    }
    assert "energy_per_atom" in {record.data["field"] for record in metadata["curator/statistics"].records}
    assert picture(metadata).size[0] > 500


def picture(metadata):
    from PIL import Image

    text = metadata["curator/plot"].value
    data = base64.b64decode(text.partition("base64,")[2].removesuffix(")"))
    assert len(data) <= MAX_PNG_BYTES
    return Image.open(io.BytesIO(data))


def test_hundreds_of_fields_over_many_items_stay_small(tmp_path):
    """The first fields are listed, with how many there are; the picture is small enough for an event."""
    metadata = published(with_statistics(Fields(40, 300), tmp_path, Nowhere()))
    assert len(metadata["curator/statistics (first 200 of 300)"].records) == 200
    assert picture(metadata).size[0] > 300
    assert sum(len(json.dumps(str(value.value))) for value in metadata.values()) < 250_000


def test_without_matplotlib_or_statistics_there_is_no_plot_and_no_failure(station, tmp_path, monkeypatch):
    """Everything else is told."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    metadata = published(station)
    assert "curator/plot" not in metadata
    assert "curator/statistics" in metadata
    alone = readings.readings_pipeline(tmp_path)
    assert set(published(alone)) == {COLUMN_SCHEMA, "curator/n_variables"}


KEYS = ["a", "b", "c", "d"]
CHANGES = st.tuples(st.sampled_from(KEYS), st.sampled_from([None, "1", "2 3", "broken"]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=2, max_size=6))
def test_the_data_version_changes_exactly_when_the_content_does(tmp_path, history):
    """Whatever is added, changed, removed, broken and repaired: same version, same content, and the reverse."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "input").mkdir()
    (folder / "input" / "always.txt").write_text("0")
    curation = Curation.of("readings", partial(readings.readings_pipeline, folder), max_missing=0.99)
    seen = []
    for changes in history:
        for name, text in changes:
            path = folder / "input" / f"{name}.txt"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text)
        pipeline = curation.open_pipeline()
        run_pipeline(pipeline, on_error="skip", progress=False)
        with Session.open(curation.open_pipeline()) as session:
            outcome = publish_dataset(curation, session, logging.getLogger(__name__).info)
        entries = json.loads((folder / "output" / "readings.json").read_text())
        seen.append((outcome.data_version, [(entry["key"], entry["rows"]) for entry in entries]))
    for version, content in seen:
        for other_version, other_content in seen:
            assert (version == other_version) == (content == other_content)


def test_gathering_without_dagster_says_the_same(watched):
    """The manifest that a refresh wrote is that of `gather_pipeline`, data version included."""
    assert watched.refresh()
    manifest = watched.project.folder / "output" / "numbers.json.manifest.json"
    written = manifest.read_bytes()
    assert gather_pipeline(watched.pipeline(), max_missing=0)
    assert manifest.read_bytes() == written
    latest = watched.instance.get_latest_materialization_event(AssetKey(["numbers", "dataset"]))
    assert latest.asset_materialization.tags["dagster/data_version"] == json.loads(written)["data_version"]


def test_another_rule_of_splits_is_published(station, monkeypatch):
    """Nothing is due, and yet a refresh publishes; what Dagster has of the dataset is of the former rule."""
    latest = dg.AssetKey(["station", "dataset"])

    def is_published_now(instance, rule):
        curation = Curation.of("station", station.with_settings(split=rule))
        with Session.open(curation.open_pipeline()) as session:
            assert not session.plan.due
            return is_published(instance, curation, session)

    run_pipeline(station, progress=False)
    with dg.DagsterInstance.ephemeral() as instance:
        for rule in (SplitByKey(seed=1), SplitByKey(seed=3), None):
            curation = Curation.of("station", station.with_settings(split=rule))
            assert not is_published_now(instance, rule)
            with Session.open(curation.open_pipeline()) as session:
                done = publish_dataset(curation, session, str)
            found = done.metadata(curation, print)
            assert found["curator/data_version"].value == done.data_version
            assert ("curator/n_reassigned" in found) == (rule != SplitByKey(seed=1))
            tags = {"dagster/data_version": done.data_version}
            instance.report_runless_asset_event(dg.AssetMaterialization(latest, tags=tags))
            assert is_published_now(instance, rule)
        curation = Curation.of("station", station.with_settings(dataset={"license": "MIT"}))
        with Session.open(curation.open_pipeline()) as session:
            assert not is_published(instance, curation, session)  # something else is said of it
            publish_dataset(curation, session, str)
        with Session.open(curation.open_pipeline()) as session:
            assert is_published(instance, curation, session)
            assert session.is_as_declared()
            monkeypatch.setattr(type(station.sink), "is_as_declared", lambda _sink, _path: False, raising=False)
            assert not is_published(instance, curation, session)  # its axis has another end
