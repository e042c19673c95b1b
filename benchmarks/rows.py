"""A sink whose items are a row each of one array: the smallest dataset of segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from curator_core import ShardedSink
from curator_core.datasets.layout import Axis, FixedFormat, Layout, Rows
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.publishing import publish_ragged
from curator_core.formats.arrays import ArraySpec
from curator_core.pipeline.components import MergeItem
from curator_core.storage.locations import location_of

ROWS = FixedFormat("rows", [ArraySpec("x", "float64", ("row",))], Layout((Axis("row", 1 << 10, 1 << 20),), 64))


class RowsSink(ShardedSink[int]):
    """Numbers."""

    shard_suffix = PART_SUFFIX

    def __init__(self, output_path: str) -> None:
        self._output_path = output_path

    @property
    def output_path(self) -> str:
        return self._output_path

    def write_shard(self, items: Iterator[int], path: str) -> None:
        values = np.array(list(items), np.float64)
        write_part(path, ROWS, Rows(len(values), {"x": values}))

    def retained_items(self, output_path: str) -> dict[str, str]:
        return PublishedRagged(location_of(output_path), ROWS).versions() if Path(output_path).exists() else {}

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        publish_ragged(ROWS, items, previous, output_path)
