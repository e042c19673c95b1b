"""A sink for datasets of your own: it names the arrays, and curator does the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from curator_core.datasets.layout import Axis, FixedFormat, Layout
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.publishing import publish_ragged
from curator_core.domains.ragged.rows import Table, joined_rows
from curator_core.errors import ConfigError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.pipeline.annotations import SECRET
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import DatasetSink
from curator_core.storage.locations import location_of
from curator_core.storage.outputs import check_output_path

CHUNK_ROWS, SHARD_ROWS = 2048, 131_072
"""Of axes that are not declared."""


class RaggedSink(DatasetSink[Table]):
    """A sink that writes one Zarr dataset of items with the same arrays; derive from it, and name `arrays`.

    An item gives its samples as arrays by name, or as `Rows` where samples have rows of their own on further axes, in
    one table or several. What a table holds must be what the arrays hold, exactly.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.zarr``; or a repository, ending in ``.icechunk``, here or in a bucket.
    items_per_segment
        Items that share files, on average: 1 where items are megabytes, more where they are small.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.

    Raises
    ------
    ConfigError
        The arrays and axes of the class do not fit.
    """

    arrays: ClassVar[Sequence[ArraySpec]] = ()
    """The arrays; the first dimension of each is its axis."""
    axes: ClassVar[Sequence[Axis]] = ()
    """The axes, that with a row a sample first; by default those of the arrays, in their order."""
    shard_suffix = PART_SUFFIX

    def __init__(
        self,
        output_path: str,
        items_per_segment: int = 1,
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        if not self.arrays:
            raise ConfigError(f"{self.component_name()} names no arrays.")
        named = dict.fromkeys(spec.dims[0] for spec in self.arrays)
        axes = tuple(self.axes) or tuple(Axis(name, CHUNK_ROWS, SHARD_ROWS) for name in named)
        self._ragged = FixedFormat(self.component_name(), self.arrays, Layout(axes, items_per_segment))

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or when something else stands there."""
        check_output_path(self._output, ".zarr", self.component_name())
        self._require_own()

    def write_shard(self, items: Iterator[Table], path: str) -> None:
        """Write the samples of an item.

        Raises
        ------
        ComponentError
            They do not fit the arrays.
        """
        write_part(path, self._ragged, joined_rows(items, self.arrays, self._ragged.layout))

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged.
        """
        publish_ragged(self._ragged, items, previous, Path(output_path))

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Number of rows on each axis."""
        tables = self._published(output_path).tables
        return {axis.count: int(tables.rows[axis.name].sum()) for axis in self._ragged.layout.axes}

    def n_rows(self, output_path: str) -> int:
        return int(self._published(output_path).tables.rows[self._ragged.layout.main.name].sum())

    def schema(self, output_path: str) -> list[Variable]:
        tables, axes = self._published(output_path).tables, self._ragged.layout.by_name
        found = []
        for spec in self.arrays:
            shape = (int(tables.rows[spec.dims[0]].sum()), *spec.row_shape)
            chunks = (axes[spec.dims[0]].chunk_rows, *spec.row_shape)
            found.append(Variable(spec.name, spec.dtype, spec.dims, shape, chunks, spec.attributes.get("units", "")))
        return found

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        published = self._published(output_path)
        for number, key in enumerate(published.tables.keys):
            rows = published.rows.read(published.place(number), published.tables.schema_of(number))
            yield from ((key, name, rows.values[name]) for name in names)

    def _published(self, output_path: str) -> PublishedRagged:
        return PublishedRagged(location_of(output_path), self._ragged)
