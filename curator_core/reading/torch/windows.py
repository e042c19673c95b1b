"""Windows of a dataset of grids in time: some steps to predict from, some to predict."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, default_collate

from curator_core.datasets.aligned.axis import EPOCH, TOLERANCE, SlotAxis
from curator_core.datasets.aligned.keyed.axis import KeyAxis
from curator_core.datasets.aligned.published import PublishedAligned
from curator_core.datasets.aligned.slots import Status, slots_of_split
from curator_core.datasets.versions import locate_version
from curator_core.errors import ConfigError, UnknownNameError
from curator_core.formats.dataset_files import DatasetFiles
from curator_core.reading.opening import open_dataset
from curator_core.reading.readers import require_split
from curator_core.storage.local import LocalLocation
from curator_core.storage.objects.mirror import readable_folder

if TYPE_CHECKING:
    import xarray as xr

    from curator_core.reading.torch.normalization import Normalization

Window: TypeAlias = dict[str, Any]
"""``inputs`` and ``targets``, tensors ``(n_steps, *cells)`` by variable, and ``slot``, the position of the step 0."""
Positions = npt.NDArray[np.int64]


class TimeWindows(Dataset[Window]):
    """Windows of a dataset of grids for PyTorch's ``DataLoader``, safe in workers that are forked or spawned.

    There is a window at every step of the axis around which all steps that it needs are there: a window never reaches
    over a gap, nor has values that no source gave.

    Parameters
    ----------
    path
        The dataset: a folder, or a repository.
    inputs, targets
        Which steps a window has, from its step 0: lengths of time, such as ``"-6h"`` or ``timedelta(hours=6)``, or
        whole numbers, which count steps of the axis.
    names
        Variables of the inputs; all variables of numbers along the steps, unless given.
    target_names
        Variables of the targets; those of the inputs, unless given.
    period
        First time, and the first one after the last: windows lie in it with all of their steps.
    split
        The split that is wanted, such as ``"train"``: windows lie in it with all of their steps, as in `period`.
    states
        States in which a step is there: add ``"provisional"``, or ``"failed"`` for values from before an item changed.
    dtype
        Type to which numbers with a fraction are converted.
    normalization
        What is subtracted, and by what is divided.
    version
        The version that is wanted, as of `curator_core.open_dataset`.
    transform
        Called with each window; must be picklable where workers are spawned.

    Raises
    ------
    ConfigError
        The dataset has no steps, an offset is none, there is no window, or what normalises is for other levels; the
        message says why.
    UnknownNameError
        There is no such variable, state or split.
    """

    def __init__(
        self,
        path: str | Path,
        inputs: Sequence[Any] = ("-6h", 0),
        targets: Sequence[Any] = ("6h",),
        names: Collection[str] | None = None,
        *,
        target_names: Collection[str] | None = None,
        period: tuple[str, str] | None = None,
        split: str | None = None,
        states: Collection[str] = ("present",),
        dtype: torch.dtype | None = None,
        normalization: Normalization | None = None,
        version: str | None = None,
        transform: Callable[[Window], Window] | None = None,
    ) -> None:
        folder = readable_folder(path if version is None else locate_version(path, version)).absolute()
        self._dataset: xr.Dataset = open_dataset(folder)
        found = PublishedAligned(LocalLocation(folder), str(DatasetFiles(folder).attributes.get("format")))
        self.identity = found.content_hash
        """Changes with the content of the dataset."""
        if found.axis.inner:
            raise ConfigError(
                f"{folder} has steps along {found.axis.name!r} and {found.axis.inner[0].name!r}: windows have one time."
            )
        if isinstance(found.axis, KeyAxis) and (period is not None or any(n != 0 for n in (*inputs, *targets))):
            raise ConfigError(
                f"{folder} has items along {found.axis.name!r}, which are no steps of a time: a window is one of them, "
                "with inputs=[0] and targets=[0], and without a period."
            )
        self._axis, self._arrays = found.axis, found.arrays
        shown = {n: a for n, a in found.arrays.items() if n not in found.aside}
        known = [n for n, a in shown.items() if not a.is_coordinate and _is_number(a.dtype)]
        self.names = {"inputs": list(known if names is None else names)}
        """Variables of the inputs and of the targets."""
        self.names["targets"] = list(self.names["inputs"] if target_names is None else target_names)
        for name in {*self.names["inputs"], *self.names["targets"], *(normalization.means if normalization else ())}:
            if name not in known:
                raise UnknownNameError.of("variable of numbers", name, known)
        if normalization is not None:
            normalization.check_levels(self._dataset)
        times = found.axis.coordinates(found.n_slots)
        steps = {"inputs": _steps(found.axis, times, inputs), "targets": _steps(found.axis, times, targets)}
        there = {part: _is_there(found, own, states) for part, own in self.names.items()}
        is_inside = _is_inside(found.axis, times, period)
        if split is not None:
            require_split(split, set(found.splits().values()), folder)
            is_inside &= slots_of_split(found.slots.owner, found.items["split"], split)[0]
        self.slots, self._steps = _windows(steps, there, is_inside, len(times))
        self._dtype, self._normalization, self._transform = dtype, normalization, transform

    @property
    def times(self) -> npt.NDArray[Any]:
        """Time of the step 0 of every window, as the dataset counts it."""
        return self._axis.coordinates(int(self.slots[-1]) + 1)[self.slots]

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, index: int) -> Window:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Window]:
        """Windows at some positions, in their order; steps that several of them have are read once."""
        chosen = np.asarray(indices, np.int64)
        steps = {part: every[chosen] for part, every in self._steps.items()}
        parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in steps}
        for name in dict.fromkeys([*self.names["inputs"], *self.names["targets"]]):
            wanted = {part: positions for part, positions in steps.items() if name in self.names[part]}
            needed = np.unique(np.concatenate([positions.ravel() for positions in wanted.values()]))
            rows = self._rows(name, needed)
            for part, positions in wanted.items():
                parts[part][name] = self._prepared(name, rows[np.searchsorted(needed, positions)])
        windows: list[Window] = [
            {part: {name: parts[part][name][n] for name in names} for part, names in self.names.items()}
            | {"slot": int(self.slots[index])}
            for n, index in enumerate(chosen.tolist())
        ]
        return windows if self._transform is None else [self._transform(window) for window in windows]

    def _rows(self, name: str, needed: Positions) -> npt.NDArray[Any]:
        """Values ``(n_steps, *cells)`` of a variable at rising positions."""
        pieces = [self._values(name, run) for run in _runs(needed, self._arrays[name].chunk[0])]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _prepared(self, name: str, values: npt.NDArray[Any]) -> torch.Tensor:
        """Values as a model takes them."""
        rows = torch.from_numpy(values)
        if self._normalization is not None:
            rows = self._normalization.apply(name, rows)
        return rows.to(self._dtype) if self._dtype is not None and rows.is_floating_point() else rows

    def _values(self, name: str, run: Positions) -> npt.NDArray[Any]:
        first = int(run[0])
        block = self._dataset[name].isel({self._axis.name: slice(first, int(run[-1]) + 1)}).values
        rows = block if len(block) == len(run) else block[run - first]
        return np.asarray(rows, self._arrays[name].dtype)  # xarray makes numbers of integers with gaps

    @staticmethod
    def collate(windows: Sequence[Window]) -> Window:
        """Stack windows to a batch: a ``collate_fn``."""
        found: Window = default_collate(list(windows))
        return found


def _is_number(dtype: str) -> bool:
    return dtype != "string" and np.dtype(dtype).kind in "iuf"


def _steps(axis: SlotAxis, times: npt.NDArray[Any], offsets: Sequence[Any]) -> Positions:
    """Positions of the steps of a window at every step, ``(n_slots, n_offsets)``; -1 where there is none."""
    if not len(offsets):
        raise ConfigError("inputs and targets need one step at least.")
    columns = [_shifted(axis, times, offset) for offset in offsets]
    return np.stack(columns, axis=1)


def _shifted(axis: SlotAxis, times: npt.NDArray[Any], offset: Any) -> Positions:  # noqa: ANN401 - number, text, length
    positions = np.arange(len(times))
    if isinstance(offset, int | np.integer) and not isinstance(offset, bool | np.timedelta64):
        found = positions + int(offset)
        return np.where((found >= 0) & (found < len(times)), found, -1)
    wanted = times + _microseconds(axis, offset)
    nearest = np.searchsorted(times, wanted - _tolerance(times)).clip(0, len(times) - 1)
    return np.where(np.abs(times[nearest] - wanted) <= _tolerance(times), nearest, -1)


def _tolerance(times: npt.NDArray[Any]) -> float:
    return float(TOLERANCE * np.diff(times).min()) if len(times) > 1 else 0.0


def _microseconds(axis: SlotAxis, offset: Any) -> int:  # noqa: ANN401 - text, or a length of time
    import pandas as pd  # noqa: PLC0415 - comes with xarray

    if isinstance(offset, bool | float):  # nanoseconds, to pandas
        raise ConfigError(f"{offset!r} has no unit: give a length of time, such as '-6h', or a whole number of steps.")
    if axis.attributes.get("units") != EPOCH:
        raise ConfigError(f"{axis.name!r} counts no time, so that {offset!r} must be a whole number of steps.")
    try:
        found = pd.Timedelta(offset)
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"{offset!r} is no length of time, such as '-6h', and no number of steps: {exc}") from exc
    return int(found / pd.Timedelta(1, "us"))


def _is_there(found: PublishedAligned, names: Collection[str], states: Collection[str]) -> npt.NDArray[np.bool_]:
    """Whether all values of some variables are there, by slot."""
    known = {status.name.lower(): status for status in Status if status not in (Status.NEVER_WRITTEN, Status.MISSING)}
    for state in states:
        if state not in known:
            raise UnknownNameError.of("state of steps that are there", state, known)
    columns = [found.names.index(name) for name in names]
    is_whole = found.slots.n_cells == np.array([array.n_cells for array in found.arrays.values()])
    is_there = np.isin(found.status, [known[state] for state in states]) & is_whole
    return np.asarray(is_there[:, columns].all(axis=1))


def _is_inside(axis: SlotAxis, times: npt.NDArray[Any], period: tuple[str, str] | None) -> npt.NDArray[np.bool_]:
    if period is None:
        return np.ones(len(times), np.bool_)
    import xarray as xr  # noqa: PLC0415 - of grids alone

    calendar = str(axis.attributes.get("calendar", "standard"))
    try:
        ends = [xr.date_range(str(end), periods=1, calendar=calendar, use_cftime=True) for end in period]
        first, stop = (int(xr.coding.times.encode_cf_datetime(e.values, EPOCH, calendar)[0][0]) for e in ends)
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"period must be the first time and the first one after it, not {period!r}: {exc}") from exc
    return np.asarray((times >= first) & (times < stop))


def _windows(
    steps: dict[str, Positions],
    there: dict[str, npt.NDArray[np.bool_]],
    is_inside: npt.NDArray[np.bool_],
    n_slots: int,
) -> tuple[Positions, dict[str, Positions]]:
    """Slots of the windows, and the steps of each."""
    on_axis = np.all([(own >= 0).all(axis=1) for own in steps.values()], axis=0)
    in_period = on_axis & np.all([is_inside[own].all(axis=1) for own in steps.values()], axis=0)
    whole = in_period & np.all([there[part][own].all(axis=1) for part, own in steps.items()], axis=0)
    slots = np.flatnonzero(whole)
    if not len(slots):
        raise ConfigError(
            f"There is no window: of {n_slots:,} steps, {int(on_axis.sum()):,} have all of a window on the axis, "
            f"{int(in_period.sum()):,} of these in the period and split, and none has all of them there. "
            "slots/<dim>/status says which steps are there."
        )
    return slots, {part: own[slots] for part, own in steps.items()}


def _runs(positions: Positions, chunk: int) -> Iterator[Positions]:
    """Positions, rising, that are read at once: those that follow each other, or share a chunk."""
    apart = (np.diff(positions) > 1) & (np.diff(positions // chunk) != 0)
    yield from np.split(positions, np.flatnonzero(apart) + 1)
