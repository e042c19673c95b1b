"""Datasets of Parquet files: the same bytes after any history, exact types, versions, and what reads them."""

from __future__ import annotations

import hashlib
import pickle
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from curator_core import MergeItem, open_dataset, run_pipeline
from curator_core.datasets import list_versions, restore_version
from curator_core.domains.table import CSVSource, ParquetSink
from curator_core.domains.table.written import converted
from curator_core.errors import (
    ComponentError,
    ConfigError,
    DatasetExpiredError,
    MergeError,
    RunFailed,
    UnknownNameError,
)
from curator_core.merge import verify_dataset
from curator_core.merge.verify import count_nonfinite
from curator_core.testing import SinkContract


class TestParquetSink(SinkContract):
    def make_sink(self, tmp_path):
        return ParquetSink(str(tmp_path / "rows.parquet"))

    def make_items(self, index):
        return [pa.table({"x": np.arange(index + 1.0), "s": [f"{index}"] * (index + 1)})]


def content_of(key, version):
    """What a source gives for an item: columns and types differ from one to the other."""
    draw = random.Random(f"{key} {version}")
    n_rows = draw.randrange(5)
    kinds = [pa.int8(), pa.int64(), pa.float32(), pa.null(), pa.uint16()]
    kind = kinds[draw.randrange(len(kinds))]
    values = [None if kind == pa.null() or draw.random() < 0.2 else draw.randrange(100) for _ in range(n_rows)]
    columns = {"n": pa.array(values, kind), "s": pa.array([f"{key} é {row}" for row in range(n_rows)], pa.string())}
    if draw.random() < 0.5:
        columns["t"] = pa.array([draw.randrange(9) for _ in range(n_rows)], pa.timestamp(draw.choice(["s", "ms"])))
    if draw.random() < 0.3:
        inner = draw.choice([{"a": draw.randrange(9)}, {"b": [0.5, None]}, {"a": 1, "b": [1]}])
        columns["l"] = pa.array([None if draw.random() < 0.2 else [inner] * row for row in range(n_rows)])
    return pa.table(columns)


def tree(folder):
    """Content of every file."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def publish(sink, path, items, *, before=None, previous=None):
    """A dataset of items, of which those that did not change are taken from the previous one."""
    given, before = [], before or {}
    for index, (key, version) in enumerate(items.items()):
        shard = None
        if before.get(key) != version:
            shard = path.with_name(f"{path.name}-{index}.parquet")
            sink.write_shard(iter([content_of(key, version)]), str(shard))
        mark = hashlib.sha256(f"{key} {version}".encode()).hexdigest()[:32]
        given.append(MergeItem(index, key, str(version), mark, shard, "train" if version % 2 else ""))
    sink.merge_items(given, None if previous is None else str(previous), str(path))
    return path


@pytest.mark.parametrize("per_segment", [1, 3])
def test_after_any_history_the_bytes_are_those_from_scratch(tmp_path, per_segment):
    """Whatever types items had that came and went; every value is what the item gave."""
    sink = ParquetSink(str(tmp_path / "rows.parquet"), per_segment, row_group_rows=2)
    draw, items, before, previous = random.Random(per_segment), {}, {}, None
    for step in range(12):
        for _ in range(draw.randrange(1, 4)):
            key = f"item {draw.randrange(9)}"
            items = {name: version for name, version in items.items() if name != key}
            if draw.random() < 0.7:
                items[key] = draw.randrange(50)
        items = dict(sorted(items.items()))
        if not items:
            continue
        path = publish(sink, tmp_path / f"step-{step}", items, before=before, previous=previous)
        scratch = publish(sink, tmp_path / f"scratch-{step}", items)
        assert tree(path) == tree(scratch)
        before, previous = items, path
        found = open_dataset(path)
        for key, version in items.items():
            given = content_of(key, version)
            assert converted(found.item(key), given.schema, key).equals(given)
        assert len(found) == found.to_table().num_rows == sum(table.num_rows for table in found.batches())
    assert sink.retained_items(str(previous)).keys() == items.keys()


def test_what_did_not_change_is_linked(tmp_path):
    """The files of workers and of the version before; one item in a hundred costs its own file."""
    sink = ParquetSink(str(tmp_path / "rows.parquet"))
    items = dict.fromkeys((f"{n:03d}" for n in range(100)), 3)
    first = publish(sink, tmp_path / "first", items)
    second = publish(sink, tmp_path / "second", items | {"050": 8}, before=items, previous=first)
    inodes = [{p.stat().st_ino for p in folder.glob("*.parquet")} for folder in (first, second)]
    assert len(inodes[0] & inodes[1]) == 99
    assert parquet.read_table(first / "_curator" / "items.parquet")["key"].to_pylist() == list(items)


def curate(tmp_path, *, backend="sequential", split=None, **options):
    """Publish the CSV files of the folder ``in``."""
    pipeline = CSVSource(str(tmp_path / "in")).write(ParquetSink(str(tmp_path / "out.parquet"), **options))
    pipeline = pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db"), split=split)
    return run_pipeline(pipeline, backend=backend, gather=True, progress=False)


def write(tmp_path, **contents):
    (tmp_path / "in").mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / "in" / f"{name}.csv").write_text(content)


def test_a_reader_stays_with_its_version(tmp_path):
    """Types are joined when a file of others comes, and narrow again when it goes."""
    write(tmp_path, a="x,s\n1,p\n,q\n", b="x,s\n3,r\n")
    curate(tmp_path)
    before = pickle.loads(pickle.dumps(open_dataset(tmp_path / "out.parquet")))
    assert before.to_pandas()["x"].dtype == "Int64"
    assert before.to_pandas()["x"].tolist() == [1, pd.NA, 3]
    write(tmp_path, c="x,z\n0.5,2001-01-01\n")
    curate(tmp_path, backend="process_pool")
    found = open_dataset(tmp_path / "out.parquet")
    assert [str(kind) for kind in found.schema.types] == ["double", "string", "date32[day]"]
    assert found.to_table(["x"])["x"].to_pylist() == [1, None, 3, 0.5]
    assert before.to_table()["x"].to_pylist() == [1, None, 3]
    assert [batch["s"].to_pylist() for batch in before.batches(["s"], pc.field("x") > 2)] == [["r"]]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), found.to_arrow().to_table().to_pandas())
    (tmp_path / "in" / "c.csv").unlink()
    write(tmp_path, b="x,s\n4,r\n")
    curate(tmp_path)
    assert open_dataset(tmp_path / "out.parquet").schema.field("x").type == pa.int64()
    with pytest.raises(DatasetExpiredError):
        list(before.batches())
    restore_version(tmp_path / "out.parquet", list_versions(tmp_path / "out.parquet")[1].record.id)
    assert len(open_dataset(tmp_path / "out.parquet")) == 4
    assert verify_dataset(tmp_path / "out.parquet") == []
    with pytest.raises(UnknownNameError, match="column 'q'"):
        found.to_table(["q"])


@pytest.mark.parametrize("per_segment", [1, 50])
def test_splits_are_read_alone(tmp_path, per_segment):
    """Also where items of others are in the same files."""
    write(tmp_path, **{f"f{n}": f"x\n{n}\n{n}.5\n" for n in range(6)})
    curate(tmp_path, items_per_segment=per_segment, split={"by": "key", "fractions": {"train": 0.5, "test": 0.5}})
    parts = {name: open_dataset(tmp_path / "out.parquet", split=name) for name in ("train", "test")}
    values = [part.to_table()["x"].to_pylist() for part in parts.values()]
    assert sorted(values[0] + values[1]) == [n / 2 for n in range(12)]
    assert [len(part) for part in parts.values()] == [len(found) for found in values]
    assert set(parts["train"].items()["split"].to_pylist()) == {"train"}
    with pytest.raises(UnknownNameError, match="train"):
        open_dataset(tmp_path / "out.parquet", split="dev")


def test_damage_is_named_by_item(tmp_path):
    """A changed page, a file that is gone, one that does not belong, and what is said of them."""
    write(tmp_path, a="x\n1.5\n", b="x\n2.5\ninf\n", c="x\n3\n")
    curate(tmp_path)
    path = tmp_path / "out.parquet"
    assert [(count.key, count.n_positive, count.n_values) for count in count_nonfinite(path)] == [("b.csv", 1, 2)]
    files = sorted(path.glob("*.parquet"))
    damaged = bytearray(files[0].read_bytes())
    damaged[30] ^= 1
    for number, content in ((0, bytes(damaged)), (1, None)):
        files[number].unlink()
        if content is not None:
            files[number].write_bytes(content)
    (path / "extra.parquet").write_bytes(b"")
    found = {damage.file: (damage.what.split(":")[0], damage.items) for damage in verify_dataset(path)}
    assert found.pop("")[0].endswith("was written after its manifest")
    assert found == {
        files[0].name: ("is not what was written", ("a.csv",)),
        files[1].name: ("is missing", ("b.csv",)),
        "extra.parquet": ("does not belong to the dataset", ()),
    }
    description = path / "_curator" / "dataset.json"
    description.write_text(description.read_text().replace('"n_rows": 4', '"n_rows": 5'))
    with pytest.raises(ComponentError, match=r"dataset.json is not what was written"):
        open_dataset(path)


def test_types_that_do_not_go_together_are_refused(tmp_path):
    """Also when every item was read by itself; integers that no float holds, too."""
    sink = ParquetSink(str(tmp_path / "rows.parquet"))
    contents = {"a": pa.table({"x": [2**53 + 1]}), "b": pa.table({"x": [0.5]}), "c": pa.table({"x": ["warm"]})}
    items = []
    for index, (key, table) in enumerate(contents.items()):
        sink.write_shard(iter([table]), str(tmp_path / f"{key}.parquet"))
        items.append(MergeItem(index, key, None, key, tmp_path / f"{key}.parquet"))
    with pytest.raises(MergeError, match=r"item 'c' does not go with the others: column 'x' holds text .*such as a"):
        sink.merge_items(items, None, str(tmp_path / "text"))
    with pytest.raises(MergeError, match=r"Item 'a': column 'x' does not fit the other items' numbers \(double\)"):
        sink.merge_items(items[:2], None, str(tmp_path / "large"))
    with pytest.raises(ComponentError, match=r"other columns: 'x' is numbers \(int64\), then numbers"):
        sink.write_shard(iter([contents["a"], contents["b"]]), str(tmp_path / "two.parquet"))


def test_runs_are_decoded_and_what_parquet_has_not_is_refused(tmp_path):
    """Arrow files have types that Parquet files have not."""
    sink, path = ParquetSink(str(tmp_path / "rows.parquet")), tmp_path / "part"
    sink.write_shard(iter([pa.table({"r": pa.RunEndEncodedArray.from_arrays([2, 3], [1, None])})]), str(path))
    assert parquet.read_table(path)["r"].to_pylist() == [1, 1, None]
    interval = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    empty = pa.array([[{"a": {}}]], pa.list_(pa.struct({"a": pa.struct({})})))
    for values, what in ((interval, "month_day_nano_interval"), (empty, "records without members")):
        with pytest.raises(ComponentError, match=f"'i' holds {what}, which Parquet has not: leave it out"):
            sink.write_shard(iter([pa.table({"i": values})]), str(path))


def test_rows_are_sorted_and_files_have_statistics(tmp_path):
    """So that a condition reads few of them; Arrow's writer and reader have the same."""
    write(tmp_path, a="x,y\n3,a\n1,b\n,c\n2,d\n")
    curate(tmp_path, sort_by=["x"], row_group_rows=2)
    assert open_dataset(tmp_path / "out.parquet").to_table()["y"].to_pylist() == ["b", "d", "a", "c"]
    (file,) = (tmp_path / "out.parquet").glob("*.parquet")
    statistics = parquet.read_metadata(file).row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == (1, 2)
    write(tmp_path, b="y\nz\n")
    with pytest.raises(RunFailed, match=r"b.csv: ComponentError: It has no column 'x', by which rows are sorted"):
        curate(tmp_path, sort_by=["x"], row_group_rows=2)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("rows.parquet", {"compression": "zip"}, "compression must be one of zstd"),
        ("rows.parquet", {"items_per_segment": 0}, "at least 1"),
        ("rows.csv", {}, "must end in '.parquet'"),
        ("s3://bucket/rows.parquet", {}, "must be a folder of this machine"),
        ("taken.parquet", {}, "is no dataset of tables.* Move it away"),
    ],
)
def test_bad_configuration_fails_before_work_begins(tmp_path, path, options, message):
    (tmp_path / "taken.parquet").mkdir()
    (tmp_path / "taken.parquet" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=message):
        ParquetSink(path if "://" in path else str(tmp_path / path), **options).check()


def test_values_that_do_not_repeat_have_no_dictionary(tmp_path):
    """Which would hold all of them; ascending integers and times are small, and every value is as it was."""
    rows = np.random.default_rng(0).permutation(20_000)
    columns = {
        "time": pa.array(rows.cumsum(), pa.timestamp("us", "UTC")),
        "extreme": pa.array(np.where(rows % 2, rows, np.iinfo(np.int64).min + rows), mask=rows % 9 == 0),
        "name": [f"{row} é" for row in rows],
        "station": rows // 1000,
        "sorted": np.sort(rows) // 40,
        "a.b": rows,
        "id": pa.array([row.tobytes() * 2 for row in rows], pa.uuid()),
    }
    for number, names in enumerate((list(columns)[:5], ["a.b"], ["id"])):
        given = pa.table({name: columns[name] for name in names})
        ParquetSink(str(tmp_path / "rows.parquet")).write_shard(iter([given]), str(tmp_path / f"{number}.parquet"))
        assert parquet.read_table(tmp_path / f"{number}.parquet", page_checksum_verification=True).equals(given)
    group = parquet.read_metadata(tmp_path / "0.parquet").row_group(0)
    found = {group.column(n).path_in_schema: set(group.column(n).encodings) for n in range(5)}
    assert all("DELTA_BINARY_PACKED" in found[name] for name in ("time", "extreme"))
    assert [name for name, encodings in found.items() if "RLE_DICTIONARY" in encodings] == ["station", "sorted"]
