"""Filter that gathers statistics of how fields change from one time to another."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr

from curator_core.domains.grid.fields.step_pairs import About, StepPairs
from curator_core.domains.grid.operations.grid_filter import require_mean
from curator_core.domains.grid.operations.periods import times_of
from curator_core.domains.grid.times import calendar_of, counts_time, duration
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.shards import using_shard
from curator_core.filters.statistics.filter import parquet_packages
from curator_core.filters.statistics.levels import Levels, place_of
from curator_core.filters.statistics.split import OfOneSplit
from curator_core.filters.values import FieldError
from curator_core.pipeline.annotations import UNRECORDED
from curator_core.pipeline.components import ShardedFilter
from curator_core.pipeline.current import PROCESSED
from curator_core.storage.outputs import check_output_path

logger = logging.getLogger("curator")


class TendencyStatisticsFilter(OfOneSplit, ShardedFilter[xr.Dataset]):
    """Statistics of ``x[t + step] - x[t]`` of every field, as a Parquet table; grids pass unchanged.

    Differences are taken in ``float64``, within items and from one item to another, between times that are exactly
    `step` apart in the calendar of the items: a gap is never bridged. The table has one row per field, sorted by name:

    ``field``
        Its name, ``t[level=850]`` with `by`.
    ``count``, ``n_nonfinite``
        Number of finite differences, and of those of which an end is NaN or infinite, which enter nothing else.
    ``n_pairs``, ``n_steps``
        Number of pairs of times, and of times. A time without one a step after it is in no pair as the first.
    ``mean``, ``variance``, ``std``, ``min``, ``max``
        Of the differences (``ddof=0``), exact before one final rounding; null without finite ones.
    ``units``
        Of the field, and of its differences.

    With `by`, there are columns ``variable``, the field without its level, and one named after each dimension. The file
    is the same whatever the backend, the order, and how times are divided into items.

    Of every item, the fields are kept at those of its times that have no other in the item a step before or after: the
    first and the last where its times are a step apart, the first and last six where they are hourly and the step is
    ``6h``. That is 8 MB for each field and level of 721 x 1440 numbers of ``float32``; an item of one time keeps all of
    it. Putting the table together holds as much as has no neighbour yet: little where items are in order of time.

    Parameters
    ----------
    output_path
        Parquet file of the table, ending in ``.parquet``.
    step
        Time between the two, such as ``6h`` or ``1 day``.
    fields
        Names of the fields, which every item has; by default all floating-point ones that have times.
    by
        Dimensions along which fields are divided: ``["level"]`` gives every variable a row for each level.
    split
        Take in the items of this split only, by the pipeline's rule where it has one, else `split_of`; all by default.
        Pairs of which one time is in another split are not counted.

    Raises
    ------
    ConfigError
        The step is no length of time, or `fields` is empty.
    """

    name: ClassVar[str] = "tendency_statistics"
    description: ClassVar[str] = "Mean, variance and extremes of the change of fields over a time step"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".npz"

    def __init__(
        self,
        output_path: str,
        step: str,
        fields: Sequence[str] | None = None,
        *,
        by: Sequence[str] | None = None,
        split: Annotated[str | None, UNRECORDED] = None,
    ) -> None:
        try:
            self._step = duration(str(step).strip())
        except ValueError as exc:
            raise ConfigError(f"{self.name}: step: {exc}.") from None
        if not self._step or (fields is not None and not fields):
            raise ConfigError(f"{self.name}: step must be longer than 0, and fields name some field.")
        self._output_path = str(output_path)
        self._fields = None if fields is None else tuple(fields)
        self._by = tuple(by or ())
        self._split = split
        self._pairs = StepPairs(self._step)

    @property
    def output_path(self) -> str:
        return self._output_path

    def check(self) -> None:
        """Raise an error when the output cannot be written.

        Raises
        ------
        ConfigError
            The output is no place for a Parquet file.
        MissingDependencyError
            A package is not installed.
        """
        check_output_path(self._output_path, ".parquet", self.name)
        parquet_packages()

    def __call__(self, items: Generator[xr.Dataset, None, None]) -> Generator[xr.Dataset, None, None]:
        """Pass grids on and take in their changes.

        Raises
        ------
        ComponentError
            One has no times, is a forecast, lacks a field that is named, or has a time twice.
        """
        self._pairs = StepPairs(self._step)  # here, not in the generator, which may never be started
        return self._observe(items, self._pairs)

    def _observe(self, items: Iterator[xr.Dataset], pairs: StepPairs) -> Generator[xr.Dataset, None, None]:
        for position, dataset in enumerate(items):
            try:
                self._add(dataset, pairs)
            except ValueError as exc:
                raise ComponentError(f"{self.name}: value {position}: {exc}.", component=self.name) from exc
            yield dataset

    def _add(self, dataset: xr.Dataset, pairs: StepPairs) -> None:
        dim, _, variable = times_of(dataset)
        instants = np.asarray(variable.values, np.int64).tolist()
        calendar = calendar_of(variable.attrs.get("calendar"))
        if dim in self._by:
            raise FieldError(f"by= names {dim!r}, along which differences are taken")
        names = self._names(dataset, dim)
        abouts = {
            name: About(
                str(dataset.variables[name].attrs.get("units", "")), calendar, _grid(dataset, name, {dim, *self._by})
            )
            for name in names
        }
        chosen, levels = dataset[names], Levels(self._by)
        for at, instant in enumerate(instants):
            for field, numbers in levels.fields(chosen.isel({dim: at}), frozenset(names)):
                pairs.add(field, abouts[place_of(field)[0]], instant, numbers)

    def _names(self, dataset: xr.Dataset, dim: str) -> list[str]:
        known = {str(name): dataset.variables[name] for name in dataset.data_vars}
        floats = [name for name, variable in known.items() if variable.dtype.kind == "f" and dim in variable.dims]
        names = floats if self._fields is None else list(self._fields)
        if not names:
            raise FieldError(f"it has no field of floating-point numbers along {dim!r}")
        for name in names:
            if name not in known or dim not in known[name].dims or known[name].dtype.kind not in "iuf":
                raise FieldError(f"it has no field {name!r} of numbers along {dim!r}; it has {', '.join(floats)}")
            require_mean(name, known[name], "leave it out with fields=")
            for each in map(str, known[name].dims):
                about = dataset.variables[each].attrs if each in dataset.variables else {}
                if about.get("standard_name") == "forecast_period":
                    raise FieldError(f"field {name!r} is of forecasts, by {each!r}: tendencies are of one series")
        return names

    def write_shard(self, path: str) -> None:
        """Write the state of the last index, the same bytes for the same values."""
        item = PROCESSED.get(None)
        Path(path).write_bytes(self._pairs.to_bytes("" if item is None else item.key))

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join the states of all indices into the table.

        Raises
        ------
        MergeError
            A shard is damaged, two items have the same time, or are on different grids or in different units.
        """
        merged = StepPairs(self._step)
        try:
            for position, content in enumerate(contents):
                with using_shard(position, self.name):
                    merged.merge(content)
            rows = merged.rows()
        except MergeError as exc:
            raise MergeError(str(exc) if str(exc).startswith(self.name) else f"{self.name}: {exc}.") from exc
        if apart := [row["field"] for row in rows if row["n_steps"] > 1 and not row["n_pairs"]]:
            text = "%s: no two times of %r are a step apart, so that its row is empty: is the step right?"
            logger.warning(text, self.name, apart[0])
        for row in rows if self._by else ():
            row["variable"], place = place_of(row["field"])
            row |= {dim: place.get(dim) for dim in self._by}
        unseen = [dim for dim in self._by if not any(row[dim] for row in rows)]
        if rows and unseen:
            raise MergeError(f"{self.name}: no item has the dimension {unseen[0]!r} that by= names: correct it.")
        pa, parquet = parquet_packages()
        columns = [("field", pa.string())]
        columns += [(name, pa.int64()) for name in ("count", "n_nonfinite", "n_pairs", "n_steps")]
        columns += [(name, pa.float64()) for name in ("mean", "variance", "std", "min", "max")]
        columns += [(name, pa.string()) for name in ("units", *(("variable", *self._by) if self._by else ()))]
        parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), output_path)


def _grid(dataset: xr.Dataset, name: str, apart: set[str]) -> str:
    """Digest of the dimensions of a field and of what says where they are, but for those named in `apart`."""
    dims = [str(dim) for dim in dataset.variables[name].dims if dim not in apart]
    digest = hashlib.blake2b(repr([(dim, dataset.sizes[dim]) for dim in dims]).encode(), digest_size=16)
    for key in sorted(map(str, dataset.coords)):
        variable = dataset.variables[key]
        is_date = counts_time(variable.attrs.get("units")) or variable.dtype.kind in "mMO"
        if key not in apart and not is_date and set(variable.dims) <= set(dims):
            digest.update(repr((key, variable.dims, np.asarray(variable.values).tolist())).encode())
    return digest.hexdigest()
