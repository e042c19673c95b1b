"""The file of one year: the steps of its items in the order of time, whichever files they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.decoding import Array
from curator_core.domains.grid.netcdf.encoding import SECONDS, chunk_lengths
from curator_core.domains.grid.netcdf.files import OpenFiles, created_from_others
from curator_core.domains.grid.netcdf.heads import TEXT, VariableHead, attribute_of_json
from curator_core.domains.grid.netcdf.merging import MergedHead
from curator_core.domains.grid.netcdf.steps import Rows, Steps
from curator_core.domains.grid.times import MISSING, label
from curator_core.errors import MergeError

_SECOND = 1_000_000
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class YearFormat:
    """How files of years are written."""

    encoding: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name of the variable."""
    compression_level: int = 1
    """Of variables that `encoding` says nothing of."""

    def write(self, path: Path, steps: Sequence[Steps]) -> list[Rows]:
        """Write a new file; its bytes depend on the steps alone. One chunk of a variable is in memory.

        Returns
        -------
        list of array
            Where the steps of each item are in the file.

        Raises
        ------
        MergeError
            Items do not go together: they have other grids, other meanings, or one step of a variable twice.
        """
        merged = MergedHead(steps, path.name)
        with created_from_others(path) as (target, files):
            year = _Year(steps, merged, files)
            target.setncatts({name: attribute_of_json(form) for name, form in merged.attributes.items()})
            for dim in merged.dims():
                target.createDimension(dim, None if dim == merged.dim else merged.sizes[dim])
            times = {name: year.whole(name) for name, head in merged.variables.items() if head.is_time}
            known = [values[values != MISSING] for values in times.values()]
            in_seconds = all(not (values % _SECOND).any() for values in known)
            for name, head in merged.variables.items():
                variable, n_at_once = self._created(target, name, head, year, times, in_seconds=in_seconds)
                if name in times:
                    variable[...] = _in_seconds(times[name]) if in_seconds else times[name]
                elif merged.dim not in head.dims:
                    variable[...] = year.whole(name)
                else:
                    variable.set_var_chunk_cache(2 * _CHUNK_BYTES)  # chunks are written once, and whole
                    for index, values in year.pieces(name, n_at_once):
                        variable[index] = values
                files.close()  # and what it keeps of this variable
        return year.rows

    def _created(
        self,
        target: Any,  # noqa: ANN401 - netCDF4's
        name: str,
        head: VariableHead,
        year: _Year,
        times: Mapping[str, Array],
        *,
        in_seconds: bool,
    ) -> tuple[Any, int]:
        """A variable without values, and the number of steps that are written at once."""
        wanted = self.encoding.get(name, {})
        dtype = np.dtype(object) if head.dtype == TEXT else np.dtype(head.dtype)
        sizes = {**year.merged.sizes, year.merged.dim: len(year.axis)}
        varies = year.merged.dim in head.dims
        step_bytes = dtype.itemsize * prod(sizes[dim] for dim in head.dims if dim != year.merged.dim)
        n_at_once = max(1, min(len(year.axis), _CHUNK_BYTES // step_bytes))
        chunks = {**({year.merged.dim: n_at_once} if varies else {}), **wanted.get("chunksizes", {})}
        lengths = chunk_lengths(name, chunks, head.dims, sizes) if chunks else None
        is_cut = bool(head.dims) and head.dtype != TEXT
        level = wanted.get("complevel", self.compression_level) if is_cut else 0
        fill = None if head.fill is None else dtype.type(head.fill)
        if head.is_time:
            fill = np.int64(MISSING) if (times[name] == MISSING).any() else None
        variable = target.createVariable(
            name,
            str if head.dtype == TEXT else dtype,
            head.dims,
            fill_value=fill,
            compression="zlib" if level else None,
            complevel=level,
            shuffle=bool(level),
            fletcher32=is_cut,
            chunksizes=lengths,
        )
        variable.set_auto_maskandscale(False)
        about = {key: attribute_of_json(form) for key, form in head.attributes.items()}
        variable.setncatts({**about, "units": SECONDS} if head.is_time and in_seconds else about)
        return variable, lengths[head.dims.index(year.merged.dim)] if varies and lengths else 1


class _Year:
    """Which item gives which step of which variable."""

    def __init__(self, steps: Sequence[Steps], merged: MergedHead, files: OpenFiles) -> None:
        self._steps, self._files = steps, files
        self.merged = merged
        times = [each.whole(files, merged.dim) for each in steps]
        self.axis: npt.NDArray[np.int64] = np.unique(np.concatenate(times))
        self.rows: list[Rows] = [np.asarray(np.searchsorted(self.axis, found), np.int64) for found in times]
        self._origins: dict[str, tuple[Rows, Rows]] = {}

    def _origin(self, name: str) -> tuple[Rows, Rows]:
        """Number of the item that gives each step, -1 for none, and which of its own steps that is."""
        if name in self._origins:
            return self._origins[name]
        owner, place = (np.full(len(self.axis), -1, np.int64) for _ in range(2))
        for number, (each, rows) in enumerate(zip(self._steps, self.rows, strict=True)):
            if name not in each.head.variables:
                continue
            twice = np.flatnonzero(owner[rows] >= 0)
            if len(twice):
                self._require_same(name, number, twice, owner[rows[twice]], place[rows[twice]])
            new = owner[rows] < 0
            owner[rows[new]], place[rows[new]] = number, np.flatnonzero(new)
        head = self.merged.variables[name]
        if (owner < 0).any() and head.fill is None and not head.is_time:
            raise MergeError(
                f"{self.merged.where}: {name!r} is not there at {self._label(owner < 0)}, which other variables have, "
                "and nothing stands for missing values of its type: give encoding a _FillValue, or other folders."
            )
        self._origins[name] = owner, place
        return owner, place

    def _require_same(self, name: str, number: int, mine: Rows, owners: Rows, places: Rows) -> None:
        """Raise `MergeError` where two items give a step of a variable; coordinates may be the same."""
        item = self._steps[number]
        for other in np.unique(owners).tolist():
            meant = owners == other
            is_same = not self.merged.variables[name].is_data and np.array_equal(
                *_comparable(
                    item.some(self._files, name, mine[meant]),
                    self._steps[other].some(self._files, name, places[meant]),
                )
            )
            if not is_same:
                at = np.zeros(len(self.axis), np.bool_)
                at[self.rows[number][mine[meant]]] = True
                raise MergeError(
                    f"{self.merged.where}: {self._steps[other].key!r} and {item.key!r} both give {name!r} at "
                    f"{self._label(at)}: leave one of them out."
                )

    def _label(self, at: npt.NDArray[np.bool_]) -> str:
        found = np.flatnonzero(at)
        more = f" and {len(found) - 1} steps more" if len(found) > 1 else ""
        return label(int(self.axis[found[0]]), self.merged.calendar) + more

    def whole(self, name: str) -> Array:
        """All values of a variable."""
        if self.merged.dim in self.merged.variables[name].dims:
            return self._at(name, 0, len(self.axis))
        first = next(each for each in self._steps if name in each.head.variables)
        return first.whole(self._files, name)

    def pieces(self, name: str, n_at_once: int) -> Iterator[tuple[tuple[slice, ...], Array]]:
        """Values some steps at a time, and where they belong."""
        axis = self.merged.variables[name].dims.index(self.merged.dim)
        for start in range(0, len(self.axis), n_at_once):
            stop = min(start + n_at_once, len(self.axis))
            yield (*[slice(None)] * axis, slice(start, stop)), self._at(name, start, stop)

    def _at(self, name: str, start: int, stop: int) -> Array:
        head = self.merged.variables[name]
        axis = head.dims.index(self.merged.dim)
        owner, place = (each[start:stop] for each in self._origin(name))
        numbers: list[int] = np.unique(owner).tolist()
        if len(numbers) == 1 and numbers[0] >= 0:
            return self._steps[numbers[0]].some(self._files, name, place)
        shape = [stop - start if dim == self.merged.dim else self.merged.sizes[dim] for dim in head.dims]
        dtype = np.dtype(object) if head.dtype == TEXT else np.dtype(head.dtype)
        found = np.zeros(shape, dtype)
        if head.is_time or head.fill is not None:
            found[...] = MISSING if head.is_time else head.fill
        for number in numbers:
            if number >= 0:
                mine = owner == number
                index = (*[slice(None)] * axis, mine)
                found[index] = self._steps[number].some(self._files, name, place[mine])
        return found


def _in_seconds(values: Array) -> Array:
    return np.where(values == MISSING, MISSING, values // _SECOND)


def _comparable(one: Array, other: Array) -> tuple[Array, Array]:
    """Values of which NaN are equal."""
    if one.dtype.kind != "f":
        return one, other
    return one.view(f"u{one.dtype.itemsize}"), other.view(f"u{other.dtype.itemsize}")
