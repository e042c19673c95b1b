"""Tables as Zarr arrays: every value of every item, whatever types the others have, or a sentence."""

from __future__ import annotations

import datetime as dt
import uuid

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("zarr")

from benchmarks.object_server import BUCKET
from curator_core import MergeItem, open_dataset, run_pipeline
from curator_core.croissant import dataset_record
from curator_core.domains.table import CSVSource, TableZarrSink
from curator_core.domains.table.zarr_arrays.columns import own_schema, rows_of, table_of
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.merge import verify_dataset, verify_sources
from curator_core.testing import SinkContract

TIME = dt.datetime(2001, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TABLE = pa.table(
    {
        "small": pa.array([1, None], pa.int8()),
        "large": pa.array([2**64 - 1, 0], pa.uint64()),
        "half": pa.array([np.float16(0.5), None], pa.float16()),
        "nan": [np.nan, None],
        "yes": [True, None],
        "note": ["é", None],
        "day": [TIME.date(), None],
        "time": pa.array([TIME, None], pa.timestamp("us", "Europe/Berlin")),
        "none": pa.nulls(2),
    }
)


class TestTableZarrSink(SinkContract):
    def make_sink(self, tmp_path):
        return TableZarrSink(str(tmp_path / "rows.zarr"))

    def make_items(self, index):
        return [pa.table({"x": np.arange(index + 1.0), "s": [f"{index}"] * (index + 1)})]


def test_columns_come_back_as_they_were():
    """Missing values and NaN apart, in the same types."""
    schema = own_schema(TABLE)
    assert table_of(rows_of(TABLE), schema).cast(TABLE.schema).to_pylist()[1] == TABLE.to_pylist()[1]
    back = table_of(rows_of(TABLE), schema).cast(TABLE.schema).drop(["nan"])
    assert back.equals(TABLE.drop(["nan"]))
    assert not own_schema(TABLE.slice(0, 1)).field("small").nullable


def test_a_run_writes_what_files_hold(tmp_path):
    """Types are joined, what is missing is told, and a corrected file is one item."""
    pytest.importorskip("xarray")
    import xarray as xr

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("n,t,s\n1,2001-01-01 00:00:00,x\n,,y\n")
    (tmp_path / "in" / "b.csv").write_text("n,s,d\n1.5,z,2001-01-02\n")

    def pipeline():
        steps = CSVSource(str(tmp_path / "in")).write(TableZarrSink(str(tmp_path / "out.zarr")))
        return steps.with_settings(resume=True, db_file=str(tmp_path / "runs.db"))

    run_pipeline(pipeline(), gather=True, progress=False)
    (tmp_path / "in" / "b.csv").write_text("n,s,d\n2.5,z,2001-01-02\n")
    run_pipeline(pipeline(), backend="process_pool", gather=True, progress=False)
    found = open_dataset(tmp_path / "out.zarr")
    values = found.batch([0, 1, 2], ["n", "present/n", "d"]).values
    np.testing.assert_array_equal(values["n"], [1, np.nan, 2.5])
    assert values["present/n"].tolist() == [True, False, True]
    assert str(values["d"][2]) == "2001-01-02"
    assert np.isnat(values["d"][:2]).all()
    assert [found[index]["s"] for index in range(3)] == ["x", "y", "z"]
    opened = xr.open_zarr(tmp_path / "out.zarr")
    assert opened["t"].values[opened["is_valid"].values].astype(str).tolist() == ["2001-01-01T00:00:00", "NaT", "NaT"]
    assert verify_dataset(tmp_path / "out.zarr") == []
    assert list(verify_sources(pipeline())) == []


@pytest.mark.campaign
@pytest.mark.xdist_group("objects")
def test_a_bucket_holds_them_too(tmp_path, object_store_server, monkeypatch):
    """A corrected file is a new version; the former one is read on."""
    pytest.importorskip("icechunk")
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    (tmp_path / "in").mkdir()
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}/rows.icechunk"

    def curate(text):
        (tmp_path / "in" / "b.csv").write_text(text)
        pipeline = CSVSource(str(tmp_path / "in")).write(TableZarrSink(url))
        pipeline = pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db"))
        run_pipeline(pipeline, gather=True, progress=False)
        assert verify_dataset(url) == []
        assert list(verify_sources(pipeline)) == []
        return open_dataset(url)

    (tmp_path / "in" / "a.csv").write_text("n\n1\n")
    found = [curate(text) for text in ("n,s\n,x\n", "n,s\n2.5,é\n")]
    numbers = [dataset.batch([0, 1], ["n"]).values["n"].tolist() for dataset in found]
    assert numbers == [[1, 0], [1.0, 2.5]]
    assert found[1][1]["s"] == "é"


def test_columns_named_as_tables_of_curator_are_in_the_record(tmp_path):
    """Those are groups, these arrays."""
    (tmp_path / "a.csv").write_text("checksums,hidden,slots\n1,2,3\n")
    sink = TableZarrSink(str(tmp_path / "out.zarr"))
    run_pipeline(CSVSource(str(tmp_path)).write(sink).with_settings(db_file=str(tmp_path / "j.db")), gather=True)
    records = dataset_record(tmp_path / "out.zarr")["recordSet"]
    assert {"checksums", "hidden", "slots"} <= {field["name"] for one in records for field in one["field"]}
    assert verify_dataset(tmp_path / "out.zarr") == []


def test_what_is_no_array_is_refused(tmp_path):
    """By column; and by item, where columns have no common type."""
    sink = TableZarrSink(str(tmp_path / "out.zarr"))
    for number, (name, values, message) in enumerate(
        [
            ("a/b", [1], "rename"),
            ("is_valid", [1], "rename"),
            ("croissant.json", [1], "rename"),
            ("l", [[1]], "'l' holds list.* no array"),
            ("some", [{"a": 1}, None], "'some' holds struct.* no array"),
            ("some", [b"", None], "'some' holds binary.* no array"),
        ]
    ):
        with pytest.raises(ComponentError, match=message):
            sink.write_shard(iter([pa.table({name: values})]), str(tmp_path / f"{number}.part"))
    items = []
    for index, value in enumerate([1, 2, "x"]):
        sink.write_shard(iter([pa.table({"x": [value]})]), str(tmp_path / f"{index}.part"))
        items.append(MergeItem(index, "abc"[index], None, f"{index}", tmp_path / f"{index}.part"))
    with pytest.raises(MergeError, match=r"item 'c' does not go with the others: column 'x' holds text .* in others"):
        sink.merge_items(items, None, str(tmp_path / "new"))
    for index, value in enumerate([2**53 + 1, 0.5]):
        sink.write_shard(iter([pa.table({"x": [value]})]), str(tmp_path / f"{index}.part"))
    with pytest.raises(MergeError, match=r"^An item: column 'x' does not fit the other items' .* 9007199254740993"):
        sink.merge_items(items[:2], None, str(tmp_path / "new"))
    with pytest.raises(ConfigError, match="table_zarr: shard_rows must be a multiple"):
        TableZarrSink("out.zarr", shard_rows=5, chunk_rows=2)
