"""Delta tables, here and in buckets: what the library of Delta Lake reads is what was published, whoever dies."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import pickle
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

pytest.importorskip("obstore")
pytest.importorskip("deltalake")

import deltalake

from curator_core import CuratedDataset, open_dataset, run_pipeline
from curator_core.datasets.versions import list_versions, restore_version
from curator_core.domains.table import ParquetSink, ParquetSource
from curator_core.errors import ComponentError, ConfigError, DatasetExpiredError, MergeError
from curator_core.merge.verify import count_nonfinite, verify_dataset
from curator_core.pipeline.components import Source
from curator_core.storage.locations import location_of
from curator_core.storage.objects.delta.folder import ObjectFolder
from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.objects.delta.versions import commit_name, unneeded
from curator_core.storage.objects.stores import ObjectUrl, object_store
from tests.storage.objects.publisher import kept, publish, published

pytestmark = pytest.mark.xdist_group("objects")  # one server

MOMENT = dt.datetime(2001, 2, 3, 4, 5, 6, 789000)  # noqa: DTZ001 - with and without


class Tables(Source):
    """A table for each key, of the type and length that a file says."""

    def __init__(self, file: str):
        self._items = json.loads(Path(file).read_text())

    def __len__(self):
        return len(self._items)

    def key(self, index):
        return list(self._items)[index]

    def fingerprint(self, index):
        return str(self._items[self.key(index)])

    def __getitem__(self, index):
        yield table_of(self.key(index), **self._items[self.key(index)])


def table_of(key, n=2000, kind="int32"):
    """Rows of an item."""
    values = np.random.default_rng([*key.encode()]).random(n)
    values[0] = np.inf
    return pa.table({"key": [key] * n, "x (m)": values, "n": pa.array(range(n), kind)})


def plain(place):
    """The table as the library of Delta Lake reads it; credentials are those of the environment."""
    options = {"AWS_ALLOW_HTTP": "true"} if "://" in place else {}
    return deltalake.DeltaTable(place, storage_options=options).to_pyarrow_table()


def by_key(table):
    return table.sort_by([("key", "ascending"), ("n", "ascending")]).to_pylist()


def left(location):
    """Keys of objects that no version needs, and notes."""
    unused = unneeded(location.place, ObjectFolder(location.place), datetime.now(UTC) + timedelta(days=1))
    if "://" not in location.place:
        return list(unused)
    url = ObjectUrl.parse(location.place)
    notes = object_store(url).list(f"{url.key}.curator-publishing/").collect()
    return [*unused, *(note["path"] for note in notes)]


@pytest.fixture
def place(url):
    return f"{url}/d.delta"


@pytest.fixture
def curate(tmp_path):
    """Function that publishes items to a place."""

    def curate(place, items, **settings):
        (tmp_path / "items.json").write_text(json.dumps(items))
        pipeline = Tables(str(tmp_path / "items.json")).write(ParquetSink(place))
        database = tmp_path / f"{Path(place).suffix[1:]}.db"
        pipeline = pipeline.with_settings(resume=True, db_file=str(database), **settings)
        return run_pipeline(pipeline, gather=True, progress=False)

    return curate


def test_a_delta_table_holds_what_a_folder_holds(place, curate, store, tmp_path):
    """After items came, went and changed: for curator, and for the library; versions are read and given back."""
    items = {f"item {n:02d}": {} for n in range(8)}
    curate(place, items)
    before, first = open_dataset(place), CuratedDataset.open(place).data_version
    assert before.item("item 07").equals(table_of("item 07"))
    store.counts()
    del items["item 03"]
    items |= {"item 07": {"n": 3}, "a": {"n": 2}}
    curate(place, dict(sorted(items.items())), split={"by": "key", "fractions": {"all": 1.0}})
    assert store.counts()["PUT bytes"] < 0.3 * location_of(place).size()  # most of it says what is there
    newest, former = list_versions(place)
    assert (former.id, former.state, newest.record.n_changed) == (first, "kept", 1)
    assert newest.record.new_bytes < 0.2 * former.record.new_bytes
    curate(str(tmp_path / "d.parquet"), dict(sorted(items.items())))
    found, here = open_dataset(place, split="all"), open_dataset(tmp_path / "d.parquet")
    assert found.items()["key"].to_pylist() == sorted(items)
    assert found.to_table().equals(here.to_table())
    assert found.to_arrow().to_table(columns=["n"]).equals(here.to_table(["n"]))
    assert by_key(plain(place))[3:] == by_key(here.to_table())[3:]
    assert verify_dataset(place) == []
    assert len(list(count_nonfinite(place))) == len(items)
    assert len(before.to_table()) == 16_000
    assert open_dataset(f"{place}#0").to_table().equals(before.to_table())  # by Delta's number
    restore_version(place, first)
    assert open_dataset(place).to_table().equals(before.to_table())
    assert len(plain(place)) == 16_000
    curate(place, {"a": {}}, keep_versions=1)
    with pytest.raises(DatasetExpiredError):
        open_dataset(f"{place}#{newest.id}")
    assert left(location_of(place)) == []
    assert len(plain(place)) == 2000


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_types(tmp_path, zone):
    """Those that a Delta table has not are given as others with the same values, or refused by name."""
    times = pa.list_(pa.struct({"a": "int8", "b": pa.list_(pa.timestamp("ns"))}))
    given = {
        "b": pa.array([True, None]),
        "u8": pa.array([255, None], "uint8"),
        "u64": pa.array([2**64 - 1, None], "uint64"),
        "f2": pa.array([np.float16(1.5), None], "float16"),
        "s (é)": ["é", None],
        "d": pa.array([MOMENT.date(), None]),
        "t": pa.array([MOMENT, None], pa.timestamp("ns", zone)),
        "c": pa.array([decimal.Decimal("1.20"), None], pa.decimal128(9, 2)),
        "l": pa.array([[{"a": 1, "b": [MOMENT]}, None], None], times),
        "v": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
        "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
        "nothing": pa.nulls(2),
    }
    table = pa.table(given)
    table = table.cast(table.schema.set(1, table.schema.field(1).with_metadata({"units": "m"})))
    place = str(tmp_path / "good.delta")

    def curate_file(name, table):
        (tmp_path / name).mkdir()
        parquet.write_table(table, tmp_path / name / "t.parquet")
        pipeline = ParquetSource(str(tmp_path / name)).write(ParquetSink(str(tmp_path / f"{name}.delta")))
        run_pipeline(pipeline.with_settings(db_file=str(tmp_path / f"{name}.db")), gather=True, progress=False)

    curate_file("good", table)
    assert plain(place).to_pylist() == open_dataset(place).to_table().to_pylist() == table.to_pylist()
    assert plain(place).schema.field("u8").metadata == {b"units": b"m"}
    odd = {"time32": pa.array([1, 2], pa.time32("s")), "would lose data": pa.array([1, 2], pa.timestamp("ns"))}
    for why, column in odd.items():
        with pytest.raises(MergeError, match=f"'odd' .*{why}"):
            curate_file(why[:4], pa.table({"odd": column}))


def test_others_at_the_same_place(place, curate, monkeypatch, tmp_path):
    """A second publisher is refused, and so is one who finds versions of somebody else."""
    location = DeltaLocation(place)
    publish(location, 1)

    def publish_around_another():
        with location.publication() as staged:
            (staged / "sub").mkdir(parents=True)
            with monkeypatch.context() as patched:
                patched.setenv("CURATOR_WORK_DIR", str(tmp_path / "elsewhere"))
                publish(location_of(place), 2)

    with pytest.raises(MergeError, match="somebody else published there meanwhile"):
        publish_around_another()
    location.recover()
    assert (published(location), kept(location), left(location)) == (2, [1], [])
    number = location.snapshot().commit.number + 1
    assert not ObjectFolder(place).create(commit_name(number - 1), b"{}")
    foreign = {"commitInfo": {"operation": "DELETE", "engineInfo": "delta-rs:1.6"}}
    ObjectFolder(place).put(commit_name(number), json.dumps(foreign).encode())
    with pytest.raises(ComponentError, match=rf"version {number} .* somebody else \(DELETE by delta-rs:1.6\).*Remove"):
        location.exists()
    with pytest.raises(ConfigError, match="somebody else"):
        ParquetSink(place).check()


def test_damage_is_named(place, curate):
    """A file that is gone, and one that is another."""
    curate(place, {"a": {}, "b": {}, "c": {}})
    version, folder = DeltaLocation(place).snapshot(), ObjectFolder(place)
    names = [name for name in version.objects() if not name.startswith("_")]
    folder.delete([version.key(names[0])])
    folder.put(version.key(names[2]), b"junk")
    found = {damage.file: (damage.items, damage.what[:10]) for damage in verify_dataset(place)}
    assert found == {names[0]: (("a",), "is missing"), names[2]: (("c",), "is not wha")}
    assert open_dataset(place).item("b").num_rows == 2000
    for key in "ac":
        with pytest.raises(ComponentError, match="damaged"):
            open_dataset(place).item(key)


@pytest.mark.parametrize(
    "writes", [[3, 12, 31], pytest.param(range(1, 46), marks=pytest.mark.campaign)], ids=["some", "all"]
)
def test_publications_that_are_killed(place, store, writes):
    """At any request that writes: the old version is there, or the new one, for everybody; nothing else is left."""
    location = location_of(place)
    publish(location, 0)
    last = 0
    for n in writes:
        command = [sys.executable, "-m", "tests.storage.objects.publisher", place, str(last + 1)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            store.kill_at(n, process.pid)
            said = process.communicate("go\n")[0].split()
        store.kill_at(0, 0)
        assert process.returncode == -signal.SIGKILL
        found = published(location)
        assert found in (last, last + 1) or found == int(said[-1]) + 1
        assert plain(place)["version"].to_pylist() == [found] * 3
        location.recover()
        location.remove_leftovers()
        assert (left(location), published(location)) == ([], found)
        assert found == 0 or found - 1 in kept(location)
        last = found


def test_a_table_that_is_larger_than_the_cache(place, curate, monkeypatch, tmp_path):
    """It is read some files at a time, also where the dataset was sent to another process; not all at once."""
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    curate(place, {f"{n:02d}": {"n": 1000} for n in range(8)})
    found = pickle.loads(pickle.dumps(open_dataset(place)))
    assert found.to_table(["n"], pc.field("n") < 2).num_rows == 16
    monkeypatch.setenv("CURATOR_MIRROR_CACHE_SIZE", "20 kB")
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "small"))
    found = open_dataset(place)
    assert sum(batch.num_rows for batch in found.batches(["n"])) == 8000
    with pytest.raises(ConfigError, match="CURATOR_MIRROR_CACHE_SIZE"):
        found.to_arrow()
