"""Filter that gathers statistics of arrays of meshes, weighted by the size of the cells."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from curator_core.domains.mesh.fields import MeshFields
from curator_core.domains.mesh.geometry.sizes import CellSizes, Floats, cell_sizes, point_weights
from curator_core.domains.mesh.model import Mesh, MeshPart
from curator_core.domains.mesh.quality.weighted_moments import WeightedMoments
from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.shards import JSONShardsFilter, using_shard
from curator_core.filters.statistics.field_statistics import FieldStatistics
from curator_core.filters.statistics.filter import parquet_packages
from curator_core.filters.statistics.split import OfOneSplit
from curator_core.filters.values.fields import FieldError
from curator_core.storage.outputs import check_output_path

_SUMS = ("weight", "integral", "mean", "variance", "std", "min", "max")


class MeshStatisticsFilter(OfOneSplit, JSONShardsFilter):
    """Statistics of arrays of meshes, weighted by area on surfaces, by volume inside, by length on lines; meshes pass.

    A number of a cell weighs what the cell measures, one of a point its share of the cells around it, each of which is
    divided evenly among its points. Of a part with cells of several dimensions those of the largest count. Arrays about
    parts, texts, and arrays of parts without such cells are left out, unless `fields` names them, which is an error.

    The table has a row for each field, sorted by name, ``cell_data/wss[component=0]`` for the components of vectors:
    ``field``; ``count``, ``n_nonfinite``, ``n_samples`` as in the table of `StatisticsFilter`; ``weight``, the sum of
    the sizes; ``integral``, the sum of size times number; ``mean``, ``variance``, ``std``, ``min`` and ``max``. Sums
    are exact and rounded once, so the file is the same whatever the backend, the workers and the order.

    Parameters
    ----------
    output_path
        Parquet file of the table, ending in ``.parquet``.
    fields
        Names of the fields, see `MeshFields`; by default all numeric arrays of points and cells.
    split
        Take in the items of this split only; all by default.

    Raises
    ------
    ConfigError
        `fields` names none.
    """

    name: ClassVar[str] = "mesh_statistics"
    description: ClassVar[str] = "Mean, variance, integral and extremes of arrays, weighted by area or volume"
    checks_arguments: ClassVar[bool] = True
    shard_format: ClassVar[str] = "curator-mesh-statistics-1"

    def __init__(self, output_path: str, fields: Sequence[str] | None = None, *, split: str | None = None) -> None:
        if fields is not None and not fields:
            raise ConfigError(f"{self.name}: fields must name some field.")
        self._output_path = str(output_path)
        self._fields = None if fields is None else tuple(fields)
        self._split = split
        self._found: dict[str, WeightedMoments] = {}

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, `MissingDependencyError` without pyarrow."""
        check_output_path(self._output_path, ".parquet", self.name)
        parquet_packages()

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass meshes on and take in their numbers.

        Raises
        ------
        ComponentError
            A value is no mesh, or a named field has no size or no numbers.
        """
        self._found = {}  # here, not in the generator, which may never be started
        return self._observe(items, self._found)

    def _observe(self, items: Iterator[Any], found: dict[str, WeightedMoments]) -> Generator[Any, None, None]:
        for position, mesh in enumerate(items):
            if not isinstance(mesh, Mesh):
                text = f"{self.name}: it takes meshes, not {type(mesh).__name__}."
                raise ComponentError(text, component=self.name)
            try:
                for name, numbers, weights in self._weighted(MeshFields(mesh)):
                    found.setdefault(name, WeightedMoments()).add(name, numbers, weights)
            except FieldError as exc:
                raise ComponentError(f"{self.name}: value {position}: {exc}.", component=self.name) from exc
            yield mesh

    def _weighted(self, fields: MeshFields) -> Iterator[tuple[str, Floats, Floats]]:
        """Names, numbers and weights of the fields of a mesh."""
        sizes: dict[str, CellSizes] = {}
        for name in self._fields or fields.names():
            place, values = fields.place_of(name), fields.values(name)
            why = None
            if place.kind not in ("point_data", "cell_data"):
                why = "is no array of points or cells"
            elif values.dtype.kind not in "biuf":
                why = f"is no number, but {values.dtype}"
            else:
                part = fields.mesh.parts[place.part]
                if place.part not in sizes:
                    sizes[place.part] = cell_sizes(part)
                    if not np.isfinite(sizes[place.part].weights).all():
                        raise FieldError(f"cells of part {place.part!r} have no size: coordinates are NaN or infinite")
                if not sizes[place.part].dimension:
                    why = f"has no size: part {place.part!r} has points alone"
            if why is None:
                full = name if self._fields else fields.full_name(name)
                yield from _components(full, values, _weights(part, place.kind, sizes[place.part]))
            elif self._fields is not None:
                raise FieldError(f"field {name!r} {why}")

    def write_shard(self, path: str) -> None:
        """Write the sums of the last index, the same bytes for the same values."""
        states = {name: moments.to_state() for name, moments in sorted(self._found.items())}
        Path(path).write_text(json.dumps({"format": self.shard_format, "fields": states}), encoding="utf-8")

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join the sums of all indices into the table.

        Raises
        ------
        MergeError
            A shard is damaged.
        """
        merged: dict[str, WeightedMoments] = {}
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                for name, state in self.restored(content)["fields"].items():
                    merged.setdefault(name, WeightedMoments()).merge(WeightedMoments.from_state(state))
        pa, parquet = parquet_packages()
        rows = [
            {"field": name, "count": m.count, "n_nonfinite": m.nonfinite, "n_samples": m.samples, **m.row()}
            for name, m in sorted(merged.items())
        ]
        columns = [("field", pa.string()), *((name, pa.int64()) for name in ("count", "n_nonfinite", "n_samples"))]
        columns += [(name, pa.float64()) for name in _SUMS]
        parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), output_path)

    @property
    def is_of_all_items(self) -> bool:
        """Whether the numbers of all items are counted, rather than those of one split."""
        return self._split is None

    def statistics(self, output_path: str) -> list[FieldStatistics]:
        """Every field of the table."""
        names = ["field", "count", "n_nonfinite", "mean", "std", "min", "max"]
        rows = parquet_packages()[1].read_table(output_path, columns=names).to_pylist()
        return [FieldStatistics(*map(row.get, names)) for row in rows]

    def item_statistics(self, shard: bytes) -> list[FieldStatistics]:
        """Every field of one item."""
        found = []
        for name, state in json.loads(shard)["fields"].items():
            moments = WeightedMoments.from_state(state)
            row = moments.row()
            counts = (moments.count, moments.nonfinite)
            found.append(FieldStatistics(name, *counts, row["mean"], row["std"], row["min"], row["max"]))
        return found


def _weights(part: MeshPart, kind: str, sizes: CellSizes) -> Floats:
    return sizes.weights if kind == "cell_data" else point_weights(part, sizes.weights)


def _components(name: str, values: Any, weights: Floats) -> Iterator[tuple[str, Floats, Floats]]:  # noqa: ANN401 - an array
    numbers = np.asarray(values, np.float64).reshape(len(values), -1)
    if values.ndim == 1:
        yield name, numbers[:, 0], weights
        return
    for component in range(numbers.shape[1]):
        yield f"{name}[component={component}]", numbers[:, component], weights
