"""Filters for what is usual at a time of the year or the day, and for differences from it."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.netcdf.files import created
from curator_core.domains.grid.operations.aligning import aligned
from curator_core.domains.grid.operations.files import GridFile
from curator_core.domains.grid.operations.grid_filter import GridFilter, as_floats, other_values, rebuilt, require_mean
from curator_core.domains.grid.operations.periods import times_of
from curator_core.domains.grid.times import calendar_of, decode
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.shards import using_shard
from curator_core.filters.values import FieldError
from curator_core.pipeline.components import ShardedFilter
from curator_core.storage.outputs import check_output_path

Part = Literal["month", "day", "hour"]

_FORMAT: Final = "curator-climatology-1"
_BY: Final = "climatology_by"
_KEPT: Final = ("units", "standard_name", "long_name")
_LEAP: Final = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])
_LONG: Final = {
    "month": "month of the year",
    "day": "day of the year, in which 29 February is the 60th",
    "hour": "hour of the day",
}
Group = tuple[int, ...]


def groups_of(dataset: xr.Dataset, by: Sequence[Part]) -> tuple[str, list[Group]]:
    """The dimension of time, and where in the year or the day each of its steps is.

    Days are numbered as in a leap year, in which 29 February is the 60th, in every calendar but that of 360 days.
    """
    dim, _, variable = times_of(dataset)
    calendar = calendar_of(variable.attrs.get("calendar"))
    found = []
    for date in np.atleast_1d(decode(np.asarray(variable.values, np.int64), calendar)):
        before = 30 * (date.month - 1) if calendar == "360_day" else int(_LEAP[date.month - 1])
        known = {"month": date.month, "day": before + date.day, "hour": date.hour}
        found.append(tuple(known[part] for part in by))
    return dim, found


class ClimatologyFilter(ShardedFilter[xr.Dataset]):
    """What is usual at each point, by month, day of the year or hour: the mean and the number of values; grids pass.

    The result is a NetCDF file with a field of the same name, the mean, and ``…_count``, the number of values, of each
    field that has times. It is the same whatever the backend and the order; the sums of every item are retained.

    Parameters
    ----------
    output_path
        NetCDF file, ending in ``.nc``.
    by
        ``month``; ``day`` of the year, in which 29 February is always the 60th; ``hour``; or several of them.
    fields
        Names of the fields; by default all floating-point ones that have times.

    Raises
    ------
    ConfigError
        Nothing is named, or twice.
    """

    name: ClassVar[str] = "climatology"
    description: ClassVar[str] = "Means of every point by month, day of the year or hour"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".npz"

    def __init__(
        self, output_path: str, by: Part | Sequence[Part] = "month", fields: Sequence[str] | None = None
    ) -> None:
        self._by: tuple[Part, ...] = (by,) if isinstance(by, str) else tuple(by)
        if not self._by or len(set(self._by)) < len(self._by) or (fields is not None and not fields):
            raise ConfigError(f"{self.name}: by must name month, day or hour, each once, and fields some field.")
        self._output_path = str(output_path)
        self._fields = None if fields is None else tuple(fields)
        self._sums = _Sums(self._by)

    @property
    def output_path(self) -> str:
        return self._output_path

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written."""
        check_output_path(self._output_path, ".nc", self.name)

    def __call__(self, items: Generator[xr.Dataset, None, None]) -> Generator[xr.Dataset, None, None]:
        """Pass grids on and take in their values.

        Raises
        ------
        ComponentError
            One has no times, or none has a field that is named.
        """
        self._sums = sums = _Sums(self._by)
        return self._observed(items, sums)

    def _observed(self, items: Iterator[xr.Dataset], sums: _Sums) -> Generator[xr.Dataset, None, None]:
        unseen = dict.fromkeys(self._fields or ())
        n_values = 0
        for dataset in items:
            try:
                for name in sums.add(dataset, self._fields):
                    unseen.pop(name, None)
            except FieldError as exc:
                raise ComponentError(f"{self.name}: value {n_values}: {exc}.", component=self.name) from exc
            n_values += 1
            yield dataset
        if unseen and n_values:
            raise ComponentError(f"{self.name}: no value of the item has {next(iter(unseen))!r}.", component=self.name)

    def write_shard(self, path: str) -> None:
        """Write the sums of the last index."""
        Path(path).write_bytes(self._sums.to_bytes())

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join the sums of all indices into the file.

        Raises
        ------
        MergeError
            A shard is damaged, or of fields on another grid.
        """
        merged = _Sums(self._by)
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                merged.merge(content)
        merged.write(Path(output_path), self.name)


class _Sums:
    """Sums and numbers of values, by field and group."""

    def __init__(self, by: tuple[Part, ...]) -> None:
        self._by = by
        self._about: dict[str, dict[str, Any]] = {}
        self._coordinates: dict[str, xr.Variable] = {}
        self._sums: dict[str, dict[Group, npt.NDArray[np.float64]]] = {}
        self._counts: dict[str, dict[Group, npt.NDArray[np.int64]]] = {}

    def add(self, dataset: xr.Dataset, fields: Sequence[str] | None) -> list[str]:
        """Take in the fields of a dataset; their names."""
        dim, groups = groups_of(dataset, self._by)
        names = [
            name
            for name in map(str, dataset.data_vars)
            if dim in dataset.variables[name].dims
            and (name in fields if fields is not None else dataset.variables[name].dtype.kind == "f")
        ]
        for name in names:
            variable = dataset.variables[name]
            require_mean(name, variable, "leave it out with fields=")
            axis = variable.dims.index(dim)
            values = np.moveaxis(as_floats(name, variable), axis, 0).astype(np.float64)
            dims = [str(each) for each in variable.dims if each != dim]
            about = {key: str(variable.attrs[key]) for key in _KEPT if key in variable.attrs}
            coordinates = {
                str(n): v.to_base_variable()
                for n, v in dataset.variables.items()
                if set(v.dims) <= set(dims) and v.dims and n not in dataset.data_vars and v.dtype.kind in "iuf"
            }
            self._take(name, {"dims": dims, "attributes": about, "shape": list(values.shape[1:])}, coordinates)
            for group in sorted(set(groups)):
                chosen = values[[at for at, each in enumerate(groups) if each == group]]
                is_valid = ~np.isnan(chosen)
                self._count(name, group, np.where(is_valid, chosen, 0.0).sum(axis=0), is_valid.sum(axis=0))
        return names

    def _take(self, name: str, about: dict[str, Any], coordinates: Mapping[str, xr.Variable]) -> None:
        if self._about.setdefault(name, about) != about:
            raise ValueError(f"{name!r} has other dimensions, units or names than in an item before")
        for key, variable in coordinates.items():
            known = self._coordinates.setdefault(key, variable)
            if known.dims != variable.dims or not np.array_equal(known.values, variable.values):
                raise ValueError(f"{key!r} of {name!r} has other values than in an item before: bring them to one grid")

    def _count(self, name: str, group: Group, total: Any, count: Any) -> None:  # noqa: ANN401 - arrays
        sums, counts = self._sums.setdefault(name, {}), self._counts.setdefault(name, {})
        if group in sums:
            sums[group] = sums[group] + total
            counts[group] = counts[group] + count
        else:
            sums[group], counts[group] = np.asarray(total, np.float64), np.asarray(count, np.int64)

    def to_bytes(self) -> bytes:
        """What `merge` takes in."""
        arrays: dict[str, Any] = {}
        head: dict[str, Any] = {
            "format": _FORMAT,
            "by": self._by,
            "fields": self._about,
            "groups": {},
            "coordinates": {},
        }
        for position, (key, variable) in enumerate(sorted(self._coordinates.items())):
            attributes = {k: str(v) for k, v in variable.attrs.items() if isinstance(v, str)}
            head["coordinates"][key] = [list(map(str, variable.dims)), attributes, position]
            arrays[f"c{position}"] = np.asarray(variable.values)
        for position, name in enumerate(self._about):
            groups = sorted(self._sums[name])
            head["groups"][name] = [groups, position]
            arrays[f"s{position}"] = np.stack([self._sums[name][group] for group in groups])
            arrays[f"n{position}"] = np.stack([self._counts[name][group] for group in groups]).astype(np.int32)
        arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    def merge(self, content: bytes) -> None:
        """Take in what another one gave."""
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head["format"] != _FORMAT:
                raise ValueError(f"its format is {head['format']!r}")
            coordinates = {
                key: xr.Variable(dims, file[f"c{position}"], attributes)
                for key, (dims, attributes, position) in head["coordinates"].items()
            }
            for name, about in head["fields"].items():
                groups, position = head["groups"][name]
                own = {key: v for key, v in coordinates.items() if set(v.dims) <= set(about["dims"])}
                self._take(name, about, own)
                for group, total, count in zip(groups, file[f"s{position}"], file[f"n{position}"], strict=True):
                    self._count(name, tuple(group), total, count)

    def write(self, path: Path, component: str) -> None:
        """Write the means.

        Raises
        ------
        MergeError
            There is no field.
        """
        if not self._about:
            raise MergeError(f"{component}: no item has a field with times.")
        values = [sorted({group[i] for known in self._sums.values() for group in known}) for i in range(len(self._by))]
        with created(path) as file:
            file.setncatts({"Conventions": "CF-1.11", _BY: " ".join(self._by)})
            for part, known in zip(self._by, values, strict=True):
                file.createDimension(part, len(known))
                file.createVariable(part, "i4", (part,))[:] = known
                file[part].setncatts({"long_name": _LONG[part]})
            for about in self._about.values():
                for dim, size in zip(about["dims"], about["shape"], strict=True):
                    if dim not in file.dimensions:
                        file.createDimension(dim, size)
            for key, variable in self._coordinates.items():
                dims = tuple(map(str, variable.dims))
                file.createVariable(key, variable.dtype, dims)[...] = variable.values
                file[key].setncatts({k: v for k, v in variable.attrs.items() if isinstance(v, str) and k != "bounds"})
            for name, about in self._about.items():
                self._write(file, name, about, values)

    def _write(self, file: Any, name: str, about: Mapping[str, Any], values: Sequence[list[int]]) -> None:  # noqa: ANN401
        shape = (*map(len, values), *about["shape"])
        means, counts = np.full(shape, np.nan), np.zeros(shape, np.int32)
        for group, total in self._sums[name].items():
            at = tuple(known.index(each) for known, each in zip(values, group, strict=True))
            count = self._counts[name][group]
            with np.errstate(invalid="ignore", divide="ignore"):
                means[at], counts[at] = np.where(count > 0, total / count, np.nan), count
        dims = (*self._by, *about["dims"])
        file.createVariable(name, "f8", dims, fill_value=np.nan, compression="zlib", complevel=1)[...] = means
        file[name].setncatts({**about["attributes"], "cell_methods": "time: mean"})
        file.createVariable(f"{name}_count", "i4", dims, compression="zlib", complevel=1)[...] = counts
        file[f"{name}_count"].setncatts({"units": "1", "long_name": f"number of values of {name}"})


class AnomalyFilter(GridFilter):
    """Fields as differences from what is usual: from the means of a file that `ClimatologyFilter` wrote.

    The result keeps its unit, and says in ``long_name`` what it is; it is no longer what ``standard_name`` says.

    Parameters
    ----------
    file
        File with the means, which is part of the configuration by its content.
    fields
        Names of the fields; each must be in the file.

    Raises
    ------
    ConfigError
        No field is named.
    """

    name: ClassVar[str] = "anomaly"
    description: ClassVar[str] = "Fields as differences from a climatology"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, file: str, fields: Sequence[str]) -> None:
        if not fields:
            raise ConfigError(f"{self.name}: fields names none.")
        self._file, self._fields = GridFile(file, f"{self.name}: file"), tuple(fields)

    def file_identities(self) -> Mapping[str, str]:
        """What identifies the file with the means."""
        return {"file": self._file.identity()}

    def check(self) -> None:
        """Raise `ConfigError` where the file cannot be read."""
        self.file_identities()

    def wanted(self) -> Collection[str]:
        return self._fields

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        names = [name for name in self._fields if name in dataset.data_vars]
        if not names:
            return dataset
        means = self._file.dataset()[0]
        by: Any = tuple(str(means.attrs.get(_BY, "")).split())
        if not by or any(name not in means.data_vars for name in names):
            raise FieldError(f"the file has no means of {names[0]!r}, as climatology writes them")
        dim, groups = groups_of(dataset, by)
        variables = {str(name): variable.to_base_variable() for name, variable in dataset.variables.items()}
        for name in names:
            variables[name] = self._anomaly(dataset, name, self._of_steps(means, name, by, dim, groups))
        return rebuilt(dataset, variables)

    def _of_steps(
        self, means: xr.Dataset, name: str, by: Sequence[str], dim: str, groups: Sequence[Group]
    ) -> xr.Dataset:
        """The means at the steps of an item."""
        positions = []
        for part, wanted in zip(by, zip(*groups, strict=True), strict=True):
            known = np.asarray(means.variables[part].values).tolist()
            missing = sorted(set(wanted) - set(known))
            if missing:
                raise FieldError(f"the file has no means of {part} {missing[0]}, which the item has")
            positions.append([known.index(each) for each in wanted])
        variable = means.variables[name]
        values = np.asarray(variable.values)[tuple(positions)]
        dims = (dim, *variable.dims[len(by) :])
        return means.drop_vars([*by, *means.data_vars]).assign({name: variable_of(dims, values, variable.attrs)})

    def _anomaly(self, dataset: xr.Dataset, name: str, means: xr.Dataset) -> xr.Variable:
        before = dataset.variables[name].to_base_variable()
        units = [str(each.attrs.get("units", "")) for each in (before, means.variables[name])]
        if units[0] != units[1]:
            raise FieldError(f"field {name!r} is in {units[0]!r}, and its means are in {units[1]!r}")
        if dataset.variables[name].dims and not set(means.variables[name].dims) & set(before.dims):
            raise FieldError(f"field {name!r} has none of the dimensions of its means")
        given = as_floats(name, before)
        values = (given.astype(np.float64) - aligned(means, name, dataset, name)).astype(given.dtype)
        about = other_values(before)
        named = about.pop("standard_name", None)
        about["long_name"] = f"{about.get('long_name', named or name)} anomaly"
        if units[0] in ("K", "degC"):
            about["units_metadata"] = "temperature: difference"
        return variable_of(before.dims, values, about, before.encoding)
