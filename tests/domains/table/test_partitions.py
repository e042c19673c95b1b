"""Tables in folders of partitions: equal to those without, after any history, for whoever reads such folders."""

from __future__ import annotations

import datetime as dt
import json
import random
from fnmatch import fnmatch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import dataset, parquet

from curator_core import MergeItem, open_dataset, run_pipeline
from curator_core.datasets import list_versions
from curator_core.domains.table import ParquetSink, ParquetSource
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.merge import verify_dataset
from tests.domains.table.test_dataset import tree

REGIONS = [
    None,
    "a/b",
    "..",
    ".",
    "=",
    "%",
    "a%2Fb",
    "EU",
    "eu",
    "Größe 東京",
    "\n\x00",
    "\\'\"{[]}^#*:?+ ~",
    "x" * 200,
]
BY = ["region", "day", "é =", "ok"]
KEYS = [("x", "ascending"), ("region", "ascending")]


def table_of(key, version, n_rows=None):
    """Rows of an item; of some, columns have other types, which go together."""
    draw = random.Random(f"{key} {version}")
    rows = range(draw.randrange(9) if n_rows is None else n_rows)
    kind = draw.choice([pa.int8(), pa.int64()])
    return pa.table(
        {
            "x": pa.array([draw.random() for _ in rows]),
            "region": pa.array([draw.choice(REGIONS) for _ in rows], pa.string()),
            "day": pa.array([draw.choice([None, dt.date(1969, 12, 31), dt.date(2024, 2, 29)]) for _ in rows]),
            "é =": pa.array([draw.choice([-1, 0, 12]) for _ in rows], kind),
            "ok": pa.array([draw.choice([True, False, None]) for _ in rows], pa.bool_()),
            "list": pa.array([[row] * (row % 3) for row in rows], pa.list_(pa.int32())),
        },
    ).cast(pa.schema([("x", pa.float64()), ("region", pa.string()), ("day", pa.date32()), ("é =", kind),
                      ("ok", pa.bool_()), ("list", pa.list_(pa.int32()))]))  # fmt: skip


def publish(sink, path, tables, *, kept=(), previous=None):
    """A dataset of tables by key and version, of which those that are kept are taken from the previous one."""
    given = []
    for index, ((key, version), table) in enumerate(tables.items()):
        shard = path.with_name(f"{path.name}-{index}.parquet")
        if (key, version) not in kept:
            sink.write_shard(iter([table]), str(shard))
        split = "train" if version % 2 else "test"
        given.append(MergeItem(index, key, None, str(version), None if (key, version) in kept else shard, split))
    sink.merge_items(given, None if previous is None else str(previous), str(path))
    return path


def partitioned(tmp_path, per_segment=4, by=BY):
    return ParquetSink(str(tmp_path / "rows.parquet"), per_segment, partition_by=by)


def test_after_any_history_it_is_that_from_scratch(tmp_path):
    """Byte for byte; the values are those of a dataset without partitions."""
    sink, plain = partitioned(tmp_path), partitioned(tmp_path, by=[])
    draw, items, before, previous = random.Random(0), {}, {}, None
    for step in range(4):
        for _ in range(3):
            items[f"item {draw.randrange(9)}"] = draw.randrange(50)
        items.pop(draw.choice(list(items)) if step else "", None)
        tables = {one: table_of(*one) for one in sorted(items.items())}
        path = publish(sink, tmp_path / f"step-{step}", tables, kept=before, previous=previous)
        assert tree(path) == tree(publish(sink, tmp_path / f"scratch-{step}", tables))
        before, previous = tables, path
    found, other = open_dataset(previous), open_dataset(publish(plain, tmp_path / "plain", tables))
    whole = other.to_table()
    assert found.schema.equals(other.schema, check_metadata=True)
    assert found.to_table().equals(whole)
    assert pa.concat_tables(found.batches()).equals(whole)
    for key, _ in tables:
        assert found.item(key).equals(other.item(key))
    train = open_dataset(previous, split="train")
    some = (pc.field("region") == "..") & (pc.field("x") < 0.7)
    assert found.to_table(["ok", "x"], some).equals(other.to_table(["ok", "x"], some))
    assert train.to_table(filter=some).equals(open_dataset(tmp_path / "plain", split="train").to_table(filter=some))
    hive = dataset.partitioning(pa.schema([other.schema.field(name) for name in BY]), flavor="hive")
    for read in (found.to_arrow(), dataset.dataset(previous, partitioning=hive)):
        assert read.to_table().select(whole.column_names).sort_by(KEYS).equals(whole.sort_by(KEYS))
    guessed = dataset.dataset(previous, partitioning="hive").to_table(["x", "region", "é ="]).sort_by(KEYS)
    assert guessed["region"].equals(whole.sort_by(KEYS)["region"])
    assert guessed["é ="].cast(pa.int64()).equals(whole.sort_by(KEYS)["é ="])
    assert len(list(sink.values(str(previous), ["ok"]))) == len(tables)
    (previous / found.to_arrow().files[0]).write_bytes(b"PAR1")
    with pytest.raises(ComponentError, match="is damaged"):
        found.to_table()


def test_a_correction_costs_the_files_of_its_partition(tmp_path):
    """The other files of its segment are linked."""
    sink = partitioned(tmp_path, 50, ["r"])
    tables = {(key, 0): pa.table({"r": ["EU", "US", None, "EU"], "x": [1.0, 2, 3, 4]}) for key in "abcdef"}
    first = publish(sink, tmp_path / "first", tables)
    corrected = dict(tables)
    corrected.pop(("f", 0))
    corrected["f", 1] = pa.table({"r": ["EU", "US", None, "EU"], "x": [1.0, 2.5, 3, 4]})
    second = publish(sink, tmp_path / "second", corrected, kept=tables, previous=first)
    new = {p.stat().st_ino: p for p in second.rglob("*") if p.is_file()}
    for path in first.rglob("*"):
        new.pop(path.stat().st_ino, None)
    assert [path.parent.name for path in new.values() if path.parent.name != "_curator"] == ["r=US"]
    assert tree(second) == tree(publish(sink, tmp_path / "scratch", corrected))


@pytest.mark.parametrize("suffix", [".parquet", ".delta"])
def test_versions_of_a_run(tmp_path, suffix):
    """Here and as a table of Delta Lake, which its library reads; damage is named by item."""
    if suffix == ".delta":
        pytest.importorskip("obstore")
        deltalake = pytest.importorskip("deltalake")
    (tmp_path / "in").mkdir()
    path = tmp_path / f"rows{suffix}"

    def curate(names, version, by=tuple(BY)):
        for name in names:
            parquet.write_table(table_of(name, version, 9), tmp_path / "in" / f"{name}.parquet")
        pipeline = ParquetSource(str(tmp_path / "in")).write(ParquetSink(str(path), 4, partition_by=by))
        run_pipeline(pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db")), gather=True)
        found = open_dataset(str(path))
        files = sorted((tmp_path / "in").iterdir())
        given = pa.concat_tables([parquet.read_table(file).cast(found.schema) for file in files])
        assert found.to_table().equals(given)
        assert verify_dataset(path) == []
        if suffix == ".delta":
            table = deltalake.DeltaTable(path)
            assert table.metadata().partition_columns == list(by)
            assert table.to_pyarrow_table().select(given.column_names).sort_by(KEYS).equals(given.sort_by(KEYS))
            some = table.to_pyarrow_table(filters=[("region", "=", "..")])
            assert len(some) == given["region"].to_pylist().count("..")
        return found

    before = curate("abc", 0)
    rows = before.to_table()
    curate("b", 1)
    assert before.to_table().equals(rows)
    assert [version.state for version in list_versions(path)] == ["newest", "kept"]
    curate("d", 0, by=[])
    curate("a", 2, by=["é =", "region"])
    if suffix == ".parquet":
        order = next((path / "_curator" / "order").iterdir())
        order.unlink()
        damages = [damage for damage in verify_dataset(path) if damage.file]
        assert [(damage.file, damage.what) for damage in damages] == [(f"_curator/order/{order.name}", "is missing")]
        assert set() < set(damages[0].items) <= {f"{name}.parquet" for name in "abcd"}
        record = json.loads((path / "_croissant.json").read_text())
        assert fnmatch(open_dataset(path).to_arrow().files[0], f"{path}/{record['distribution'][-1]['includes']}")
        rows = next(one for one in record["recordSet"] if one["name"] == "rows")
        assert [one["name"] for one in rows["field"]] == ["x", "day", "ok", "list"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([""]), r"column 'r', by which .* holds '', which readers .* take for a missing value: correct it"),
        (pa.array(["__HIVE_DEFAULT_PARTITION__"]), "take for a missing value"),
        (pa.array(["é" * 130]), "too long for the name of a folder"),
        (pa.array([3_000_000], pa.date32()), "the date 10183-09-21, of a year that has not four digits"),
        (pa.array([1.5]), r"holds numbers \(double\): folders are named after texts, integers, dates and truth values"),
        (pa.array([[1]]), "folders are named after texts"),
        (None, "It has no column 'r', by which the dataset is partitioned"),
        (pa.array(range(1025)), "There are 1,025 values of r, .* takes 1,024 at most"),
    ],
)
def test_values_after_which_no_folder_is_named_fail_their_item(tmp_path, column, message):
    table = pa.table({"x": np.zeros(1 if column is None else len(column))})
    table = table if column is None else table.append_column("r", column)
    with pytest.raises(ComponentError, match=message):
        partitioned(tmp_path, by=["r"]).write_shard(iter([table]), str(tmp_path / "part"))


def test_what_is_no_partition_is_refused(tmp_path):
    """Before work begins where it can be known, by item otherwise."""
    for by, message in ((["_r"], "pass over folders"), (["r", "r"], "twice"), ([""], "cannot be ''")):
        with pytest.raises(ConfigError, match=message):
            partitioned(tmp_path, by=by)
    sink, plain = partitioned(tmp_path, 10**9, ["r"]), partitioned(tmp_path, by=[])
    with pytest.raises(ComponentError, match="no column but those by which"):
        sink.write_shard(iter([pa.table({"r": [1]})]), str(tmp_path / "part"))
    tables = {("a", 1): pa.table({"x": [1.0], "r": [1]}), ("b", 1): pa.table({"x": [1.0]})}
    before = publish(plain, tmp_path / "before", tables)
    with pytest.raises(MergeError, match="Item 'b': It has no column 'r'"):
        publish(sink, tmp_path / "after", tables, kept=tables, previous=before)
    rows = {"a": np.arange(1000), "b": np.arange(900, 1900)}
    many = {(key, 1): pa.table({"x": np.zeros(1000), "r": values}) for key, values in rows.items()}
    with pytest.raises(MergeError, match=r"Items 'a' to 'b', which are one segment: There are 1,900 values of r"):
        publish(sink, tmp_path / "many", many)
