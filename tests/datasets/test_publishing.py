"""What a publication writes, links and refuses."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
pytest.importorskip("ase")

from curator_core.datasets.layout import Axis, FixedFormat, Layout, Rows  # noqa: E402 - needs zarr
from curator_core.datasets.parts import MAX_FILE_BYTES, Part, write_part  # noqa: E402 - as above
from curator_core.datasets.published import PublishedRagged  # noqa: E402 - as above
from curator_core.datasets.publishing import publish_ragged  # noqa: E402 - as above
from curator_core.datasets.segments import Segments, cut, segment_id  # noqa: E402 - as above
from curator_core.errors import ComponentError, ConfigError, MergeError  # noqa: E402 - as above
from curator_core.formats.arrays import ArraySpec  # noqa: E402 - as above
from curator_core.pipeline.components import MergeItem  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from tests.datasets.kinds import MESHES, MeshesSink, content, tree  # noqa: E402 - as above


def _large(n_chunks=5):
    """A format whose shards are of a megabyte, and the rows of an item of some chunks."""
    layout = Layout((Axis("row", 1 << 14, 1 << 16),))
    ragged = FixedFormat("large", [ArraySpec("x", "float64", ("row", "y"), (2,))], layout)
    return ragged, Rows(n_chunks << 14, {"x": np.random.default_rng(0).random((n_chunks << 14, 2))})


@pytest.fixture
def meshes(tmp_path):
    """Function that writes parts of items with some versions and publishes them."""
    sink = MeshesSink(str(tmp_path / "d.zarr"))

    def publish(name, versions, previous=None, without=()):
        items = []
        for index, (key, version) in enumerate(versions.items()):
            part = tmp_path / f"{key}-{version}.part"
            if not part.exists():
                sink.write_shard(iter(content("meshes", key, version)), str(part))
            items.append(MergeItem(index, key, None, str(version), None if key in without else part))
        sink.merge_items(items, None if previous is None else str(previous), str(tmp_path / name))
        return tmp_path / name

    return publish


def _new_bytes(folder, before):
    known = {path.stat().st_ino for path in Path(before).rglob("*")}
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.stat().st_ino not in known}


def test_what_did_not_change_is_linked(meshes):
    """An item in the middle: its files, the tables, and where the rows of those behind it begin are new."""
    first = meshes("a.zarr", {"a": 1, "b": 4, "d": 3})
    second = meshes("b.zarr", {"a": 1, "b": 4, "c": 5, "d": 3}, first, without=("a", "b", "d"))
    new = {name for name in _new_bytes(second, first) if not name.endswith("zarr.json")}
    tables = {name for name in new if name.startswith(("items/", "segments/"))}
    published = PublishedRagged(location_of(second), MeshesSink(str(second)).ragged)
    places = {}
    for axis in published.layout.axes:
        begin = int(published.tables.shard[axis.name][2])
        places[axis.name] = range(begin, begin + axis.n_shards(int(published.tables.rows[axis.name][2])))
    behind = range(places["mesh"].stop, 99)
    for name in new - tables:
        array, _, shard = name.partition("/c/")
        number, dims = int(shard.split("/")[0]), zarr.open_group(second, mode="r")[array].metadata.dimension_names
        assert number in places[dims[0]] or (array in ("point_start", "cell_start") and number in behind), name
    assert new - tables


def test_what_did_not_change_is_copied_where_there_are_no_links(meshes, monkeypatch):
    """The bytes are the same, also of items that move; a file that is missing is named."""
    first = meshes("a.zarr", {"a": 1, "b": 4, "d": 3})
    expected = tree(meshes("b.zarr", {"d": 3, "a": 1}))

    def no_links(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    copied = meshes("c.zarr", {"d": 3, "a": 1}, first, without=("a", "d"))
    assert tree(copied) == expected
    (first / "xyz" / "c" / "0" / "0").unlink()
    with pytest.raises(MergeError, match=r"a\.zarr: xyz/c/0/0 is missing"):
        meshes("d.zarr", {"d": 3, "a": 1}, first, without=("a", "d"))


def test_a_part_that_is_a_folder_is_linked(tmp_path):
    """Its files are those of the dataset, durable already; a small one is a file."""
    ragged, rows = _large()
    write_part(tmp_path / "large.part", ragged, rows)
    write_part(tmp_path / "small.part", ragged, Rows(1, {"x": np.ones((1, 2))}))
    assert (tmp_path / "large.part").is_dir()
    assert (tmp_path / "small.part").stat().st_size < MAX_FILE_BYTES
    items = [MergeItem(i, n, None, "v", tmp_path / f"{n}.part") for i, n in enumerate(["large", "small"])]
    publish_ragged(ragged, items, None, tmp_path / "d.zarr")
    links = {path.stat().st_ino for path in (tmp_path / "large.part").iterdir()}
    assert (tmp_path / "d.zarr" / "x" / "c" / "0" / "0").stat().st_ino in links
    group = zarr.open_group(tmp_path / "d.zarr", mode="r")
    np.testing.assert_array_equal(group["x"][:][group["is_valid"][:]], [*rows.values["x"], [1, 1]])


def test_other_chunks_are_encoded_anew(tmp_path, meshes):
    """From parts, and from a dataset before, that were written with other sizes."""
    first = meshes("a.zarr", {"a": 1, "b": 4})
    other = FixedFormat("test_meshes", MESHES, Layout((Axis("mesh", 3, 3), Axis("point", 2, 4), Axis("cell", 5, 5))))
    items = [MergeItem(i, n, None, str(v), tmp_path / f"{n}-{v}.part") for i, (n, v) in enumerate([("a", 1), ("b", 4)])]
    held = [MergeItem(item.index, item.key, None, item.version, None) for item in items]
    publish_ragged(other, items, None, tmp_path / "parts.zarr")
    publish_ragged(other, held, first, tmp_path / "held.zarr")
    assert tree(tmp_path / "parts.zarr") == tree(tmp_path / "held.zarr")
    assert zarr.open_group(tmp_path / "held.zarr", mode="r")["xyz"].shards == (4, 3)


def test_other_libraries_open_it(meshes):
    """Xarray with dimensions that fit, dask, and plain Zarr."""
    xarray, dask = pytest.importorskip("xarray"), pytest.importorskip("dask.array")
    path = meshes("a.zarr", {"a": 1, "b": 4})
    dataset = xarray.open_zarr(str(path)).load()
    expected = np.concatenate([content("meshes", k, v)[0].values["step"] for k, v in (("a", 1), ("b", 4))])
    assert dataset["step"].dims == ("mesh",)
    assert dataset["step"].where(dataset["is_valid"], drop=True).values.tolist() == expected.tolist()
    assert dataset["xyz"].attrs["units"] == "m"
    assert dask.from_zarr(str(path), component="xyz").shape == dataset["xyz"].shape


def test_folders_of_a_dataset_are_durable_and_links_are_left_alone(tmp_path, monkeypatch):
    """Files that have another name are not synced again; those that are new are."""
    from curator_core.storage import atomic

    synced = []
    monkeypatch.setattr(
        "curator_core.storage.atomic.os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino)
    )
    staged = tmp_path / "staged"
    staged.mkdir()
    (tmp_path / "old").write_text("old")
    os.link(tmp_path / "old", staged / "old")
    (staged / "new").write_text("new")
    inodes = {name: (staged / name).stat().st_ino for name in ("old", "new")}
    atomic.publish_directory(staged, tmp_path / "target")
    assert inodes["new"] in synced
    assert inodes["old"] not in synced


@pytest.mark.parametrize("damage", ["head", "file", "size", "content", "gone"])
def test_a_damaged_part_is_named(tmp_path, damage):
    """Whatever it lost: its head, a file, the end of one; bytes that are read are compared with what was written."""
    ragged, rows = _large()
    part = tmp_path / "a.part"
    write_part(part, ragged, rows)
    found = {
        "head": lambda: (part / "head.json").write_text("{"),
        "file": (part / "1.0").unlink,
        "size": lambda: (part / "1.0").write_bytes(b"x"),
        "gone": lambda: part.rename(tmp_path / "b"),
        "content": lambda: _flip(part / "1.0"),
    }
    found[damage]()
    item = MergeItem(0, "a", None, "v", part)
    # A link reads nothing; who reads compares.
    act = Part(part).files if damage == "content" else lambda _: publish_ragged(ragged, [item], None, tmp_path / "d")
    with pytest.raises(MergeError, match=r"a\.part cannot be read .*process its item again"):
        act("x")


def _flip(file):
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)


def _segments(items, layout):
    """Segments of items, given the key and the rows of each."""
    rows = {axis.name: np.array([n[axis.name] for _, n in items]) for axis in layout.axes}
    n_items = cut((key for key, _ in items), rows, layout)
    stops = np.cumsum(n_items)
    pairs = [(key, "v") for key, _ in items]
    ids = [segment_id(pairs[stop - n : stop], layout) for n, stop in zip(n_items, stops, strict=True)]
    return Segments(layout, ids, n_items, rows)


def test_boundaries_depend_on_what_is_in_a_segment():
    """One item a segment, or several up to a file's rows; an item more moves boundaries up to the next one of a key."""
    axes = (Axis("row", 1, 10), Axis("point", 1, 100))
    items = [(f"k{i}", {"row": i % 4, "point": 30 * (i % 3)}) for i in range(400)]
    assert [(s.start, s.stop) for s in _segments(items, Layout(axes))] == [(i, i + 1) for i in range(400)]
    layout = Layout(axes, items_per_segment=5)
    found = _segments(items, layout)
    assert [s.start for s in found][1:] == [s.stop for s in found][:-1]
    assert 60 < len(found) < 200
    assert all(s.rows["row"] <= 10 and s.rows["point"] <= 100 for s in found)
    for axis in ("row", "point"):
        assert [s.rows[axis] for s in found] == [sum(n[axis] for _, n in items[s.start : s.stop]) for s in found]
    inserted = _segments([*items[:100], ("new", {"row": 1, "point": 5}), *items[100:]], layout)
    assert len({s.id for s in inserted} - {s.id for s in found}) <= 6


def test_ids_of_segments_are_those_of_json():
    """They are in published datasets: other ones would have all of it written anew."""
    layout = Layout((Axis("row", 1, 10),))
    items = [("a", "v1"), ('q"\\', "v2"), ("é\n\ud800", "")]
    for own in (items, items[:1], []):
        text = json.dumps([layout.signature, *map(list, own)])
        assert segment_id(own, layout) == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Axis("row", 3, 4),
        lambda: Layout((Axis("row", 1, 1), Axis("row", 1, 1))),
        lambda: Layout((Axis("row", 1, 1),), items_per_segment=0),
        lambda: FixedFormat("x", [ArraySpec("is_valid", "bool", ("row",))], Layout((Axis("row", 1, 1),))),
        lambda: FixedFormat("x", [ArraySpec("items/a", "bool", ("row",))], Layout((Axis("row", 1, 1),))),
        lambda: FixedFormat("x", [ArraySpec("a", "bool", ("column",))], Layout((Axis("row", 1, 1),))),
    ],
)
def test_layouts_that_cannot_be(make):
    """Refused before anything is written."""
    with pytest.raises(ConfigError):
        make()


def test_what_is_no_dataset_of_the_format_is_named(tmp_path, meshes):
    """Another's, a newer one, and tables that contradict each other."""
    path = meshes("a.zarr", {"a": 1, "b": 4})
    ragged = MeshesSink(str(path)).ragged
    with pytest.raises(ComponentError, match="no Zarr group"):
        PublishedRagged(location_of(tmp_path / "nothing.zarr"), ragged)
    other = FixedFormat("other", MESHES, ragged.layout)
    with pytest.raises(ComponentError, match="no dataset of 'other'"):
        PublishedRagged(location_of(path), other)
    rows = path / "segments" / "n_points" / "c" / "0"
    (path / "segments" / "n_cells" / "c" / "0").write_bytes(rows.read_bytes())
    with pytest.raises(ComponentError, match=r"a\.zarr is damaged: the list of its items"):
        PublishedRagged(location_of(path), ragged).tables  # noqa: B018 - read there
    zarr.open_group(path, mode="r+").attrs["format_version"] = 3
    with pytest.raises(ComponentError, match="format version 3, this version of curator reads 2"):
        PublishedRagged(location_of(path), ragged)


@pytest.mark.parametrize(("n_rows", "n_items", "advised"), [(1, 100, 64), (1000, 100, 32), (60_000, 100, 0), (1, 9, 0)])
def test_small_items_are_advised_to_share_files(tmp_path, caplog, n_rows, n_items, advised):
    """As many as fill half a file; nothing is said of few items, and of large ones."""
    ragged, _ = _large()
    write_part(tmp_path / "a.part", ragged, Rows(n_rows, {"x": np.zeros((n_rows, 2))}))
    items = [MergeItem(i, f"k{i}", None, "v", tmp_path / "a.part") for i in range(n_items)]
    with caplog.at_level("INFO", "curator"):
        publish_ragged(ragged, items, None, tmp_path / "d.zarr")
    said = [message for message in caplog.messages if "items_per_segment" in message]
    assert [f"items_per_segment={advised} " in message for message in said] == ([True] if advised else [])
