"""Items without a time: each has one slot, named by its key, in the order of the source."""

from __future__ import annotations

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("zarr")

from curator_core import open_dataset, run_pipeline  # noqa: E402 - needs xarray
from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: E402 - as above
from curator_core.domains.grid import GridZarrSink, NetCDFSource, slot_status  # noqa: E402 - as above
from curator_core.errors import ComponentError, ConfigError, MergeError, RunFailed  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, Listed, block, tree  # noqa: E402 - as above

AXES = {"sample": {"values": "keys"}}
CUTS = (
    {},
    {"chunks": {"sample": 1, "x": 3}, "shards": {"sample": 3}},
    {"chunks": {"sample": 2}, "shards": {"sample": 4, "y": 5}},
    {"chunks": {"y": 2}, "shards": {"y": 4}},
)


def field(seed: int, n: int = 5, names=("u", "v")):
    """A field of one simulation, its Reynolds number, and the day it was made."""
    random = np.random.default_rng(seed)
    arrays = {name: (("y", "x"), random.random((n, n)).astype("f4")) for name in names}
    axes = {"y": np.arange(n) * 1.0, "x": np.arange(n) * 1.0}
    about = {"units": "days since 2020-01-01", "bounds": "made_bnds"}
    made = {"made": ((), seed, about), "made_bnds": ("nv", [seed, seed + 1])}
    return xr.Dataset({**arrays, "reynolds": ((), float(seed))}, {**axes, **made})


@pytest.fixture
def bench(tmp_path):
    """Function that makes a bench of a sink with some arguments."""
    return lambda **arguments: Bench(GridZarrSink(str(tmp_path / "d.zarr"), AXES, **arguments), tmp_path)


@pytest.mark.parametrize("cut", range(len(CUTS)))
def test_bytes_are_those_of_a_build_from_scratch(bench, cut):
    """Whatever was added before, between and behind others, corrected, and taken away; one lacks a variable."""
    made, random = bench(**CUTS[cut]), np.random.default_rng(cut)
    held: dict[str, int] = {}
    previous = None

    def part(key, version):
        return made.part(field(100 * ord(key) + version, names=("u",) if key == "c" else ("u", "v")))

    for step in range(3):
        wanted = {key: held.get(key, 0) for key in sorted({*held, *random.choice(list("abcdefgh"), 3).tolist()})}
        for key in wanted:
            wanted[key] += int(random.random() < 0.2)
        if len(wanted) > 3:
            wanted.pop(str(random.choice(list(wanted))))
        changed = {key for key, version in wanted.items() if held.get(key) != version}
        parts = {key: part(key, version) if key in changed else None for key, version in wanted.items()}
        scratch = {key: part(key, version) for key, version in wanted.items()}
        previous = made.publish(f"{step}.zarr", parts, previous)
        assert tree(previous) == tree(made.publish(f"{step}-scratch.zarr", scratch))
        held = wanted
    found = xr.open_zarr(previous, chunks=None).load()
    assert found["sample"].values.tolist() == list(held)
    assert found["u"].dims == ("sample", "y", "x")
    for key, version in held.items():
        expected, own = field(100 * ord(key) + version), found.sel(sample=key)
        np.testing.assert_array_equal(own["u"], expected["u"])
        assert bool(np.isnan(own["v"]).all()) == (key == "c")
        assert float(own["reynolds"]) == float(expected["reynolds"])
        days = (np.append(own["made"].values, own["made_bnds"].values) - np.datetime64("2020-01-01")).astype("m8[D]")
        assert (days.astype(int) - int(expected["made"])).tolist() == [0, 0, 1]
    assert list(AlignedFiles(location_of(str(previous)), "curator-grid").damages()) == []


def test_files_of_items_that_moved_are_linked(bench):
    """Items of 1 MiB or more are files of their own: one that comes before them changes their names alone."""
    made = bench()
    parts = {key: made.part(field(n, 520, ("u",))) for n, key in enumerate("bc")}
    before = made.publish("a.zarr", parts)
    after = made.publish("b.zarr", {"a": made.part(field(9, 520, ("u",))), "b": None, "c": None}, before)
    assert [path.name for path in sorted((after / "u/c").iterdir())] == ["0", "1", "2"]
    assert (before / "u/c/0/0/0").stat().st_ino == (after / "u/c/1/0/0").stat().st_ino
    assert (before / "u/c/1/0/0").stat().st_ino == (after / "u/c/2/0/0").stat().st_ino


def test_an_item_that_failed_keeps_its_slot_among_the_others(tmp_path, bench):
    """It is marked, and its values are those from before; others come before and behind it."""
    made = bench()
    before = made.publish("a.zarr", {key: made.part(field(ord(key))) for key in "bd"})
    made.sink.set_source(Listed(*"abcd"))
    after = made.publish("b.zarr", {"a": made.part(field(1)), "c": made.part(field(3)), "d": None}, before)
    found = slot_status(after)
    assert found["sample"].values.tolist() == list("abcd")
    assert found["status"].sel(variable="u").values.tolist() == [1, 3, 1, 1]
    np.testing.assert_array_equal(xr.open_zarr(after)["u"].sel(sample="b"), field(ord("b"))["u"])


def test_files_curate_and_one_between_others_is_announced(tmp_path):
    """The plan says how many slots move, none of which is processed; an item on another grid fails by name."""
    folder, output = tmp_path / "runs", tmp_path / "out.zarr"
    folder.mkdir()
    pipeline = lambda: (  # noqa: E731 - a source lists its files when it is made
        NetCDFSource(str(folder))
        .write(GridZarrSink(str(output), AXES))
        .with_settings(resume=True, db_dir=str(tmp_path))
    )
    for name in "bd":
        field(ord(name)).to_netcdf(folder / f"{name}.nc")
    first = pipeline()
    assert "every item has one slot of 'sample'" in " ".join(first.sink.notes()).lower()
    run_pipeline(first, gather=True, progress=False)
    field(ord("c")).to_netcdf(folder / "c.nc")
    second = pipeline()
    assert "1 of 2 slots of 'sample' would move" in " ".join(second.sink.notes())
    assert len(second.remaining_indices()) == 1
    run_pipeline(second, gather=True, progress=False)
    assert open_dataset(output)["sample"].values.tolist() == ["b.nc", "c.nc", "d.nc"]
    field(1, n=6).to_netcdf(folder / "e.nc")
    with pytest.raises(RunFailed, match=r"e\.nc: .*'x' differs from the dataset's.* Where every item has one slot"):
        run_pipeline(pipeline(), gather=True, progress=False)


@pytest.mark.parametrize(
    ("axes", "arguments", "what"),
    [
        ({"sample": {"values": "keys", "units": "m"}}, {}, "leave 'units' out"),
        ({"sample": {"values": "names"}}, {}, "the word 'keys', not 'names'"),
        (AXES, {"members": [1, 2]}, "leave one out"),
    ],
)
def test_axes_that_are_none_are_refused(tmp_path, axes, arguments, what):
    """Before anything is read."""
    with pytest.raises(ConfigError, match=what):
        GridZarrSink(str(tmp_path / "d.zarr"), axes, **arguments)


def test_an_axis_of_times_and_one_of_items_are_never_taken_for_each_other(tmp_path, bench):
    """Of a dataset that is there, of parts that were written before, and of an item that has the dimension itself."""
    made = bench()
    keyed = made.publish("keyed.zarr", {"a": made.part(field(1))})
    timed = Bench(GridZarrSink(str(tmp_path / "t.zarr")), tmp_path)
    times = timed.publish("timed.zarr", {"a": timed.part(block(0, 2))})
    with pytest.raises(ConfigError, match=r"published with axes=\{'sample': \{'values': 'keys'\}\}"):
        GridZarrSink(str(keyed)).check()
    with pytest.raises(ConfigError, match="has values of 'time' as its slots"):
        GridZarrSink(str(times), AXES).check()
    named = Bench(GridZarrSink(str(tmp_path / "n.zarr"), {"sample": {}}), tmp_path)
    numbered = named.part(field(2).drop_vars("made_bnds").assign_coords(sample=3))
    with pytest.raises(MergeError, match="by its key in one of both"):
        made.publish("mixed.zarr", {"a": made.part(field(1).drop_vars("made_bnds")), "b": numbered})
    for other in (made, Bench(GridZarrSink(str(tmp_path / "o.zarr"), {"day": {}}), tmp_path)):  # all of one kind
        with pytest.raises(MergeError, match="with slots along 'time', and axes= of the sink has another axis now"):
            other.publish("other.zarr", {"a": timed.part(block(0, 1))})
    with pytest.raises(MergeError, match=r"with axes=\{'sample': \{'values': 'keys'\}\}, and axes= of the sink"):
        timed.publish("other.zarr", {"a": made.part(field(1))})
    with pytest.raises(MergeError, match="with slots along 'sample', and axes= of the sink has another axis now"):
        timed.publish("other.zarr", {"a": numbered})  # axes= was taken away
    with pytest.raises(Exception, match="has 'sample' itself"):
        made.part(field(2).assign_coords(sample=3))


@pytest.mark.parametrize("others", [[2, 3], [1], [0, 1, 2], ["0", "1"]])
def test_items_with_other_steps_of_their_own_are_refused_by_name(tmp_path, bench, others):
    """Not published with the steps of both, most of them missing: beside the first, the others, and the dataset."""
    made = bench()
    run = lambda steps: xr.Dataset({"u": (("t", "x"), np.ones((len(steps), 2)))}, {"t": steps, "x": [0.0, 1.0]})  # noqa: E731
    parts = {"a": made.part(run([0, 1])), "b": made.part(run(others))}
    said = r"'t' .*Where every item has one slot, .*with axes=\{'t': \{\}\}"
    before = made.publish("a.zarr", {"a": parts["a"]})
    for previous, given in ((None, parts), (before, {**parts, "a": None})):
        with pytest.raises(MergeError, match=f"^1 of 2 items .*'b': {said}"):
            made.publish("both.zarr", given, previous)
    beside = GridZarrSink(str(tmp_path / "first.zarr"), AXES)
    beside(iter([run([0, 1])]), 0)
    with pytest.raises(ComponentError, match=f"Compared with the first item: {said}"):
        beside(iter([run(others)]), 1)


@pytest.mark.parametrize("angles", [[0.0, 1.0, 1.0, 2.0], ["a", "b", "b", "c"]])
def test_a_coordinate_that_has_a_value_twice_is_matched_by_position_alone(bench, angles):
    """As rays of a radar: the same in every item, or which values belong together is not known."""
    made = bench()

    def scan(order):
        rays = np.arange(8.0).reshape(4, 2)[order]
        return xr.Dataset({"u": (("angle", "x"), rays)}, {"angle": np.array(angles)[order], "x": [0.0, 1.0]})

    parts = {"a": made.part(scan([0, 1, 2, 3])), "b": made.part(scan([0, 1, 2, 3]))}
    found = xr.open_zarr(made.publish("same.zarr", parts), chunks=None)
    assert found["angle"].values.tolist() == angles
    np.testing.assert_array_equal(found["u"], np.broadcast_to(np.arange(8.0).reshape(4, 2), (2, 4, 2)))
    for order in ([1, 2, 0, 3], [0, 1, 2]):
        with pytest.raises(MergeError, match=r"'b': 'angle' has .*(two values at the same place|twice)"):
            made.publish("other.zarr", {**parts, "b": made.part(scan(order))})
