"""Filter that gathers statistics of every numeric field on the way through."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, ClassVar

from curator_core.errors import ComponentError, ConfigError, MergeError, MissingDependencyError, UnknownNameError
from curator_core.filters.shards import using_shard
from curator_core.filters.statistics.exact_sums import Reals
from curator_core.filters.statistics.field_statistics import FieldStatistics
from curator_core.filters.statistics.fields import FieldError, numeric_fields
from curator_core.filters.statistics.histogram import Binning
from curator_core.filters.statistics.levels import Levels, place_of
from curator_core.filters.statistics.moments import Moments
from curator_core.filters.statistics.period import Period
from curator_core.filters.statistics.sketch import QuantileSketch
from curator_core.filters.statistics.split import (
    DEFAULT_FRACTIONS,
    SplitByKey,
    SplitRule,
    check_fractions,
    split_of,
)
from curator_core.filters.statistics.summary import FieldSummary, quantile_name
from curator_core.pipeline.annotations import ADDED
from curator_core.pipeline.components import ShardedFilter
from curator_core.pipeline.current import current_item
from curator_core.storage.outputs import check_output_path

_FORMAT = "curator-statistics-2"
"""Quantiles of values are kept otherwise than in 1, so that a table of both would depend on what was processed when."""
_BUFFERED_NUMBERS = 1_000_000


class StatisticsFilter(ShardedFilter[Any]):
    """Statistics of every numeric field, as a Parquet table; values pass unchanged.

    Takes arrays, numbers, mappings, data frames and datasets; `numeric_fields` says what their fields
    are. Fields that are not numeric are left out, unless `fields` names them: that is an error.

    The table has one row per field, sorted by name:

    ``field``
        Its name.
    ``count``, ``n_nonfinite``
        Number of finite numbers, and of NaN and infinite ones, which enter nothing else.
    ``n_samples``
        Number of arrays, mappings or tables that have the field.
    ``mean``, ``variance``, ``std``, ``min``, ``max``
        Of the population (``ddof=0``), exact before one final rounding; null without finite numbers.
    ``skewness``, ``kurtosis``
        With `shape`: of the population, exact as these; 0 of a normal distribution, and null where all numbers are
        equal.
    ``q0.5`` and so on
        Quantiles, whose ranks are off by about 0.5% at most; 0 and 1 are the extremes.
    ``histogram_edges``, ``histogram_counts``, ``is_histogram_exact``
        Lists. Counts in fixed bins are exact, numbers outside are in none, and the last bin includes its
        upper edge. Otherwise bins of equal width from the smallest to the largest number are filled
        from the quantiles, which is approximate.

    With `by`, a field has a row for every level, ``t[level=850]``, and the table two more kinds of columns:
    ``variable``, the field without its level, and one named after each dimension, with the level as text.

    The file is the same whatever the backend, the number of workers and the order of completion.

    Parameters
    ----------
    output_path
        Parquet file of the table, ending in ``.parquet``.
    fields
        Names of the fields; all numeric ones by default. One that no item has gets a row of its own.
    bins
        Number of histogram bins, or their edges.
    range
        Low and high end of the histogram, for all fields or by field; by default it follows the data.
    quantiles
        Which quantiles, each from 0 to 1.
    split
        Take in the items of this split only; all by default. The pipeline's own splits where it has a rule, else those
        of `split_of`.
    fractions, seed
        Of a division of its own, see `split_of`: 80% ``train``, 10% ``validation``, 10% ``test``, and 0 by default. A
        pipeline with a rule has none beside it.
    by
        Dimensions of datasets along which fields are divided: ``["level"]`` gives every variable a row for each level.
        Variables without them have one row, as before; a dimension that no item has is an error.
    shape
        Whether there are columns of skewness and kurtosis.
    period
        First and last date of the steps of datasets that are taken in, both of them in it: ``["1979", "2015"]``, with
        ``None`` for no end. In the calendar of each item; all steps by default.

    Raises
    ------
    ConfigError
        An argument is out of its range.
    """

    name: ClassVar[str] = "statistics"
    description: ClassVar[str] = "Mean, variance, extremes, quantiles and histogram of every numeric field"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".json"

    def __init__(
        self,
        output_path: str,
        fields: Sequence[str] | None = None,
        *,
        bins: int | Sequence[float] = 64,
        range: Sequence[float] | Mapping[str, Sequence[float]] | None = None,  # noqa: A002 - as NumPy calls it
        quantiles: Sequence[float] = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99),
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        seed: int = 0,
        by: Annotated[Sequence[str] | None, ADDED] = None,
        shape: Annotated[bool, ADDED] = False,
        period: Annotated[Sequence[str | int | None] | None, ADDED] = None,
    ) -> None:
        self._output_path = str(output_path)
        if fields is not None and not fields:
            raise ConfigError(f"{self.name}: fields names none; leave it out for all of them.")
        self._fields = None if fields is None else frozenset(fields)
        self._binning = Binning(int(bins) if isinstance(bins, Integral) else bins, range)
        self._binning.check(self.name)
        self._quantiles = tuple(sorted({float(q) for q in quantiles}))
        if not all(0.0 <= q <= 1.0 for q in self._quantiles):
            raise ConfigError(f"{self.name}: quantiles must lie between 0 and 1, got {list(quantiles)!r}.")
        self._fractions = dict(DEFAULT_FRACTIONS if fractions is None else fractions)
        check_fractions(self._fractions)
        self._has_own_rule = fractions is not None or seed != 0
        if split is not None and fractions is not None and split not in self._fractions:
            raise UnknownNameError.of("split", split, self._fractions)
        self._split = split
        self._seed = seed
        self._levels = Levels(by) if by else None
        self._shape = bool(shape)
        try:
            self._period = None if period is None else Period(period)
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}.") from None
        self._state = self._new_state()

    def _new_state(self, *, is_merged: bool = False) -> _State:
        return _State(
            self._binning,
            has_shape=self._shape,
            is_merged=is_merged,
            is_selected_later=self._is_selected_later,
        )

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
        QuantileSketch()
        parquet_packages()

    def check_split(self, rule: SplitRule | None) -> None:
        """Raise an error when the pipeline has no such split, or another rule.

        Raises
        ------
        ConfigError
            So it is.
        """
        if self._split is None:
            return
        own = SplitByKey(self._fractions, self._seed)
        if rule is not None and self._has_own_rule and rule != own:
            raise ConfigError(
                f"{self.name}: it has fractions or a seed of its own, and the pipeline another rule of splits: leave "
                "them out, and the statistics are of the pipeline's split."
            )
        if self._split not in (names := (own if rule is None else rule).names):
            raise UnknownNameError.of("split", self._split, names)

    def takes_in(self, key: str, split: str | None) -> bool:
        """Whether an item's shard is merged, given its split by the rule of the pipeline, if there is one."""
        if not self._is_selected_later:
            return True
        return (split_of(key, self._fractions, self._seed) if split is None else split) == self._split

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass values on and take in their numbers.

        Raises
        ------
        ComponentError
            A value has no fields, or a field that was asked for is not numeric.
        """
        # Here, not in the generator, which may never be started.
        self._state = self._new_state()
        return self._observe(items, self._state)

    def _observe(self, items: Iterator[Any], state: _State) -> Generator[Any, None, None]:
        if self._is_of_another_split():
            yield from items
            return
        for position, value in enumerate(items):
            try:
                for name, numbers in self._numbers(value):
                    state.add(name, numbers)
            except FieldError as exc:
                raise ComponentError(f"{self.name}: value {position}: {exc}.", component=self.name) from exc
            yield value

    def _numbers(self, value: object) -> Iterator[tuple[str, Reals]]:
        if self._period is not None:
            value = self._period.of(value)
            if value is None:
                return iter(())
        if self._levels is None:
            return numeric_fields(value, self._fields)
        return self._levels.fields(value, self._fields)

    @property
    def _is_selected_later(self) -> bool:
        """Whether every item is counted, and those of the split are merged: so that another rule needs no new run."""
        return self._split is not None and not self._has_own_rule

    def _is_of_another_split(self) -> bool:
        """Whether the item that is processed is not counted at all."""
        if self._split is None or self._is_selected_later:
            return False
        return split_of(current_item().key, self._fractions, self._seed) != self._split

    def write_shard(self, path: str) -> None:
        """Write the state of the last index, the same bytes for the same values."""
        Path(path).write_text(self._state.to_json(), encoding="utf-8")

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join the states of all indices into the table.

        Raises
        ------
        MergeError
            A shard is damaged.
        """
        merged = self._new_state(is_merged=True)
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                merged.merge_json(content)
        rows = merged.rows(self._quantiles, self._fields or frozenset())
        pa, parquet = parquet_packages()
        dims = () if self._levels is None else self._levels.dims
        for row in rows if dims else ():
            row["variable"], place = place_of(row["field"])
            row |= {dim: place.get(dim) for dim in dims}
        self._require_dims(rows, dims)
        if self._period is not None and not any(row["n_samples"] for row in rows):
            raise MergeError(f"{self.name}: no item has a step in the period: correct it.")
        shape = ["skewness", "kurtosis"] if self._shape else []
        floats = ["mean", "variance", "std", "min", "max", *shape, *map(quantile_name, self._quantiles)]
        columns = [("field", pa.string()), *((name, pa.int64()) for name in ("count", "n_nonfinite", "n_samples"))]
        columns += [(name, pa.float64()) for name in floats]
        columns += [("histogram_edges", pa.list_(pa.float64())), ("histogram_counts", pa.list_(pa.int64()))]
        columns.append(("is_histogram_exact", pa.bool_()))
        columns += [(name, pa.string()) for name in (("variable", *dims) if dims else ())]
        parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), output_path)

    def _require_dims(self, rows: Sequence[Mapping[str, Any]], dims: Sequence[str]) -> None:
        unseen = [dim for dim in dims if not any(row[dim] for row in rows)]
        if unseen and any(row["n_samples"] for row in rows):
            raise MergeError(f"{self.name}: no item has the dimension {unseen[0]!r} that by= names: correct it.")

    @property
    def is_of_all_items(self) -> bool:
        """Whether the numbers of all items are counted, rather than those of one split or period."""
        return self._split is None and self._period is None

    def statistics(self, output_path: str) -> list[FieldStatistics]:
        """Every field of the table, with its histogram."""
        names = ["field", "count", "n_nonfinite", "mean", "std", "min", "max", "histogram_edges", "histogram_counts"]
        rows = parquet_packages()[1].read_table(output_path, columns=names).to_pylist()
        return [FieldStatistics(*map(row.get, names[:7]), *(tuple(row[name]) for name in names[7:])) for row in rows]

    def item_statistics(self, shard: bytes) -> list[FieldStatistics]:
        """Every field of one item, without a histogram."""
        fields = json.loads(shard)["fields"]
        return [FieldStatistics.of(name, Moments.from_state(state["moments"])) for name, state in fields.items()]


class _State:
    """What is known of some values."""

    def __init__(self, binning: Binning, *, has_shape: bool, is_merged: bool, is_selected_later: bool) -> None:
        self._binning = binning
        self._has_shape = has_shape
        self._is_selected_later = is_selected_later
        self._is_merged = is_merged
        self._summaries: dict[str, FieldSummary] = {}
        self._buffer: dict[str, list[Reals]] = {}
        self._n_buffered = 0

    def add(self, name: str, numbers: Reals) -> None:
        """Take in numbers of a field."""
        self._buffer.setdefault(name, []).append(numbers)
        self._n_buffered += len(numbers)
        if self._n_buffered > _BUFFERED_NUMBERS:
            self._flush()

    def to_json(self) -> str:
        """Text that `merge_json` takes in."""
        self._flush()
        fields = {name: summary.to_state() for name, summary in sorted(self._summaries.items())}
        data = {"format": _FORMAT, "fields": fields} | ({"is_of_any_split": True} if self._is_selected_later else {})
        return json.dumps(data, separators=(",", ":"))

    def merge_json(self, text: bytes) -> None:
        """Take in what another state gave."""
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"its format is {data['format']!r}, of another release of curator: process its item again")
        if self._is_selected_later and not (data["fields"] or data.get("is_of_any_split")):
            raise ValueError("a former version of curator left its item out as of another split: process it again")
        for name, state in data["fields"].items():
            self._summary(name).merge_state(state)

    def rows(self, quantiles: tuple[float, ...], wanted: frozenset[str]) -> list[dict[str, Any]]:
        """Rows of the table, sorted; also of wanted fields of which nothing is known."""
        known = {place_of(name)[0] for name in self._summaries}
        for name in wanted - known:
            if f"{name}.real" not in known:
                self._summary(name)
        return [summary.row(quantiles) for _, summary in sorted(self._summaries.items())]

    def _summary(self, name: str) -> FieldSummary:
        if name not in self._summaries:
            self._summaries[name] = FieldSummary(
                name, self._binning, is_merged=self._is_merged, has_shape=self._has_shape
            )
        return self._summaries[name]

    def _flush(self) -> None:
        for name, arrays in self._buffer.items():
            self._summary(name).add(arrays)
        self._buffer = {}
        self._n_buffered = 0


def parquet_packages() -> tuple[Any, Any]:
    """pyarrow, and what of it writes Parquet files.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as exc:
        raise MissingDependencyError.of("pyarrow", "statistics", "Writing Parquet files") from exc
    return pa, parquet
