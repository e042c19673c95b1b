"""Windows of grids in PyTorch: the steps that were meant, none over a gap, the same in workers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")

from curator_core import open_dataset  # noqa: E402 - needs xarray
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - needs xarray
from curator_core.errors import ComponentError, ConfigError, UnknownNameError  # noqa: E402 - as above
from curator_core.filters.statistics import StatisticsFilter  # noqa: E402 - as above
from curator_core.pipeline.components import MergeItem  # noqa: E402 - as above
from curator_core.reading.torch import Normalization, TimeWindows, TrainingLoader  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, block  # noqa: E402 - as above


def values(step):
    return block(step, 1, names=["t"])["t"].values[0]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A dataset with a gap, a step without the field, and one that will be replaced."""
    folder = tmp_path_factory.mktemp("windows")
    made = Bench(
        GridZarrSink(str(folder / "d.zarr"), {"time": {"start": "2020-01-01", "frequency": "6h"}}, chunks={"time": 3}),
        folder,
    )
    items = [block(n, 1, names=["t", "n"]) for n in (0, 1, 2, 3, 4, 5, 8, 9, 10, 11)]
    items[7] = items[7].drop_vars("t")
    items[9]["t"].attrs["GRIB_expver"] = "5"
    parts = enumerate(made.part(item) for item in items)
    merged = [MergeItem(n, str(n), None, str(n), part, "train" if n < 5 else "test") for n, part in parts]
    made.sink.merge_items(merged, None, str(folder / "a.zarr"))
    return folder / "a.zarr"


def test_steps_are_those_that_were_meant(path):
    """Before and after, by lengths of time and by numbers of steps."""
    for offsets in ((["-6h", 0], ["12h"]), ([np.int64(-1), np.timedelta64(0, "h")], [2])):
        before, after = offsets
        windows = TimeWindows(path, before, after, names=["t"])
        assert windows.slots.tolist() == [1, 2, 3]
        for window, slot in zip(windows.__getitems__([2, 0, 1]), (3, 1, 2), strict=True):
            assert window["slot"] == slot
            np.testing.assert_array_equal(window["inputs"]["t"].numpy(), np.stack([values(slot - 1), values(slot)]))
            np.testing.assert_array_equal(window["targets"]["t"].numpy(), values(slot + 2)[None])


def test_no_window_reaches_over_a_gap(path):
    """Nor over a step without the variable, or a provisional one; those are asked for by name."""
    assert TimeWindows(path, [0], ["6h"], names=["t"]).slots.tolist() == [0, 1, 2, 3, 4]
    assert TimeWindows(path, [0], ["6h"], names=["n"]).slots.tolist() == [0, 1, 2, 3, 4, 8, 9, 10]
    assert TimeWindows(path, [0], ["6h"], names=["n"])[0]["inputs"]["n"].dtype == torch.int16
    both = TimeWindows(path, [0], ["6h"], names=["n"], target_names=["t"], states=["present", "provisional"])
    assert both.slots.tolist() == [0, 1, 2, 3, 4, 9, 10]


def test_a_period_holds_whole_windows(path):
    """Its end is not in it."""
    windows = TimeWindows(path, ["-6h", 0], ["6h"], names=["t"], period=("2020-01-01T06", "2020-01-02T06"))
    assert windows.slots.tolist() == [2, 3]
    assert windows.times.astype("M8[us]").astype("M8[h]").astype(str).tolist() == ["2020-01-01T12", "2020-01-01T18"]


def test_a_split_holds_whole_windows(path):
    """None has steps of two."""
    slots = [TimeWindows(path, [0], ["6h"], names=["n"], split=name).slots.tolist() for name in ("train", "test")]
    assert slots == [[0, 1, 2, 3], [8, 9, 10]]


def test_normalised_and_converted(path):
    """By the statistics of the variable, in double precision."""
    scale = Normalization({"t": 0.5}, {"t": 2.0})
    window = TimeWindows(path, [0], [1], names=["t"], normalization=scale, dtype=torch.float64)[0]
    assert window["inputs"]["t"].dtype == torch.float64
    np.testing.assert_allclose(window["inputs"]["t"].numpy(), (values(0)[None] - 0.5) / 2.0, rtol=1e-6)


def test_levels_are_normalised_by_their_own_statistics(tmp_path):
    """In the order of the dataset, and back again; never by numbers of other levels."""
    pytest.importorskip("datasketches")
    levels = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("f4") * [[1], [20], [0]] + [[250], [290], [7]]
    field = {"t": (("time", "level", "x"), levels.astype("f4")), "n": (("time", "x"), levels[:, 0])}
    times = np.datetime64("2020-01-01") + np.timedelta64(6, "h") * np.arange(4)
    given = xr.Dataset(field, {"time": times, "level": np.array([850, 500, 70]), "x": np.arange(5.0)})
    step = StatisticsFilter(str(tmp_path / "s.parquet"), by=["level"])
    list(step(iter([given.isel(level=[2, 1, 0])])))
    step.write_shard(str(tmp_path / "shard"))
    step.merge([str(tmp_path / "shard")], step.output_path)
    made = Bench(GridZarrSink(str(tmp_path / "d.zarr")), tmp_path)
    path, turned, fewer = (
        made.publish(name, {"a": made.part(given.isel(level=order))})
        for name, order in (("d.zarr", [0, 1, 2]), ("e.zarr", [1, 0, 2]), ("f.zarr", [0, 1]))
    )
    fields = {"t": "t", "n": "n"}
    scale = Normalization.from_statistics(step.output_path, fields, open_dataset(path))
    assert scale.means["t"].shape == (3, 1)
    windows = TimeWindows(path, [0], [0], normalization=scale)
    found = windows.collate(windows.__getitems__(range(4)))["inputs"]["t"]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.mean(dim=(0, 1, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std(dim=(0, 1, 3), correction=0), [1.0, 1.0, 0.0], rtol=1e-5)
    np.testing.assert_allclose(scale.invert("t", found)[:, 0], field["t"][1], rtol=1e-6)
    with pytest.raises(ConfigError, match=r"shape \(4, 5\) do not end in the levels that \(3, 1\) numbers"):
        scale.apply("t", torch.zeros(4, 5))
    for other in (turned, fewer):
        with pytest.raises(ConfigError, match="'t' is for other values of 'level' than the dataset has"):
            TimeWindows(other, [0], [0], normalization=scale)
    with pytest.raises(ConfigError, match="has 't' along level: give the dataset"):
        Normalization.from_statistics(step.output_path, fields)
    single = Normalization.from_statistics(step.output_path, {"t": "t[level=500]"})
    assert single.means["t"] == pytest.approx(levels[:, 1].mean(), rel=1e-6)
    with pytest.raises(ComponentError, match="no statistics of 't' at level=0"):
        Normalization.from_statistics(step.output_path, fields, open_dataset(path).drop_vars("level").isel(level=[2]))


@pytest.mark.parametrize("n_workers", [0, 1])
def test_batches_are_resumed(path, n_workers):
    """Through the loader, of windows that were pickled, from where another one was."""
    windows = pickle.loads(pickle.dumps(TimeWindows(path, [0], ["6h"], names=["t"])))
    options = {"batch_size": 2, "seed": 1, "num_workers": n_workers}
    whole = [batch["slot"].tolist() for batch in TrainingLoader(windows, **options)]
    assert sorted(slot for batch in whole for slot in batch) == [0, 1, 2, 3, 4]
    first = TrainingLoader(windows, **options)
    batch = next(iter(first))
    assert batch["inputs"]["t"].shape == (2, 1, 5, 6)
    rest = TrainingLoader(windows, **options)
    rest.load_state_dict(first.state_dict())
    assert [batch["slot"].tolist() for batch in rest] == whole[1:]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": ["soon"]}, ConfigError, "'soon' is no length of time"),
        ({"inputs": [-6.0]}, ConfigError, "-6.0 has no unit"),
        ({"inputs": []}, ConfigError, "one step at least"),
        ({"inputs": ["5h"]}, ConfigError, r"no window: of 12 steps, 0 have"),
        ({"period": ("2019", "2020")}, ConfigError, "0 of these in the period"),
        ({"period": ("soon", "later")}, ConfigError, "period must be"),
        ({"names": ["q"]}, UnknownNameError, "'q'"),
        ({"states": ["missing"]}, UnknownNameError, "'missing'"),
        ({"split": "validation"}, UnknownNameError, "'validation'. Known: test, train"),
    ],
)
def test_what_is_wrong_is_said(path, arguments, error, message):
    """When the windows are made."""
    with pytest.raises(error, match=message):
        TimeWindows(path, **{"names": ["t"], **arguments})
