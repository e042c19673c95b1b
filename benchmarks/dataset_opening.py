"""Opening a dataset of a million items, each a segment of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import RAGGED, atoms_part, publish
from benchmarks.timing import Row, best_seconds
from curator_core import open_dataset
from curator_core.datasets.tables import Tables, columns, specs
from curator_core.formats.described import METADATA
from curator_core.formats.zarr_metadata import table_array, table_files
from curator_core.pipeline.components import MergeItem

OPENING_S = 1.0
"""Target."""
_ROWS = {"system": 2, "atom": 80}
"""Of each item."""


def opening_rows(n: int = 1_000_000) -> Iterator[Row]:
    """Time until a dataset is open.

    Parameters
    ----------
    n
        Number of items, more than 1,000: of fewer, a reader looks for all files when it opens them, which are not
        there.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "d.zarr")
        atoms_part(Path(name, "0.part"), 0)
        publish([MergeItem(0, "0", None, "0", Path(name, "0.part"))], None, path)
        _grow(path, n)
        taken = best_seconds({"open": partial(open_dataset, path)}, 3)["open"]
    yield Row(f"opening {n:,} items", f"{taken:.2f} s", f"≤ {OPENING_S:g} s", taken <= OPENING_S)


def _grow(path: Path, n: int) -> None:
    """Make the tables of a dataset those of many items; the files of their rows are not there."""
    root = json.loads((path / METADATA).read_text(encoding="utf-8"))
    attributes, nodes = root["attributes"], root["consolidated_metadata"]["metadata"]
    n_arrays = len(attributes["arrays"])
    listed = specs(RAGGED.layout, n_arrays)
    for array, values in columns(_tables(n, n_arrays), RAGGED.layout):
        nodes[array] = table_array(listed[array], len(values))
        for key, data in table_files(listed[array], values):
            (path / key).parent.mkdir(parents=True, exist_ok=True)
            (path / key).write_bytes(data)
    for array, node in nodes.items():
        if node["node_type"] == "array" and array not in listed:
            node["shape"][0] = n * RAGGED.layout.by_name[node["dimension_names"][0]].shard_rows
    attributes |= {"n_items": n, "n_segments": n, **{f"n_{axis}s": n * rows for axis, rows in _ROWS.items()}}
    (path / METADATA).write_text(json.dumps(root), encoding="utf-8")


def _tables(n: int, n_arrays: int) -> Tables:
    numbers: Any = np.arange(n)
    rows = {axis: np.full(n, count) for axis, count in _ROWS.items()}
    names = [f"{number:064x}" for number in range(n)]
    return Tables(
        keys=names,
        versions=names,
        fingerprints=[None] * n,
        schemas=[""],
        schema=np.zeros(n, np.int64),
        segment=numbers,
        first=numbers * RAGGED.layout.main.shard_rows,
        rows=rows,
        segment_ids=names,
        shard=dict.fromkeys(_ROWS, numbers),
        segment_rows=rows,
        checksums=np.random.default_rng(0).integers(1, 2**63, (n, n_arrays)).astype(np.uint64),
    )
