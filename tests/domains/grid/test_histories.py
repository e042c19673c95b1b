"""Whatever happened to a dataset of slots, its bytes are those of a build from scratch, and no value is lost."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core.datasets.aligned import whole_shards  # noqa: E402 - needs xarray
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import MergeError  # noqa: E402 - as above
from curator_core.pipeline.components import MergeItem  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, block, tree  # noqa: E402 - as above

N_SLOTS = 24
AXES = {
    "ended": {"time": {"start": "2020-01-01", "end": "2020-01-06T18", "frequency": "6h"}},
    "open": {"time": {"start": "2020-01-01", "frequency": "6h"}},
    "listed": {"time": {"values": [1577836800000000 + 21600000000 * n for n in range(N_SLOTS)]}},
}
CUTS = (
    {"chunks": {"time": 1}, "shards": {"time": 4}},
    {"chunks": {"time": 3, "lat": 2, "lon": 4}, "shards": {"time": 6, "lat": 4, "lon": 4}},
    {"chunks": {"time": 5, "lat": 3}, "shards": {"time": 5}},
    {},
)


class History:
    """Random additions, insertions, corrections, removals and retries, one publication after another.

    Parameters
    ----------
    folder
        Where datasets lie.
    seed
        Decides what happens.
    """

    def __init__(self, folder: Path, seed: int, duplicate: str = "fail") -> None:
        self._random = random = np.random.default_rng(seed)
        self._folder = folder
        axes = AXES[str(random.choice(list(AXES)))]
        cut = CUTS[random.integers(len(CUTS))]
        self.sinks = [GridZarrSink(str(folder / "d.zarr"), axes, **cut, duplicate=duplicate)]
        self._overlap = 0 if duplicate == "fail" else 4
        self.sinks.append(pickle.loads(pickle.dumps(self.sinks[0])))
        self._cuts = np.unique([0, *random.integers(1, N_SLOTS, 7), N_SLOTS]).tolist()
        self._held: dict[int, int] = {}  # version by item
        self._published: Path | None = None
        self._n_parts = 0

    def step(self) -> None:
        """Change the items, process them in two processes' sinks in any order, publish, and compare."""
        random = self._random
        wanted = dict(self._held)
        for item in range(len(self._cuts) - 1):
            roll = random.random()
            if roll < 0.3:
                wanted[item] = wanted.get(item, 0) + 1
            elif roll < 0.4:
                wanted.pop(item, None)
        wanted = wanted or {0: 1}
        changed = [
            item for item, version in wanted.items() if self._held.get(item) != version or random.random() < 0.05
        ]
        parts = {int(item): self._part(int(item), wanted[int(item)]) for item in random.permutation(changed)}
        published = self._publish(wanted, parts, self._published)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(whole_shards, "WHOLE_BYTES", int(random.choice([0, 1 << 30])))
            scratch = self._publish(wanted, {item: self._part(item, v) for item, v in wanted.items()}, None)
        assert tree(published) == tree(scratch)
        self._compare(published, wanted)
        self._held, self._published = wanted, published

    def _part(self, item: int, version: int) -> Path:
        self._n_parts += 1
        sink = self.sinks[self._random.integers(2)]
        return Path(sink(iter([self._block(item, version)]), self._n_parts)[0])

    def _block(self, item: int, version: int):
        first, stop = self._cuts[item : item + 2]
        stop = min(stop + self._overlap, N_SLOTS)
        return block(first, stop - first, version, ("t", "n") if item % 3 else ("t", "n", "p"))

    def _publish(self, wanted: dict[int, int], parts: dict[int, Path], previous: Path | None) -> Path:
        items = [
            MergeItem(n, f"k{item}", None, f"{item}-{wanted[item]}", parts.get(item))
            for n, item in enumerate(sorted(wanted))
        ]
        self._n_parts += 1
        path = self._folder / f"{self._n_parts}.zarr"
        self.sinks[0].merge_items(items, None if previous is None else str(previous), str(path))
        return path

    def _compare(self, path: Path, wanted: dict[int, int]) -> None:
        found = xr.open_zarr(path, chunks=None).load()
        expected: dict[str, np.ndarray] = {}
        for item in sorted(wanted):
            for name, variable in self._block(item, wanted[item]).data_vars.items():
                whole = expected.setdefault(str(name), np.full((N_SLOTS, *variable.shape[1:]), np.nan))
                whole[self._cuts[item] : self._cuts[item] + len(variable)] = variable.values
        n_slots = found.sizes["time"]
        for name, whole in expected.items():
            np.testing.assert_array_equal(found[name].values, whole[:n_slots], err_msg=name)
            assert np.isnan(whole[n_slots:]).all()
        status = xr.open_zarr(path, group="slots/time", chunks=None, consolidated=False).load()
        column = status["variable"].values.tolist().index("t")
        given = np.isfinite(expected["t"][:n_slots, 1, 1])
        np.testing.assert_array_equal(status["status"].values[:, column] == 1, given)


@pytest.fixture(params=[0, 1 << 20], ids=["linked", "copied"])
def whole_bytes(request, monkeypatch):
    """Bytes from which on the worker writes a shard that its item fills; others are put together."""
    monkeypatch.setattr(whole_shards, "WHOLE_BYTES", request.param)


def _run(tmp_path: Path, seed: int, n_steps: int, duplicate: str = "fail") -> None:
    history = History(tmp_path, seed, duplicate)
    for _ in range(n_steps):
        history.step()


@pytest.mark.usefixtures("whole_bytes")
@pytest.mark.parametrize("seed", range(4))
def test_bytes_are_those_of_a_build_from_scratch(tmp_path, seed):
    """Items in any order from two processes; variables that some items lack; chunks that items share."""
    _run(tmp_path, seed, 3)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_where_items_overlap(tmp_path, seed):
    """The later item gives a step that two have, and the other one when that is gone, whatever came when."""
    _run(tmp_path, seed, 4, "last")


@pytest.mark.campaign
@pytest.mark.usefixtures("whole_bytes")
@pytest.mark.parametrize("duplicate", ["fail", "last"])
@pytest.mark.parametrize("seed", range(100, 150))
def test_bytes_after_long_histories(tmp_path, seed, duplicate):
    """The same, more of it."""
    _run(tmp_path, seed, 8, duplicate)


def test_bytes_after_an_item_with_a_dimension_of_its_own_is_corrected(tmp_path):
    """What is said of the dataset stands in the same order, whichever items are read anew."""
    bench = Bench(GridZarrSink(str(tmp_path / "d.zarr"), AXES["open"]), tmp_path)

    def layered(seed):
        found = block(0, 2, seed, ("p", "t"))
        return found.assign(p=found["p"].expand_dims(level=[850, 500]).transpose("level", "time", ...))

    before = bench.publish("a.zarr", {"a": bench.part(layered(0)), "b": bench.part(block(2, 2))})
    after = bench.publish("b.zarr", {"a": bench.part(layered(1)), "b": None}, before)
    scratch = bench.publish("c.zarr", {"a": bench.part(layered(1)), "b": bench.part(block(2, 2))})
    assert tree(after) == tree(scratch)


def test_a_slot_has_one_owner(tmp_path):
    """Two items with the same step are both named, and nothing is published."""
    sink = GridZarrSink(str(tmp_path / "d.zarr"), AXES["open"])
    parts = [Path(sink(iter([block(first, 3)]), n)[0]) for n, first in enumerate((0, 2))]
    items = [MergeItem(n, f"k{n}", None, "v", part) for n, part in enumerate(parts)]
    with pytest.raises(MergeError, match=r"'k0' and 'k1' both give 't' at time 2020-01-01T12:00:00"):
        sink.merge_items(items, None, str(tmp_path / "d.zarr"))
