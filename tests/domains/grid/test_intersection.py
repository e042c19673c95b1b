"""A dataset of the variables that all items have: which leave it, which come back, and what is said of them."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core import Pipeline, open_dataset, run_pipeline  # noqa: E402 - needs xarray
from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: E402 - as above
from curator_core.domains.grid.dataset import GridDataset, slot_status  # noqa: E402 - as above
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import ConfigError, MergeError  # noqa: E402 - as above
from curator_core.merge.verify import verify_dataset  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, Listed, block, tree  # noqa: E402 - as above

TIMES = {"time": {"start": "2020-01-01", "frequency": "6h"}}


def bench_of(tmp_path, axes=TIMES, **options):
    """A bench whose sink takes the variables that all items have."""
    return Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, variables="intersection", **options), tmp_path)


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, {"chunks": {"time": 2}, "shards": {"time": 4}}),
        (1, {"chunks": {"time": 3}, "duplicate": "last"}),
        (2, {"axes": {"sample": {"values": "keys"}}}),
    ],
)
def test_bytes_are_those_of_a_build_from_scratch(tmp_path, seed, options):
    """Items come, go, and are corrected, with other variables; the dataset has those that are in all of them."""
    made, random = bench_of(tmp_path, **options), np.random.default_rng(seed)
    is_keyed, n_steps = "axes" in options, 3 if "duplicate" in options else 2
    sets = (("t", "n", "p"), ("t", "n", "p"), ("t", "n"), ("t", "p"))
    held: dict[str, tuple[int, tuple[str, ...]]] = {}
    before, seen = None, set()

    def part(key):
        found = block(2 * int(key), n_steps, *held[key])
        return made.part(found.isel(time=0, drop=True) if is_keyed else found)

    for number in range(6):
        changed = {str(n) for n in random.choice(5, 2, replace=False)}
        gone = {key for key in held if random.random() < 0.2} - changed
        held = {key: value for key, value in held.items() if key not in gone}
        held |= {key: (number, sets[random.integers(4)]) for key in changed}
        held = dict(sorted(held.items()))
        made.sink.set_source(Listed(*held))
        parts = {key: part(key) if key in changed else None for key in held}
        after = made.publish(f"{number}.zarr", parts, before)
        assert tree(after) == tree(made.publish(f"scratch-{number}.zarr", {key: part(key) for key in held}))
        common = set.intersection(*(set(names) for _, names in held.values()))
        found = GridDataset.open(after)
        assert set(found.data_vars) == common
        assert set(xr.open_zarr(after).data_vars) == common
        assert set(slot_status(after)["variable"].values) == common
        assert {each.name for each in made.sink.schema(str(after))} == common
        assert set(made.sink.availability(str(after)).variables) == common
        assert list(AlignedFiles(location_of(after), "curator-grid").damages()) == []
        if n_steps == 2:  # no two items have one step
            for position, (key, value) in enumerate(held.items()):
                own = block(2 * int(key), n_steps, *value)["t"].values
                cut = found["t"].values[position] if is_keyed else found["t"].values[2 * int(key) : 2 * int(key) + 2]
                np.testing.assert_array_equal(cut, own[0] if is_keyed else own)
        before = after
        seen.add(frozenset(common))
    assert len(seen) > 1


def test_what_leaves_is_said(tmp_path, caplog):
    """By variable and item; where nothing is left, nothing is published."""
    made = bench_of(tmp_path)
    whole, bare = made.part(block(0, 2, names=("t", "p"))), made.part(block(2, 2, names=("t",)))
    path = made.publish("a.zarr", {"whole": whole, "bare": bare})
    assert "'p' is not in the dataset, but kept for when all items have it: 1 of 2 lack it, bare." in caplog.text
    assert made.sink.describe(str(path))["lacked_by_items"] == "p"
    assert made.sink.describe(str(path))["n_complete"] == 4
    other = made.part(block(4, 2, names=("n",)))
    with pytest.raises(MergeError, match="No variable is in all items: 'n' is not in 'whole'; 'p' is not in 'bare'"):
        made.publish("b.zarr", {"whole": None, "bare": None, "other": other}, path)
    with pytest.raises(ConfigError, match="variables must be 'union'"):
        GridZarrSink("d.zarr", variables=["t"])


def write_day(day, *names):
    with netCDF4.Dataset(f"weather/{day}.nc", "w") as file:
        for dim in ("time", "x"):
            file.createDimension(dim, 2)
            file.createVariable(dim, "i4", (dim,))[:] = [0, 12]
        file["time"].units = f"hours since 2020-01-0{day}"
        for name in names:
            file.createVariable(name, "f4", ("time", "x"))[:] = day


@pytest.mark.parametrize("output", ["out.zarr", "out.icechunk"])
def test_a_variable_comes_back(tmp_path, monkeypatch, output):
    """When the file that lacks it is corrected, here and in a repository."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weather").mkdir()
    sink = {"component": "grid_zarr", "params": {"output_path": output, "variables": "intersection"}}
    given = {"source": {"component": "netcdf", "params": {"root": "weather"}}, "sink": sink}

    def publish():
        pipeline = Pipeline.from_mapping(given, where="test")
        run_pipeline(pipeline.with_settings(resume=True), gather=True, progress=False)
        assert verify_dataset(output) == []
        return set(open_dataset(output).data_vars)

    write_day(1, "t", "p")
    write_day(2, "t", "p")
    assert publish() == {"t", "p"}
    write_day(3, "t")
    assert publish() == {"t"}
    write_day(3, "t", "p")
    assert publish() == {"t", "p"}
    assert open_dataset(output)["p"].values[:, 0].tolist() == [1, 1, 2, 2, 3, 3]
