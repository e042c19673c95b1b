"""What publishing costs in datasets of many items: a change, memory, and a publication through Dagster."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.dagster import apart
from benchmarks.datasets import atoms_part, new_bytes, publish
from benchmarks.timing import Row, in_own_process, seconds
from curator_core.datasets.layout import Axis, FixedFormat, Layout, Rows
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.publishing import publish_ragged
from curator_core.datasets.writing import SegmentWriter
from curator_core.formats.arrays import ArraySpec
from curator_core.pipeline.components import MergeItem
from curator_core.storage.local import LocalLocation

MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made there
NEW_BYTES, LARGER, FLAT = 0.02, 1.5, 1.5
"""Targets; memory of a hundred times as many items, or of items a hundred times as large, over that of few."""
_N_PARTS = 10
"""Different parts that the items of a large dataset have."""
_SMALL = FixedFormat("rows", [ArraySpec("x", "float64", ("row",))], Layout((Axis("row", 1 << 10, 1 << 20),)))
_LARGE = FixedFormat("large", [ArraySpec("x", "float64", ("row",))], Layout((Axis("row", 1 << 16, 1 << 20),)))


def scale_of_changes(sizes: Sequence[int] = (100, 1_000, 10_000)) -> Iterator[Row]:
    """One item in a hundred is corrected; then as many in a dataset that is ten times as large.

    Parameters
    ----------
    sizes
        Numbers of items.
    """
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name)
        items = _items(folder, sizes[-1])
        changed = [replace(_part(folder, seed), version="2") for seed in range(-(sizes[-1] // 100), 0)]
        for n in sizes:
            taken, _, new = _change(folder, items[:n], changed[: n // 100])
            yield Row(f"1% of {n:,} items corrected: time", f"{taken:.2f} s")
            yield Row(f"1% of {n:,} items corrected: new bytes", f"{new:.1%}", f"≤ {NEW_BYTES:.0%}", new <= NEW_BYTES)
        few, many = sizes[-2:]
        rest = [_change(folder, items[:n], changed[: few // 100])[1] for n in (few, many)]
        ratio = rest[1] / rest[0]
        what = f"{few // 100} items corrected among {many:,}, over the same among {few:,}, apart from linking"
        value = f"{ratio:.1f} × ({rest[0]:.2f} s, {rest[1]:.2f} s)"
        yield Row(what, value, f"≤ {LARGER:g} ×", ratio <= LARGER)


def _memory() -> str | None:
    return MEMORY if os.access(MEMORY, os.W_OK) else None


def _part(folder: Path, seed: int) -> MergeItem:
    path = folder / f"{seed}{PART_SUFFIX}"
    atoms_part(path, abs(seed))
    return MergeItem(0, "", "f", "1", path)


def _items(folder: Path, n: int) -> list[MergeItem]:
    parts = [_part(folder, seed) for seed in range(_N_PARTS)]
    return [replace(parts[index % _N_PARTS], index=index, key=f"run_{index:06d}") for index in range(n)]


def _change(folder: Path, items: list[MergeItem], changed: list[MergeItem]) -> tuple[float, float, float]:
    """Seconds of a publication in which some items are corrected, those apart from linking; share of new bytes."""
    before, after = folder / "before.zarr", folder / "after.zarr"
    publish(items, None, before)
    wanted = [replace(item, shard=None) for item in items]
    for number, item in enumerate(changed):
        place = number * len(items) // len(changed)
        wanted[place] = replace(item, index=place, key=wanted[place].key)
    links = _Timed(LocalLocation.keep_all), _Timed(SegmentWriter.make_folders)
    with patch.object(LocalLocation, "keep_all", links[0]), patch.object(SegmentWriter, "make_folders", links[1]):
        taken = seconds(partial(publish, wanted, before, after))
    new = new_bytes(after, before)
    for path in (before, after):
        shutil.rmtree(path)
    return taken, taken - sum(link.seconds for link in links), new


class _Timed:
    """A method that sums up the time it takes."""

    def __init__(self, method: Callable[..., None]) -> None:
        self._method = method
        self.seconds = 0.0

    def __get__(self, instance: object, owner: type) -> Callable[..., None]:
        def call(*args: object) -> None:
            self.seconds += seconds(partial(self._method, instance, *args))

        return call


def memory_rows(sizes: Sequence[int] = (1_000, 10_000, 100_000)) -> Iterator[Row]:
    """Peak memory of a process that publishes, and that loads nothing else.

    Parameters
    ----------
    sizes
        Numbers of items.
    """
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        peaks = {n: in_own_process(__name__, "small items", folder, n)[1] for n in sizes}
        large = {n: in_own_process(__name__, "large item", folder, n)[1] for n in (1, 100)}
    few, many = peaks[sizes[0]], peaks[sizes[-1]]
    said = ", ".join(f"{peak:.0f}" for peak in peaks.values())
    per_item = (many - few) / (sizes[-1] - sizes[0]) * 1e3
    counts = ", ".join(f"{n:,}" for n in sizes)
    yield Row(f"peak memory of publishing {counts} items, then one more", f"{said} MB: {per_item:.2f} kB an item")
    value = f"{large[1]:.0f}, {large[100]:.0f} MB"
    is_flat = large[100] <= FLAT * large[1]
    yield Row("the same, an item of 4 MB, and one of 400 MB", value, "flat", is_flat)


def _publish_small(folder: str, n: int) -> None:
    """Publish small items, then the same with one more."""
    path = Path(folder, f"small{PART_SUFFIX}")
    if not path.exists():
        write_part(path, _SMALL, Rows(10, {"x": np.arange(10.0)}))
    items = [MergeItem(index, f"run_{index:06d}", f"{index:040d}", f"{index:064d}", path) for index in range(n + 1)]
    before, after = Path(folder, f"{n}.zarr"), Path(folder, f"{n}-more.zarr")
    publish_ragged(_SMALL, items[:-1], None, before)
    publish_ragged(_SMALL, [*(replace(item, shard=None) for item in items[:-1]), items[-1]], before, after)
    for published in (before, after):
        shutil.rmtree(published)


def _publish_large(folder: str, n: int) -> None:
    """Publish an item of some times 4 MB, then the same with a small one."""
    random = np.random.default_rng(0)
    path, small = Path(folder, f"{n}{PART_SUFFIX}"), Path(folder, f"{n}-small{PART_SUFFIX}")
    if os.fork() == 0:  # a worker of its own writes it
        write_part(path, _LARGE, Rows(n << 19, {"x": random.random(n << 19)}))
        write_part(small, _LARGE, Rows(10, {"x": np.arange(10.0)}))
        os._exit(0)
    assert os.wait()[1] == 0
    items = [MergeItem(0, "large", None, "1", path), MergeItem(1, "small", None, "1", small)]
    publish_ragged(_LARGE, items[:1], None, Path(folder, f"{n}.zarr"))
    publish_ragged(_LARGE, [replace(items[0], shard=None), items[1]], Path(folder, f"{n}.zarr"), Path(folder, "more"))
    shutil.rmtree(Path(folder, "more"))


WORK: dict[str, Callable[[str, int], None]] = {"small items": _publish_small, "large item": _publish_large}


def dagster_rows(n: int = 10_000) -> Iterator[Row]:
    """A run with its publication in Dagster, over the engine alone.

    Parameters
    ----------
    n
        Number of items.
    """
    engine, _ = apart("core_dataset", n)
    refresh, _ = apart("refresh_dataset", n)
    yield Row(f"{n:,} items processed and published, the engine alone", f"{engine * n:.1f} s")
    more = (refresh - engine) * 1e3
    yield Row(f"{n:,} items processed and published by a refresh", f"{refresh * n:.1f} s, {more:+.2f} ms an item")
