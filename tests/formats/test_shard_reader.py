"""Arrays read straight from their files: as zarr-python reads them, and damage by name."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import resource
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator_core.errors import ComponentError

zarr = pytest.importorskip("zarr")

from benchmarks.former_arrays import ArrayWriter, Chunking, create_group  # noqa: E402 - needs zarr
from curator_core.formats.arrays import TEXT, ArraySpec, fill_value  # noqa: E402 - as above
from curator_core.formats.dataset_files import BoundedCache, DatasetFiles  # noqa: E402 - as above
from curator_core.formats.selection import Selection  # noqa: E402 - as above
from curator_core.formats.shard_layout import ShardLayout  # noqa: E402 - as above
from curator_core.formats.shard_reader import ShardReader  # noqa: E402 - as above

pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]

DTYPES = [*(np.dtype(code).name for code in "?bhilqBHILQefdFD"), "M8[3ns]", "m8[3s]", "M8[D]", "S3", "U2", TEXT]
FORMS = ["raw", "zstd", "plain"]
"""Shards of chunks as they are, of compressed ones, and files of one chunk."""


def made(dtype, n_rows, row_shape=()):
    """Rows that differ, extreme values and empty strings among them."""
    random = np.random.default_rng(n_rows)
    if dtype == TEXT:
        return np.array([["", "é", "a\0", "𝄞" * 40, "text"][i % 5] * (i % 3) for i in range(n_rows)], object)
    found = np.dtype(dtype)
    raw = random.bytes(n_rows * int(np.prod(row_shape)) * found.itemsize)
    if found.kind == "b":
        raw = bytes(byte & 1 for byte in raw)
    if found.kind == "U":
        letters = random.integers(1, 0xD800, n_rows * int(np.prod(row_shape)) * found.itemsize // 4, dtype=np.uint32)
        raw = letters.tobytes()
    return np.frombuffer(raw, found).reshape(n_rows, *row_shape)


def written(root, name, values, dtype, form="raw", *, chunking=(4, 12)):
    """Write an array into the group at a folder."""
    group = zarr.open_group(str(root), mode="a", zarr_format=3)
    compressed = {"compressors": zarr.codecs.ZstdCodec(level=1) if form == "zstd" else None}
    chunk, shard = ((rows, *values.shape[1:]) for rows in chunking)
    shards = {} if form == "plain" else {"shards": shard}
    array = group.create_array(
        name, shape=values.shape, dtype=dtype, chunks=chunk, config={"write_empty_chunks": True}, **shards, **compressed
    )
    array[...] = values
    return array


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_those_that_zarr_reads(tmp_path, dtype, form):
    """Bit for bit, whatever is asked for: within a chunk, over chunks and files, to the end, nothing."""
    shape = () if dtype == TEXT else (2, 3)
    values = made(dtype, 30, shape)
    array = written(tmp_path, "group/x", values, dtype, form)
    reader = ShardReader(DatasetFiles(tmp_path), "group/x")
    assert (reader.shape, reader.chunks) == (array.shape, array.chunks)
    for start, stop in [(0, 30), (0, 0), (5, 6), (3, 5), (11, 13), (4, 12), (29, 30), (2, 27), (30, 30), (5, 7)]:
        found, expected = reader.rows(start, stop), np.asarray(array[start:stop])
        assert found.shape == expected.shape
        if dtype == TEXT:
            assert found.dtype == object
            assert found.tolist() == expected.tolist() == values[start:stop].tolist()
        else:
            assert found.dtype == expected.dtype == np.dtype(reader.dtype)
            assert found.tobytes() == expected.tobytes() == values[start:stop].tobytes()
    runs = [(29, 30), (0, 2), (7, 7), (1, 9), (0, 2)]
    expected = np.concatenate([values[start:stop] for start, stop in runs])
    assert reader.take(runs).tolist() == expected.tolist()
    assert reader.take([]).shape == (0, *shape)
    scattered = Selection((n * 7 % 30, n * 7 % 30 + 1) for n in range(40))
    expected = np.concatenate([values[start:stop] for start, stop in scattered.runs])
    for _ in range(2):  # of another reader, too, the same selection is what it was
        found = ShardReader(DatasetFiles(tmp_path), "group/x").take(scattered)
        assert (found.dtype, repr(found.tolist())) == (reader.rows(0, 1).dtype, repr(expected.tolist()))
    with pytest.raises(ComponentError, match="rows 30 to 31 are not in its array"):
        reader.take([(n, n + 1) for n in range(20, 31)])


@given(data=st.data(), n_rows=st.integers(0, 40), chunk=st.integers(1, 7), n_chunks=st.integers(1, 4))
@settings(max_examples=25)
def test_any_cut_and_any_question(tmp_path_factory, data, n_rows, chunk, n_chunks):
    """Caches too small for anything, files closed again at once: the rows are the same."""
    root = tmp_path_factory.mktemp("d")
    values = np.arange(3 * n_rows, dtype="int32").reshape(n_rows, 3)
    texts = np.array([str(i) * (i % 4) for i in range(n_rows)], object)
    form = data.draw(st.sampled_from(FORMS))
    written(root, "x", values, "int32", form, chunking=(chunk, chunk * n_chunks))
    written(root, "t", texts, TEXT, form, chunking=(chunk, chunk * n_chunks))
    files = DatasetFiles(root, cache_bytes=data.draw(st.sampled_from([0, 100, 10_000])), max_files=1)
    runs = data.draw(st.lists(st.tuples(st.integers(0, n_rows), st.integers(0, n_rows)).map(sorted), max_size=8))
    runs += data.draw(st.lists(st.integers(0, max(n_rows - 1, 0)).map(lambda n: (n, min(n + 1, n_rows))), max_size=30))
    for name, expected in (("x", values), ("t", texts)):
        found = ShardReader(files, name).take([(start, stop) for start, stop in runs])
        assert found.tolist() == [row for start, stop in runs for row in expected[start:stop].tolist()]


def test_what_is_written_here_is_read(tmp_path):
    """By the writer of datasets, with the text's own chunks; consolidated metadata or not."""
    group = create_group(tmp_path / "d", {"format": "x"})
    specs = [ArraySpec("a/x", "int32", ("row", "xyz"), (3,)), ArraySpec("t", TEXT, ("row",))]
    tables = [made(spec.dtype, 300, spec.row_shape) for spec in specs]
    for spec, values in zip(specs, tables, strict=True):
        writer = ArrayWriter(group, spec, len(values), Chunking(128, 256))
        writer.append(values)
        writer.close()
    for _ in range(2):
        files = DatasetFiles(tmp_path / "d")
        assert files.attributes == {"format": "x"}
        for spec, values in zip(specs, tables, strict=True):
            reader = ShardReader(files, spec.name)
            reader.require_files()
            assert reader.rows(0, 300).tolist() == values.tolist()
        zarr.consolidate_metadata(str(tmp_path / "d"))


@pytest.fixture
def array(tmp_path):
    """Folder of a dataset with the compressed array ``x`` in three files of three chunks, and its values."""
    values = np.arange(36.0)
    written(tmp_path / "d", "x", values, "float64", "zstd")
    return tmp_path / "d", values


def _changed(file, change):
    raw = bytearray(file.read_bytes())
    file.write_bytes(change(raw) or bytes(raw))


DAMAGE = {
    "is missing": lambda file: file.unlink(),
    "is empty": lambda file: file.write_bytes(b""),
    "fewer than the index of its 3 chunks": lambda file: file.write_bytes(file.read_bytes()[-51:]),
    "has an index that was changed or cut off": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "has an index that was changed": lambda file: _changed(file, lambda raw: raw.__setitem__(-30, raw[-30] ^ 1)),
    "chunk .1. that is cut off": lambda file: file.write_bytes(file.read_bytes()[-52:]),
    "chunk .1. that cannot be decoded": lambda file: _changed(file, lambda raw: b"\0" * (len(raw) - 52) + raw[-52:]),
    "cannot be read": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_by_file(array, damage):
    """Missing, short or changed: an error with the file, never other rows; what lies in other files is read."""
    root, values = array
    file = root / "x" / "c" / "1"
    DAMAGE[damage](file)
    reader = ShardReader(DatasetFiles(root), "x")
    for _ in range(2):
        with pytest.raises(ComponentError, match=f"dataset is damaged: {file}.*{damage}"):
            reader.rows(16, 18)
    with pytest.raises(ComponentError, match=str(file)):
        reader.rows(0, 36)
    assert reader.rows(24, 36).tolist() == values[24:].tolist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float64", TEXT])
def test_a_byte_cut_off_or_changed_is_never_taken_for_a_row(tmp_path, dtype, form):
    """Of every file that was cut off anywhere; compressed ones and texts may also not be changed in length."""
    values = made(dtype, 12)
    written(tmp_path, "x", values, dtype, form)
    file = next(file for file in sorted(tmp_path.rglob("c/0")))
    raw = file.read_bytes()
    for n_bytes in {*range(0, len(raw), 7), len(raw) - 1}:
        file.write_bytes(raw[:n_bytes])
        with pytest.raises(ComponentError, match=str(file)):
            ShardReader(DatasetFiles(tmp_path), "x").rows(0, 12)
    file.write_bytes(raw)
    assert ShardReader(DatasetFiles(tmp_path), "x").rows(0, 12).tolist() == values.tolist()


def test_a_chunk_that_was_never_written_is_damage(tmp_path):
    """Where there should be rows; zarr reads fill values there."""
    group = zarr.create_group(str(tmp_path), zarr_format=3)
    array = group.create_array("x", shape=(12,), chunks=(4,), shards=(12,), dtype="int64", compressors=None)
    array[:4] = 1
    reader = ShardReader(DatasetFiles(tmp_path), "x")
    assert reader.rows(0, 4).tolist() == [1] * 4
    with pytest.raises(ComponentError, match=r"x/c/0 has a chunk \(1\) that is not there"):
        reader.rows(3, 5)


@pytest.mark.parametrize("dtype", ["float32", "int8", "M8[s]", TEXT])
def test_a_shard_that_is_absent_on_purpose_has_fill_values(tmp_path, dtype):
    """Those of the writer; the same shard is damage where nobody says so."""
    values = made(dtype, 30)
    written(tmp_path, "x", values, dtype)
    (tmp_path / "x" / "c" / "1").unlink()
    reader = ShardReader(DatasetFiles(tmp_path), "x", absent={1})
    reader.require_files()
    found = reader.rows(0, 30)
    fill = np.full(12, fill_value(dtype), found.dtype)
    assert repr(found.tolist()) == repr([*values[:12].tolist(), *fill.tolist(), *values[24:].tolist()])
    strict = ShardReader(DatasetFiles(tmp_path), "x")
    for read in (strict.require_files, lambda: strict.rows(13, 14)):
        with pytest.raises(ComponentError, match="x/c/1 is missing"):
            read()


CHANGES = [
    {"shape": [-1]},
    {"shape": "x"},
    {"shape": []},
    {"shape": [36, 2]},
    {"data_type": "float65"},
    {"data_type": "string"},
    {"data_type": {"name": "odd", "configuration": {}}},
    {"data_type": []},
    {"codecs": []},
    {"codecs": [{"name": "blosc"}]},
    {"codecs": None},
    {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}},
    {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10]}}},
    {"chunk_key_encoding": {"name": "v2"}},
    {"node_type": "group"},
    {"zarr_format": 2},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_another_form_is_refused(array, change):
    """By name of the array, before anything is read."""
    root, _ = array
    file = root / "x" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ComponentError, match=r"dataset .*d is damaged: its array 'x' cannot be read"):
        ShardReader(DatasetFiles(root), "x")


def test_an_array_or_a_dataset_that_is_not_there(array, tmp_path):
    """By name."""
    root, _ = array
    with pytest.raises(ComponentError, match="d is damaged: it has no array 'y'"):
        ShardReader(DatasetFiles(root), "y")
    for path in (tmp_path / "nothing", root / "x", root / "x" / "zarr.json"):
        with pytest.raises(ComponentError, match=f"There is no Zarr group at {path}"):
            DatasetFiles(path)


def test_a_folder_that_takes_the_name_is_not_read(array, tmp_path):
    """Files are those of the folder that was opened, moved or not; when it is gone, so are they."""
    root, values = array
    reader = ShardReader(DatasetFiles(root), "x")
    reader.rows(0, 4)
    root.rename(tmp_path / "before")
    written(root, "x", -values, "float64", "zstd")
    assert reader.rows(0, 36).tolist() == values.tolist()
    shutil.rmtree(tmp_path / "before")
    with pytest.raises(ComponentError, match="has no array 'x'"):
        ShardReader(reader._files, "x")
    reader._files.shards.clear()
    reader._files.chunks.clear()
    with pytest.raises(ComponentError, match="x/c/0 is missing"):
        reader.rows(0, 36)


def _open_files():
    gc.collect()
    return [int(file.name) for file in Path("/proc/self/fd").iterdir()]


def test_open_files_are_few_and_closed_at_the_end(array):
    """No more than are allowed."""
    root, values = array
    before = len(_open_files())
    files = DatasetFiles(root, max_files=2)
    assert ShardReader(files, "x").rows(0, 36).tolist() == values.tolist()
    assert len(_open_files()) == before + 3
    del files
    assert len(_open_files()) == before


def test_a_process_that_may_open_no_more_closes_files(array):
    """Those of this dataset, and reads on."""
    root, values = array
    reader = ShardReader(DatasetFiles(root), "x")
    child = os.fork()
    if not child:
        limit = max(_open_files()) + 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        others = []
        reader.rows(0, 4)
        with contextlib.suppress(OSError):
            while True:
                others.append(os.open(os.devnull, os.O_RDONLY))
        os._exit(0 if reader.rows(0, 36).tolist() == values.tolist() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_read_the_same_rows(tmp_path):
    """Whoever drops a file or a chunk meanwhile."""
    values = np.arange(4000)
    written(tmp_path, "x", values, "int64", "zstd", chunking=(5, 10))
    reader = ShardReader(DatasetFiles(tmp_path, cache_bytes=200, max_files=2), "x")
    wrong = []

    def read(seed):
        random = np.random.default_rng(seed)
        for start in random.integers(0, 3990, 300).tolist():
            found = reader.rows(start, start + 7).tolist()
            if found != list(range(start, start + 7)):
                wrong.append((start, found))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_reads_on(array):
    """With the files of its parent, also while a thread of the parent holds the cache."""
    root, values = array
    reader = ShardReader(DatasetFiles(root), "x")
    reader.rows(0, 4)
    with reader._files.chunks._lock, reader._files.shards._lock:
        child = os.fork()
        if not child:
            os._exit(0 if reader.rows(0, 36).sum() == values.sum() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_cache_keeps_what_was_added_last():
    """Within its limit, or the last one alone."""
    cache = BoundedCache(10)
    for number in range(5):
        cache.add(number, str(number), 4)
    assert [cache.get(number) for number in range(5)] == [None, None, None, "3", "4"]
    cache.add("large", "large", 100)
    assert [cache.get(key) for key in (4, "large")] == [None, "large"]
    cache.add("large", "small", 1)
    cache.add(4, "4", 9)
    assert [cache.get(key) for key in (4, "large")] == ["4", "small"]


def test_layouts_can_be_sent():
    """They are plain values."""
    layout = ShardLayout((4, 2), "int8", 2, 4, is_sharded=True, is_compressed=False)
    assert pickle.loads(pickle.dumps(layout)) == layout
