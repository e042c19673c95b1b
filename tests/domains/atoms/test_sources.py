"""Reading ``.aselmdb`` files: identity of items, ASE's own reading, and every kind of bad file."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lmdb
import pytest
from ase import Atoms
from ase.db import connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curator_core.domains.atoms import ASELMDBSource
from curator_core.errors import ComponentError, ConfigError, EmptySourceError, IndexRangeError


@pytest.fixture
def folder(tmp_path, write_with_ase):
    """Three files of 5, 3 and 1 structures, one of them in a sub-folder."""
    for name, n_rows in {"b.aselmdb": 5, "a/z.aselmdb": 3, "c.aselmdb": 1}.items():
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_ase(path, [(Atoms(f"H{i + 1}"), {"row": i}, {}) for i in range(n_rows)])
    return tmp_path / "input"


def _sizes(source):
    return [[len(atoms) for atoms in source[index]] for index in range(len(source))]


def _put(path, entries):
    """Overwrite entries of an LMDB file; ``None`` deletes."""
    with lmdb.open(str(path), subdir=False, lock=False, map_size=2**24) as env, env.begin(write=True) as transaction:
        for key, value in entries.items():
            if value is None:
                transaction.delete(key)
            else:
                transaction.put(key, value)


def test_items_are_files_by_relative_path(folder):
    """Items are the matching files, sub-folders included, sorted by their path."""
    source = ASELMDBSource(str(folder))
    assert [source.key(i) for i in range(len(source))] == ["a/z.aselmdb", "b.aselmdb", "c.aselmdb"]
    assert _sizes(source) == [[1, 2, 3], [1, 2, 3, 4, 5], [1]]


def test_pattern_selects_files(folder):
    """Only files that match the pattern are items; a matching folder is none."""
    (folder / "b-folder.aselmdb").mkdir()
    source = ASELMDBSource(str(folder), pattern="b*.aselmdb")
    assert [source.key(i) for i in range(len(source))] == ["b.aselmdb"]


def test_structures_equal_ases_reading(tmp_path, rich_rows, write_with_ase, read_with_ase, assert_same_atoms):
    """What a row carries arrives as ASE itself reads it."""
    write_with_ase(tmp_path / "rich.aselmdb", rich_rows)
    found = list(ASELMDBSource(str(tmp_path))[0])
    expected = read_with_ase(tmp_path / "rich.aselmdb")
    assert len(found) == len(expected) == len(rich_rows)
    for left, right in zip(found, expected, strict=True):
        assert_same_atoms(left, right)


def test_constructor_touches_no_disk(tmp_path):
    """A source can be built before its data exist."""
    source = ASELMDBSource(str(tmp_path / "later"))
    with pytest.raises(EmptySourceError):
        len(source)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x.aselmdb").touch()
    assert len(source) == 1


def test_listing_travels_with_pickle(folder):
    """A worker sees the listing of the coordinating process, whatever has changed meanwhile."""
    source = ASELMDBSource(str(folder))
    keys = [source.key(i) for i in range(len(source))]
    copy = pickle.loads(pickle.dumps(source))
    (folder / "a.aselmdb").touch()
    assert [copy.key(i) for i in range(len(copy))] == keys


def test_relative_folder_is_fixed_when_listed(folder, monkeypatch):
    """A worker with another working directory finds the files."""
    monkeypatch.chdir(folder.parent)
    source = ASELMDBSource("input")
    source.check()
    monkeypatch.chdir("/")
    assert _sizes(pickle.loads(pickle.dumps(source)))[2] == [1]


def test_fingerprint_follows_the_file(folder):
    """A file that changes gets another fingerprint, the others keep theirs."""
    before = ASELMDBSource(str(folder))
    old = [before.fingerprint(i) for i in range(3)]
    os.utime(folder / "b.aselmdb", ns=(1, 1))
    after = ASELMDBSource(str(folder))
    assert [old[i] == after.fingerprint(i) for i in range(3)] == [True, False, True]


def test_nothing_is_written_beside_the_input(folder):
    """Neither lock files nor anything else appears, and no file is touched."""

    def state():
        return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*"))

    before = state()
    _sizes(ASELMDBSource(str(folder), rows_per_index=2))
    assert state() == before


def test_rows_per_index_splits_files(folder):
    """Blocks of rows have keys of their own and give the same structures."""
    source = ASELMDBSource(str(folder), rows_per_index=2)
    assert [source.key(i) for i in range(len(source))] == [
        "a/z.aselmdb#000000-000001",
        "a/z.aselmdb#000002-000003",
        "b.aselmdb#000000-000001",
        "b.aselmdb#000002-000003",
        "b.aselmdb#000004-000005",
        "c.aselmdb#000000-000001",
    ]
    assert _sizes(source) == [[1, 2], [3], [1, 2], [3, 4], [5], [1]]


def test_block_keys_stay_when_a_file_grows(folder):
    """Adding a row fills the last block and does not rename it."""
    before = ASELMDBSource(str(folder), rows_per_index=2)
    keys = {before.key(i) for i in range(len(before))}
    with connect(folder / "a/z.aselmdb", type="aselmdb") as database:
        database.write(Atoms("H4"))
    after = ASELMDBSource(str(folder), rows_per_index=2)
    assert {after.key(i) for i in range(len(after))} == keys
    assert _sizes(after)[1] == [3, 4]


def test_deleted_rows_are_left_out(folder):
    """Rows that ASE deleted do not come back."""
    with connect(folder / "b.aselmdb", type="aselmdb") as database:
        database.delete([2, 5])
    assert _sizes(ASELMDBSource(str(folder)))[1] == [1, 3, 4]


def test_file_without_rows_gives_nothing(tmp_path, write_with_ase):
    """An empty database is an item with no structures, split or not."""
    write_with_ase(tmp_path / "empty.aselmdb", [])
    assert _sizes(ASELMDBSource(str(tmp_path))) == [[]]
    assert _sizes(ASELMDBSource(str(tmp_path), rows_per_index=3)) == [[]]


def test_one_file_is_read_twice_at_once(folder):
    """Generators over one file do not disturb each other, in whatever order they end."""
    source = ASELMDBSource(str(folder))
    first, second = source[1], source[1]
    assert len(next(first)) == len(next(second)) == 1
    first.close()
    assert [len(atoms) for atoms in second] == [2, 3, 4, 5]
    assert _sizes(source)[1] == [1, 2, 3, 4, 5]


def test_blocks_of_one_file_are_read_by_threads(folder):
    """Threads share the file."""
    source = ASELMDBSource(str(folder), rows_per_index=1)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda index: [len(atoms) for atoms in source[index % 9]], range(180)))
    assert sizes == [[1], [2], [3], [1], [2], [3], [4], [5], [1]] * 20


def test_a_file_in_use_elsewhere_is_named(folder):
    """LMDB opens a file once per process; who holds it open must be told."""
    database = connect(folder / "b.aselmdb", type="aselmdb", readonly=True)
    try:
        with pytest.raises(ComponentError, match=r"b\.aselmdb.*already open in this process"):
            list(ASELMDBSource(str(folder))[1])
    finally:
        database.close()


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range(folder, index):
    """An index outside the listing is an `IndexError`, at once."""
    with pytest.raises(IndexRangeError, match="out of range for 3 items"):
        ASELMDBSource(str(folder))[index]


def test_missing_folder(tmp_path):
    """Checking and counting name the folder and the pattern."""
    source = ASELMDBSource(str(tmp_path / "nowhere"), pattern="*.lmdb")
    for attempt in (source.check, source.__len__):
        with pytest.raises(EmptySourceError, match=r"nowhere' does not exist.*\*\.lmdb"):
            attempt()


def test_folder_that_is_a_file(tmp_path):
    """A file is no folder."""
    (tmp_path / "file").touch()
    with pytest.raises(EmptySourceError, match="is not a folder"):
        ASELMDBSource(str(tmp_path / "file")).check()


def test_folder_without_a_match(tmp_path):
    """A folder without matching file is an empty source."""
    (tmp_path / "x.db").touch()
    with pytest.raises(EmptySourceError, match=r"no file in .* matches '\*\.aselmdb'"):
        ASELMDBSource(str(tmp_path)).check()


def test_file_url(folder):
    """A file URL is a local path."""
    assert len(ASELMDBSource(f"file://{folder}")) == 3


def test_another_url_is_refused():
    """A URL that cannot be read is refused when the source is built."""
    with pytest.raises(ConfigError, match="ase_lmdb: 'ftp://host/data' cannot be read: local paths can"):
        ASELMDBSource("ftp://host/data")


def test_rows_per_index_must_be_positive():
    """A block has at least one row."""
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        ASELMDBSource("x", rows_per_index=0)


BAD_ENTRIES = {
    "no zlib": ({b"3": b"garbage"}, "row id 3 cannot be read"),
    "no utf-8": ({b"3": zlib.compress(b"\xff\xff")}, "row id 3 cannot be read"),
    "no json": ({b"3": zlib.compress(b'{"numbers": [1')}, "row id 3 cannot be read"),
    "no structure": ({b"3": zlib.compress(b'{"cell": 1}')}, "row id 3 cannot be read"),
    "no dictionary": ({b"3": zlib.compress(b"[1, 2]")}, "row id 3 cannot be read"),
    "wrong shapes": ({b"3": zlib.compress(b'{"numbers": [1], "positions": [[0]]}')}, "row id 3 cannot be read"),
    "no id": ({b"3": zlib.compress(b'{"numbers": [1], "positions": [[0, 0, 0]]}')}, "row id 3 cannot be read"),
    "missing row": ({b"3": None}, "row id 3 cannot be read: .*missing"),
    "bad count": ({b"nextid": b"garbage"}, "list of rows cannot be read"),
    "no count": ({b"nextid": None}, "not an ASE database"),
    "bad deleted ids": ({b"deleted_ids": zlib.compress(b'["x"]')}, "list of rows cannot be read"),
    "a billion rows": ({b"nextid": zlib.compress(b"2000000000")}, r"row id 6 .*claims 1999999999 rows, and has 5"),
    "fewer rows than are there": ({b"nextid": zlib.compress(b"3")}, "it has a row 3, which its entries .* deny"),
    "a count that is text": ({b"nextid": zlib.compress(b'"6"')}, "'nextid' cannot be read: '6' is no integer"),
    "a count that is true": ({b"nextid": zlib.compress(b"true")}, "True is no integer"),
    "a negative count": ({b"nextid": zlib.compress(b"-4")}, "do not fit together"),
    "half a deleted id": (
        {b"deleted_ids": zlib.compress(b"[1.5]")},
        r"'deleted_ids' cannot be read: \[1.5\] is no list",
    ),
    "deleted, and there": ({b"deleted_ids": zlib.compress(b"[2]")}, "it has a row 2, which its entries .* deny"),
    "deleted beyond the end": ({b"deleted_ids": zlib.compress(b"[77]")}, "do not fit together"),
    "one number deleted": ({b"deleted_ids": zlib.compress(b"3")}, "3 is no list of integers"),
    "nested without end": (
        {b"3": zlib.compress(b"[" * 99_999 + b"]" * 99_999)},
        "row id 3 cannot be read: .*recursion",
    ),
    "cut off inside": ({b"3": zlib.compress(bytes(4000))[:-9]}, "row id 3 cannot be read: .*cut off"),
    "unpacks to gigabytes": (
        {b"3": zlib.compress(bytes(130 << 20), 1)},
        "row id 3 cannot be read: .*more than 128 MiB",
    ),
}
ODD_FIELDS: dict[str, Any] = {
    "no element": ({"numbers": [200]}, "atomic number 200 is of no element"),
    "a billion as an element": ({"numbers": [10**9]}, "atomic number 1000000000 is of no element"),
    "an element of text": ({"numbers": ["18"]}, "numbers holds '18', which is no number"),
    "half an element": ({"numbers": [1.5]}, "the atomic numbers are float64"),
    "positions of text": ({"positions": [["0", "0", "1e3"]]}, "positions holds '0', which is no number"),
    "an energy of text": ({"energy": "-3.5"}, "energy is '-3.5', which is no number"),
    "an energy of 400 digits": ({"energy": 10**400}, "int too large"),
    "forces of text": ({"forces": {"__ndarray__": [[1, 3], "<U3", ["1", "2", "3"]]}}, "forces is an array of <U3"),
    "an array larger than its data": (
        {"positions": {"__ndarray__": [[10**9, 3], "float64", [0.0]]}},
        r"an array of shape \[1000000000, 3\] has 1 numbers",
    ),
    "an array smaller than its data": (
        {"positions": {"__ndarray__": [[1, 3], "float64", [0.0, 0.0]]}},
        r"an array of shape \[1, 3\] has 2 numbers",
    ),
    "an array of wide text": (
        {"data": {"x": {"__ndarray__": [[1], "<U299999999", ["x"]]}}},
        "an array of '<U299999999' is larger than 512 MiB",
    ),
    "an impossible shape": (
        {"data": {"x": {"__ndarray__": [[-1], "int64", [1]]}}},
        r"an array of shape \[-1\] has 1 numbers",
    ),
    "pairs that are a list": ({"key_value_pairs": [1]}, r"key_value_pairs is no mapping but \[1\]"),
    "data in data": (
        {"data": json.dumps({"x": {"__ndarray__": [[10**9], "int64", [1]]}})},
        r"an array of shape \[1000000000\] has 1 numbers",
    ),
    "a result among the pairs": ({"key_value_pairs": {"energy": "low"}}, "energy is 'low', which is no number"),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_bad_entry(folder, name):
    """A damaged entry fails its item, with file, row and key; the other items are read."""
    entries, message = BAD_ENTRIES[name]
    _put(folder / "b.aselmdb", entries)
    source = ASELMDBSource(str(folder))
    with pytest.raises(ComponentError, match=message) as caught:
        list(source[1])
    error = caught.value
    assert (error.component, error.key, error.file) == ("ase_lmdb", "b.aselmdb", str(folder / "b.aselmdb"))
    assert str(folder / "b.aselmdb") in str(error)
    assert [len(atoms) for atoms in source[2]] == [1]


@pytest.mark.parametrize("name", ODD_FIELDS)
def test_odd_field(folder, name):
    """A field that is not what it must be fails its row, before memory is asked for or text is taken for numbers."""
    fields, message = ODD_FIELDS[name]
    plain = {"numbers": [18], "positions": [[0, 0, 0]], "unique_id": "x"}
    _put(folder / "b.aselmdb", {b"3": zlib.compress(json.dumps(plain).encode())})
    assert len(list(ASELMDBSource(str(folder))[1])) == 5
    _put(folder / "b.aselmdb", {b"3": zlib.compress(json.dumps(plain | fields).encode())})
    with pytest.raises(ComponentError, match=f"row id 3 cannot be read: .*{message}"):
        list(ASELMDBSource(str(folder))[1])


def test_a_named_pipe_is_not_waited_for(folder):
    """It is an item that fails; the files beside it are read."""
    os.mkfifo(folder / "d.aselmdb")
    source = ASELMDBSource(str(folder))
    position = [source.key(i) for i in range(len(source))].index("d.aselmdb")
    with pytest.raises(ComponentError, match="is a named pipe, not a file"):
        list(source[position])


def test_rows_before_a_bad_one_are_read(folder):
    """Reading fails when it comes to the bad row."""
    _put(folder / "b.aselmdb", {b"3": b"garbage"})
    generator = ASELMDBSource(str(folder))[1]
    assert [len(next(generator)) for _ in range(2)] == [1, 2]
    with pytest.raises(ComponentError):
        next(generator)


BAD_FILES = {
    "empty": (b"", "empty file"),
    "one byte": (b"x", "truncated: 1 bytes|not an LMDB file"),
    "text": (b"This is not a database.\n" * 1000, "not an LMDB file"),
    "zeros": (bytes(100_000), "not an LMDB file"),
    "sqlite": (b"SQLite format 3\0" + bytes(8176), "not an LMDB file"),
}


@pytest.mark.parametrize("rows_per_index", [None, 2])
@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(folder, name, rows_per_index):
    """A file that is no database stays one item, which fails when it is read."""
    content, message = BAD_FILES[name]
    (folder / "b.aselmdb").write_bytes(content)
    source = ASELMDBSource(str(folder), rows_per_index=rows_per_index)
    keys = [source.key(i) for i in range(len(source))]
    with pytest.raises(ComponentError, match=message):
        list(source[keys.index("b.aselmdb")])


def test_dangling_link(folder):
    """A link to nowhere is an item that fails, not one that is forgotten."""
    (folder / "d.aselmdb").symlink_to(folder / "nowhere")
    source = ASELMDBSource(str(folder))
    assert (source.key(3), source.fingerprint(3)) == ("d.aselmdb", None)
    with pytest.raises(ComponentError, match="No such file"):
        list(source[3])


def test_foreign_lmdb_file(folder):
    """An LMDB file that holds something else is not taken for an empty database."""
    (folder / "b.aselmdb").unlink()
    _put(folder / "b.aselmdb", {b"0": b"x", b"length": b"1"})
    with pytest.raises(ComponentError, match="not an ASE database"):
        list(ASELMDBSource(str(folder))[1])


@pytest.fixture
def large_file(tmp_path, write_with_ase):
    """A file with branch, leaf and overflow pages, and its structures' sizes."""
    rows = [(Atoms(f"H{i}"), {"row": i}, {"x": list(range(5000))} if i % 9 == 0 else {}) for i in range(60)]
    write_with_ase(tmp_path / "x.aselmdb", rows)
    return tmp_path / "x.aselmdb"


def test_truncated_file(large_file):
    """Cut off anywhere, a file fails with its size, unless all that is needed is there; never a signal."""
    content = large_file.read_bytes()
    n_failed = 0
    for n_bytes in [*range(0, len(content), 512), *range(1, len(content), 1789)]:
        large_file.write_bytes(content[:n_bytes])
        try:
            assert [len(atoms) for atoms in ASELMDBSource(str(large_file.parent))[0]] == list(range(60))
        except ComponentError as error:
            n_failed += 1
            assert str(n_bytes) in str(error) or not n_bytes  # noqa: PT017 - either outcome is right
    assert n_failed > len(content) // 1024


@pytest.mark.parametrize("n_bytes", [16, 24])
def test_a_meta_page_that_lost_its_end_is_damage(folder, n_bytes):
    """LMDB would take the other one, of an earlier time or of an empty database, and give fewer rows or none."""
    path = folder / "b.aselmdb"
    content = bytearray(path.read_bytes())
    end = 16 + 136  # of a meta page: its last entries are the last page and the transaction
    content[4096 + end - n_bytes : 4096 + end] = bytes(n_bytes)
    path.write_bytes(content)
    with pytest.raises(ComponentError, match="one of its two meta pages"):
        list(ASELMDBSource(str(folder))[1])


def test_file_without_its_unused_end(large_file):
    """A file whose last pages were freed and never written is whole."""
    with connect(large_file, type="aselmdb") as database:
        database.delete([*range(20, 61)])
    sizes = [len(atoms) for atoms in ASELMDBSource(str(large_file.parent))[0]]
    content = large_file.read_bytes()
    n_read = 0
    for n_bytes in range(len(content) // 2, len(content), 4096):
        large_file.write_bytes(content[:n_bytes])
        try:
            assert [len(atoms) for atoms in ASELMDBSource(str(large_file.parent))[0]] == sizes
            n_read += 1
        except ComponentError as error:
            assert "truncated" in str(error)  # noqa: PT017
    assert n_read


_moments = itertools.count()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbage_anywhere(large_file, data):
    """Whatever bytes of a file are overwritten, the item is read or fails; the process goes on."""
    original = large_file.read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        page = data.draw(st.integers(0, len(content) // 4096 - 1))
        position = page * 4096 + data.draw(st.integers(0, 200))
        garbage = data.draw(st.binary(min_size=1, max_size=16))
        content[position : position + len(garbage)] = garbage
    large_file.write_bytes(content)
    os.utime(large_file, ns=(0, next(_moments)))  # the clock of the file system may be too coarse to tell two apart
    try:
        for _ in ASELMDBSource(str(large_file.parent))[0]:
            pass
    except ComponentError:
        pass
    finally:
        large_file.write_bytes(original)
