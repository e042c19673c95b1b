"""What happens to the files of a random schedule, and what the dataset must be after each publication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from curator_core.datasets.aligned.verifying import AlignedFiles
from curator_core.domains.grid.sinks import GridZarrSink
from curator_core.domains.grid.sources import NetCDFSource
from curator_core.pipeline.components import MergeItem
from curator_core.storage.locations import location_of
from tests.domains.grid.blocks import tree
from tests.domains.grid.gridded_files import ABSENT, DIMS, HOURS, N_SLOTS, Steps, cells, write

START = 1577836800000000
STEP = HOURS * 3600 * 10**6
AXES: dict[str, Any] = {
    "ended": {"time": {"start": "2020-01-01", "end": "2020-01-03T18", "frequency": "6h"}},
    "open": {"time": {"start": "2020-01-01", "frequency": "6h"}},
    "listed": {"time": {"values": [START + STEP * n for n in range(N_SLOTS)]}},
    "learned": None,
}
ABSENT_STATE, PRESENT, MISSING, FAILED, PROVISIONAL = range(5)
CONFIG = "0" * 16


def made(kind: type, state: dict[str, Any]) -> Any:
    """A component in a state: to make one by its arguments, which are checked, takes longer than the rest."""
    found = object.__new__(kind)
    found.__dict__.update(state)
    return found


class Plan:
    """What happens to the files of a schedule, and what the dataset is after it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random = np.random.default_rng(seed)
        self.folder = folder
        self.input = folder / "input"
        self.input.mkdir()
        self.axis = str(random.choice(list(AXES)))
        self.duplicate = str(random.choice(["fail", "last", "prefer=k[0-2]*"], p=[0.6, 0.2, 0.2]))
        self.cut = self._cut() if random.random() < 0.96 else {}
        self.whole_bytes = int(random.choice([0, 1 << 20]))
        self._sink = GridZarrSink(str(folder / "d.zarr"), AXES[self.axis], **self.cut, duplicate=self.duplicate)
        self._sink.set_config_hash(CONFIG)
        self._source = NetCDFSource(str(self.input))
        self.items: dict[str, Steps] = {}
        self._on_disk: dict[str, Steps] = {}
        self._cells: dict[str, list[Any]] = {}
        self.owners: dict[tuple[int, str], tuple[str, Any, int, int]] = {}
        """Key of the item, values, how many of them, and state, by slot and variable."""
        self.is_failing = False
        """Whether something is kept that no build from scratch has: an item as it was before it broke."""

    def _cut(self) -> dict[str, dict[str, int]]:
        most = {"time": 6, "lat": 2, "lon": 3, "level": 2}
        chosen = [d for d in most if d == "time" or self.random.random() < 0.3]
        chunks = {dim: int(self.random.integers(1, most[dim] + 1)) for dim in chosen}
        shards = {dim: n * int(self.random.integers(1 + (n < 3), 5)) for dim, n in chunks.items()}
        return {"chunks": chunks, "shards": shards}

    def sink(self, name: str = "d.zarr") -> GridZarrSink:
        """The sink of the schedule, for one process."""
        sink = made(GridZarrSink, self._sink.__dict__)
        sink._output = str(self.folder / name)
        return sink

    def source(self) -> NetCDFSource:
        """The files as they are."""
        return made(NetCDFSource, self._source.__dict__)

    def begin(self) -> None:
        """Divide the steps among items, in blocks or at random, and write some of them."""
        n_items = int(self.random.integers(2, 6))
        if self.random.random() < 0.5:
            inner = self.random.choice(np.arange(1, N_SLOTS), n_items - 1, replace=False)
            owner = np.searchsorted(np.sort(inner), np.arange(N_SLOTS), side="right")
        else:
            owner = self.random.integers(0, n_items, N_SLOTS)
        owner[[0, 1, N_SLOTS - 1]] = 0  # a learned axis, which grows at its end alone, begins with all of them
        self._shares = [np.flatnonzero(owner == number) for number in range(n_items)]
        for number in range(n_items):
            if not number or self.random.random() < 0.6:
                self._add(number)
        self._write_all()

    def _add(self, number: int) -> None:
        slots = self._shares[number]
        extra = self.duplicate != "fail" or self.random.random() < 0.05
        if not len(slots):
            return
        if extra:
            slots = np.union1d(slots, self.random.integers(0, N_SLOTS, 2))
        names = [name for name in DIMS if not number or self.random.random() < 0.7] or ["t"]
        self.items[f"k{number}.nc"] = Steps(tuple(slots.tolist()), tuple(names), self._seed(), is_plain=not number)

    def _seed(self) -> int:
        return int(self.random.integers(1 << 30))

    def change(self) -> None:
        """Items come, are corrected, break and go; the first one stays, which says how the grid lies."""
        for number in range(len(self._shares)):
            key, roll = f"k{number}.nc", self.random.random()
            if key not in self.items:
                if roll < 0.5:
                    self._add(number)
            elif roll < 0.25:
                self.items[key] = self.items[key].corrected(self._seed())
            elif number and roll < 0.35:
                steps = self.items[key].corrected(self._seed())
                self.items[key] = Steps(steps.slots, steps.names, steps.seed, is_broken=True)
            elif number and roll < 0.45:
                del self.items[key]
        self._write_all()

    def _write_all(self) -> None:
        self.items = dict(sorted(self.items.items()))
        for path in self.input.glob("*.nc"):
            if path.name not in self.items:
                path.unlink()
        for key, steps in self.items.items():
            if self._on_disk.get(key) != steps:
                write(self.input / key, steps)
                self._cells[key] = [] if steps.is_broken else list(cells(self.input / key))
        self._on_disk = dict(self.items)

    def expected(self) -> dict[tuple[int, str], tuple[str, Any, int, int]] | None:
        """Who gives what; ``None`` where two items give the same, and neither goes before the other."""
        found: dict[tuple[int, str], tuple[str, Any, int, int]] = {}
        ranks: dict[tuple[int, str], tuple[bool, int]] = {}
        clashes = set()
        order = [key for key, steps in self.items.items() if not steps.is_broken]
        for number, key in enumerate(order):
            for slot, name, values, n_values, is_late in self._cells[key]:
                rank, other = (not is_late, self._rank(number, key)), ranks.get((slot, name))
                if rank == other:
                    clashes.add((slot, name))
                elif other is None or rank > other:
                    clashes.discard((slot, name))
                    ranks[slot, name] = rank
                    found[slot, name] = key, values, n_values, PROVISIONAL if is_late else PRESENT
        if clashes:
            return None
        for place, (key, values, n_values, _) in self.owners.items():
            if key in self.items and self.items[key].is_broken and place not in found:
                found[place] = key, values, n_values, FAILED
        return found

    def _rank(self, number: int, key: str) -> int:
        if self.duplicate == "last":
            return number
        return int(self.duplicate != "fail" and fnmatchcase(key, self.duplicate.partition("=")[2]))

    def compare(self, path: Path) -> None:
        """The dataset has every value, in its slot, with its state, and no other."""
        group: Any = zarr.open_group(path, mode="r")
        kept = {key for key, state in zip(group["items/key"][:], group["items/state"][:], strict=True) if state}
        self.is_failing = bool(kept)
        assert {key for key, *_, state in self.owners.values() if state == FAILED} <= kept
        assert all(self.items[key].is_broken for key in kept)
        slots = ((group["time"][:] - START) // STEP).tolist()
        assert (START + STEP * np.array(slots) == group["time"][:]).all()
        last = max(slot for slot, _ in self.owners)
        if self.axis in ("ended", "listed"):
            assert slots == list(range(N_SLOTS))
        elif self.axis == "open":
            assert slots == list(range(last + 1))
        names = sorted({name for _, name in self.owners})
        assert group["slots/time/variable"][:].tolist() == names
        states, counts = group["slots/time/status"][:], group["slots/time/n_cells"][:]
        given = {slot for slot, _ in self.owners}
        assert given <= set(slots), given - set(slots)
        for column, name in enumerate(names):
            values = group[name][:]
            for row, slot in enumerate(slots):
                absent = None, ABSENT.get(name, np.nan), 0, MISSING if slot in given else ABSENT_STATE
                _, wanted, n_values, state = self.owners.get((slot, name), absent)
                assert (int(states[row, column]), int(counts[row, column])) == (state, n_values), (slot, name)
                whole = np.broadcast_to(np.asarray(wanted, values.dtype), values[row].shape)
                np.testing.assert_array_equal(values[row], whole, err_msg=f"{name} {slot}")
        assert list(AlignedFiles(location_of(str(path)), "curator-grid").damages()) == []


def items_of(path: Path) -> list[MergeItem]:
    """The items that a dataset has, by its own table."""
    group: Any = zarr.open_group(path, mode="r")["items"]
    columns = zip(*(group[name][:].tolist() for name in ("key", "fingerprint", "version")), strict=True)
    return [MergeItem(number, key, mark, version, None) for number, (key, mark, version) in enumerate(columns)]


def compare_with_scratch(plan: Plan, items: Sequence[MergeItem], number: int) -> None:
    """The bytes are those of a build of all items in a new place."""
    path, sink, source = plan.folder / "d.zarr", plan.sink(f"scratch-{number}.zarr"), plan.source()
    index = {source.key(n): n for n in range(len(source))}
    parts = [Path(sink(iter(source[index[item.key]]), n)[0]) for n, item in enumerate(items)]
    sink.merge_items([replace(i, shard=part) for i, part in zip(items, parts, strict=True)], None, sink.output_path)
    one, other = tree(path), tree(Path(sink.output_path))
    one.pop("croissant.json", None)  # the record of a run, which the sink alone does not write
    assert one.keys() == other.keys()
    different = [name for name in one if one[name] != other[name]]
    assert not different, different
