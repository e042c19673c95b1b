"""The Croissant record of a published dataset, read by the library of the format, in every domain."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import mlcroissant
import netCDF4
import numpy as np
import pandas as pd
import pytest
import yaml

from curator_core import Pipeline, SplitByKey, run_pipeline
from curator_core.cli import main
from curator_core.croissant import dataset_record
from curator_core.datasets import list_versions
from curator_core.domains.grid import GridZarrSink, NetCDFSource
from curator_core.domains.table import CSVSource, ParquetSink
from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.selection import SelectFilter
from curator_core.filters.statistics import StatisticsFilter
from curator_core.formats.record_file import encoded_record, record_fault
from curator_core.merge import verify_dataset
from curator_core.pipeline.description import Creator, DatasetDescription
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.testing import DatasetSink, NumbersSource
from tests.datasets.curation import DATA, LOG, build, from_scratch, write_listing
from tests.datasets.kinds import tree

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant calls

WORDS = {
    "name": "Air",
    "description": "What was measured.",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "creators": ["Ada Lovelace", {"name": "ECMWF", "url": "https://www.ecmwf.int", "is_organization": True}],
    "cite_as": "@misc{air}",
    "url": "https://example.org/air",
    "keywords": ["air", "temperature"],
    "version": "1.2.0",
    "date_published": "2026-05-31",
    "rai": {"dataCollection": "By hand.", "dataBiases": ["Europe alone."]},
}
SPLIT = SplitByKey({"train": 0.5, "test": 0.5})


def loaded(file):
    """A record as mlcroissant reads it, which has nothing to say against it."""
    found = mlcroissant.Dataset(jsonld=str(file))
    issues = found.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    return found


def fields_of(dataset, records):
    """Fields of a record set by name."""
    (found,) = [one for one in dataset.metadata.record_sets if one.id == records]
    return {field.name: field for field in found.fields}


@pytest.mark.parametrize("kind", ["atoms", "meshes"])
def test_a_ragged_dataset(kind, tmp_path, monkeypatch):
    """One record set for each axis, of which padding is no part, and one for the items."""
    monkeypatch.chdir(tmp_path)
    write_listing([("a", 1), ("b/ü #1", 2), ("c", 4)])
    run_pipeline(build(kind, dataset=WORDS, split=SPLIT), gather=True, progress=False)
    found = loaded(f"{DATA}/croissant.json")
    assert found.metadata.license == ["https://creativecommons.org/licenses/by/4.0/"]
    assert [type(one).__name__ for one in found.metadata.creators] == ["Person", "Organization"]
    assert found.metadata.data_biases == ["Europe alone."]
    assert found.metadata.version == f"1.2.0+{list_versions(DATA)[0].id}"
    assert list(fields_of(found, "items"))[:4] == [f"items/{n}" for n in ("key", "version", "fingerprint", "split")]
    splits = {SPLIT.split(key) for key in ("a", "b/ü #1", "c")}
    assert {record["splits/name"] for record in found.records("splits")} == splits
    axis, name, shape = ("atom", "positions", "3") if kind == "atoms" else ("point", "xyz", "3")
    field = fields_of(found, axis)[name]
    assert (field.is_array, field.array_shape) == (True, shape)
    attributes = json.loads(Path(DATA, "zarr.json").read_text())["attributes"]
    sets = {one["@id"]: one for one in json.loads(Path(DATA, "croissant.json").read_text())["recordSet"]}
    assert sets[axis]["annotation"][0]["value"] == attributes[f"n_{axis}s"]
    assert sets["items"]["annotation"][0]["value"] == 3
    with pytest.raises(mlcroissant.GenerationError):  # it has no reader for Zarr, and says so
        list(found.records(axis))
    assert verify_dataset(DATA) == []


def test_a_grid(tmp_path, monkeypatch):
    """Shapes, units and statistics are those of the arrays."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    values = np.random.default_rng(0).random((4, 2, 3, 5))
    with netCDF4.Dataset("in/air.nc", "w") as file:
        for dim, n in (("time", 4), ("level", 2), ("latitude", 3), ("longitude", 5)):
            file.createDimension(dim, n)
            file.createVariable(dim, "f8", (dim,))[:] = np.arange(n)
        file["time"].units = "days since 2020-01-01"
        variable = file.createVariable("t", "f4", ("time", "level", "latitude", "longitude"))
        variable.setncatts({"units": "K", "long_name": "Air temperature"})
        variable[:] = values
        file.createVariable("splits", "f4", ("time",))[:] = 7.5
    steps = [StatisticsFilter("out/statistics.parquet", by=["level"]), SelectFilter(drop=["splits"])]
    pipeline = Pipeline(NetCDFSource("in"), steps, GridZarrSink("out/air.zarr"), db_dir="db", dataset=WORDS)
    run_pipeline(pipeline, gather=True, progress=False)
    found = loaded("out/air.zarr/croissant.json")
    field = fields_of(found, "time")["t"]
    assert field.array_shape == "2,3,5"
    assert field.description == "Air temperature, along level, latitude, longitude, in K"
    said = {one.name: one.value for one in field.annotations}
    assert said["count[level=1]"] == 60
    assert said["mean[level=1]"] == pytest.approx(values[:, 1].astype("f4").mean(dtype="f8"), rel=1e-12)
    assert said["maximum[level=0]"] == values[:, 0].astype("f4").max()
    assert fields_of(found, "latitude")["latitude"].array_shape is None
    (other,) = found.records("statistics")
    assert (other["statistics/field"], other["statistics/mean"], other["statistics/count"]) == ("splits", 7.5, 4)


def test_a_table(tmp_path, monkeypatch):
    """Its rows and its items are iterated by mlcroissant, and are those that pandas reads."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.csv").write_text("id,b c,when\n1,x,2020-01-01\n2,,2020-01-02\n")
    Path("in/b.csv").write_text("id,b c,when\n3,é,2020-01-03\n")
    pipeline = Pipeline(CSVSource("in"), sink=ParquetSink("out/t.parquet"), db_dir="db", dataset=WORDS, split=SPLIT)
    run_pipeline(pipeline, gather=True, progress=False)
    assert main(["croissant", "out/t.parquet", "-o", "t.json"]) == 0
    expected = pd.read_parquet("out/t.parquet")
    for file in ("out/t.parquet/_croissant.json", "t.json"):
        rows = list(loaded(file).records("rows"))
        assert [row["rows/id"] for row in rows] == list(expected["id"])
        assert [(row["rows/b%20c"] or b"").decode() for row in rows] == list(expected["b c"].fillna(""))
        assert [row["rows/when"] for row in rows] == [pd.Timestamp(day) for day in expected["when"]]
        items = list(loaded(file).records("items"))
        assert [item["items/key"] for item in items] == [b"a.csv", b"b.csv"]
        assert [item["items/split"].decode() for item in items] == [SPLIT.split(key) for key in ("a.csv", "b.csv")]


def test_other_words_make_another_record_and_nothing_else(tmp_path, monkeypatch):
    """No item is processed again, no version is made; the bytes are those of a dataset from scratch."""
    monkeypatch.chdir(tmp_path)
    items = [("a", 1), ("b", 2)]
    scratch = from_scratch("readings", 1, [*items, ("c", 4)], tmp_path / "scratch")
    write_listing(items)
    run_pipeline(build("readings", dataset=WORDS), gather=True, progress=False)
    before, read = tree(DATA), tree(LOG)
    other = build("readings", dataset={"license": "MIT"})
    assert other.outputs_to_gather() == [DATA]
    run_pipeline(other, gather=True, progress=False)
    assert other.outputs_to_gather() == []
    assert {name for name, data in tree(DATA).items() if data != before[name]} == {"croissant.json"}
    assert (tree(LOG), len(list_versions(DATA))) == (read, 1)
    assert dataset_record(DATA)["license"] == [{"@type": "sc:CreativeWork", "name": "MIT"}]
    write_listing([*items, ("c", 4)])
    run_pipeline(build("readings"), gather=True, progress=False)
    assert tree(DATA) == scratch


def test_a_changed_record_is_damage(tmp_path, monkeypatch, capsys):
    """It is named, and not printed as if it were what was published."""
    monkeypatch.chdir(tmp_path)
    write_listing([("a", 1)])
    run_pipeline(build("readings", dataset=WORDS), gather=True, progress=False)
    file = Path(DATA, "croissant.json")
    file.write_text(file.read_text().replace("by/4.0", "by-nc/4.0"))
    assert [(damage.file, damage.what[:23]) for damage in verify_dataset(DATA)] == [
        ("croissant.json", "is not what was written")
    ]
    with pytest.raises(ComponentError, match=r"croissant.json is not what was written: .* Gather the pipeline again"):
        dataset_record(DATA)
    run_pipeline(build("readings", dataset=WORDS), gather=True, progress=False)
    assert verify_dataset(DATA) == []
    assert record_fault(encoded_record({"name": "of no Unicode: \udcff"})) == ""


def test_former_versions_and_repositories(tmp_path, monkeypatch, capsys):
    """Each version has its own record; of a repository, too."""
    monkeypatch.chdir(tmp_path)
    place = "out/data.icechunk"
    for items, words in (([("a", 1)], WORDS), ([("a", 1), ("b", 2)], {"license": "MIT"})):
        write_listing(items)
        run_pipeline(build("readings", data=place, dataset=words), gather=True, progress=False)
    newest, former = list_versions(place)
    assert IcechunkLocation(place).objects()["croissant.json"] > 0
    assert dataset_record(place, version=former.id)["name"] == "Air"
    assert main(["croissant", place]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["version"] == f"0.0.0+{newest.id}"
    assert record["datePublished"] == newest.record.published_at
    assert err == "Not said, and required by the specification: creators, url. See settings.dataset.\n"


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    """In the record that is asked for: what a dataset carries depends on what is in it alone."""
    monkeypatch.chdir(tmp_path)
    write_listing([("a", 1), ("b", 2)], faulty=["b"])
    run_pipeline(build("readings", dataset=WORDS), gather=True, on_error="skip", progress=False)
    said = dataset_record(DATA)["rai:dataCollectionMissingData"]
    assert said.startswith("1 item of the source is not in it as now: b (")
    assert "rai:dataCollectionMissingData" not in json.loads(Path(DATA, "croissant.json").read_text())


def test_a_dataset_of_ones_own_layout(tmp_path, monkeypatch):
    """The words come from its manifest; its file has a hash."""
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline(NumbersSource(2), sink=DatasetSink("out/data.json"), db_dir="db", dataset=WORDS)
    run_pipeline(pipeline, gather=True, progress=False)
    assert main(["croissant", "out/data.json", "-o", "out/record.json"]) == 0
    found = loaded("out/record.json")
    assert (found.metadata.name, found.metadata.distribution[0].content_url) == ("Air", "data.json")


class GroupSink(DatasetSink):
    """A Zarr group as another library writes it, without attributes, and with a record of its own, if any."""

    record = b""

    def retained_items(self, output_path):
        path = Path(output_path, "items.json")
        return json.loads(path.read_text()) if path.exists() else {}

    def merge_items(self, items, previous, output_path):
        array = {"node_type": "array", "shape": [len(items)], "data_type": "int8", "dimension_names": ["n"]}
        metadata = {"kind": "inline", "metadata": {"values": array}}
        group = {"zarr_format": 3, "node_type": "group", "consolidated_metadata": metadata}
        Path(output_path).mkdir()
        Path(output_path, "zarr.json").write_text(json.dumps(group))
        Path(output_path, "items.json").write_text(json.dumps({item.key: item.version for item in items}))
        if self.record:
            Path(output_path, "croissant.json").write_bytes(self.record)


@pytest.mark.parametrize("record", [b"", b'{"name": "own", "sdVersion": "1.0.0"}'])
def test_a_group_of_another_library(record, tmp_path, monkeypatch):
    """It gets a record where it has none, and is not published again for the one that it has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(GroupSink, "record", record)
    places = []
    for _ in range(2):
        run_pipeline(Pipeline(NumbersSource(2), sink=GroupSink("d"), db_dir="db", resume=True), gather=True)
        places.append(Path("d").stat().st_ino)
    written = Path("d", "croissant.json").read_bytes()
    assert places[0] == places[1]
    assert written == record if record else record_fault(written) == ""
    assert dataset_record("d")["conformsTo"].endswith("croissant/1.1")  # also where another one stands there


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"licence": "MIT"}, "Unknown entry 'licence'. Known: license"),
        ({"license": 4}, "settings.dataset.license must be"),
        ({"creators": [{"url": "https://a.org"}]}, r"settings.dataset.creators\[0\]: a creator needs a name"),
        ({"creators": [{"name": "A", "mail": "x"}]}, r"creators\[0\]: Unknown entry 'mail'"),
        ({"url": "example"}, "url must be a URL"),
        ({"version": "1"}, "version must be three numbers"),
        ({"date_published": "May"}, "date_published must be a date"),
        ({"rai": {"dataBias": "x"}}, "Unknown property 'dataBias'. Known: dataBiases"),
        ({"rai": {"dataCollection": ["x", "y"]}}, "rai.dataCollection takes one text"),
        ("MIT", "settings.dataset must be a mapping"),
    ],
)
def test_a_malformed_description_fails_before_the_run(given, message, tmp_path):
    """With the file and the entry."""
    file = tmp_path / "pipeline.yaml"
    source = {"component": "curator_core.testing:NumbersSource", "params": {"n": 1}}
    file.write_text(yaml.safe_dump({"source": source, "settings": {"dataset": given}}))
    with pytest.raises(ConfigError, match=message) as caught:
        Pipeline.load(file)
    assert str(caught.value).startswith(str(file))


def test_a_description_is_saved(tmp_path):
    """A pipeline file brings back what was said, dates without quotes too; the configuration is the same."""
    plain = Pipeline(NumbersSource(1))
    pipeline = plain.with_settings(dataset=WORDS)
    assert pipeline.config_hash == plain.config_hash
    pipeline.save(tmp_path / "pipeline.yaml")
    assert Pipeline.load(tmp_path / "pipeline.yaml").dataset == pipeline.dataset
    text = (tmp_path / "pipeline.yaml").read_text().replace("'2026-05-31'", "2026-05-31")
    (tmp_path / "pipeline.yaml").write_text(text)
    assert Pipeline.load(tmp_path / "pipeline.yaml").dataset == pipeline.dataset
    given = DatasetDescription(creators=[Creator("Ada")], rai={"dataBiases": "x"})
    assert plain.with_settings(dataset=given).dataset is given
    assert pickle.loads(pickle.dumps(pipeline)).dataset == pipeline.dataset  # to workers
