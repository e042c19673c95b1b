"""Windows of grids in PyTorch: the steps that were meant, none over a gap, the same in workers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")

from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - needs xarray
from curator_core.errors import ConfigError, UnknownNameError  # noqa: E402 - as above
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
