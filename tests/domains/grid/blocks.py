"""Blocks of time steps of the tests' own, as values and as NetCDF files, and a source that reads the files."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from curator_core.pipeline.components import MergeItem, Source

START = np.datetime64("2020-01-01")
STEP = np.timedelta64(6, "h")
LATITUDES = np.linspace(60, -60, 5)
LONGITUDES = np.arange(6) * 60.0


def block(first: int, n_steps: int, seed: int = 0, names: Sequence[str] = ("t", "n")) -> xr.Dataset:
    """Some steps, from a position on the axis; the same for the same arguments."""
    random = np.random.default_rng([first, n_steps, seed])
    shape = n_steps, len(LATITUDES), len(LONGITUDES)
    field = random.random(shape).astype("f4")
    field[:, 0, 0] = np.nan
    known = {
        "t": (("time", "lat", "lon"), field, {"units": "K", "standard_name": "air_temperature"}),
        "n": (("time",), random.integers(0, 99, n_steps).astype("i2")),
        "p": (("time", "lat", "lon"), random.random(shape), {"units": "Pa"}),
    }
    coordinates = {
        "time": START + STEP * np.arange(first, first + n_steps),
        "lat": ("lat", LATITUDES, {"units": "degrees_north"}),
        "lon": ("lon", LONGITUDES, {"units": "degrees_east"}),
    }
    return xr.Dataset({name: known[name] for name in names}, coordinates, {"title": "blocks"})


class BlocksSource(Source[xr.Dataset]):
    """A NetCDF file an item.

    Parameters
    ----------
    root
        Folder of the files.
    """

    name = "test_blocks"

    def __init__(self, root: str) -> None:
        self._files = sorted(Path(root).glob("*.nc"))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Generator[xr.Dataset, None, None]:
        with xr.open_dataset(self._files[index], engine="scipy") as found:
            yield found.load()

    def key(self, index: int) -> str:
        return self._files[index].name

    def fingerprint(self, index: int) -> str:
        return hashlib.sha256(self._files[index].read_bytes()).hexdigest()


def write_block(folder: Path, first: int, n_steps: int, seed: int = 0, name: str = "") -> Path:
    """Write a file with some steps."""
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"{first:06d}.nc")
    block(first, n_steps, seed).to_netcdf(path, engine="scipy")
    return path


class Bench:
    """Parts and publications of one sink, without a pipeline.

    Parameters
    ----------
    sink
        The sink.
    folder
        Where datasets lie.
    """

    def __init__(self, sink, folder: Path) -> None:
        self.sink, self.folder = sink, folder
        self._n = 0

    def part(self, *boxes: xr.Dataset) -> Path:
        """Write the part of an item."""
        self._n += 1
        return Path(self.sink(iter(boxes), self._n)[0])

    def publish(
        self, name: str, parts: dict[str, Path | None], previous: Path | None = None, version: str = "1"
    ) -> Path:
        """Publish items by key; those without a part are taken from the dataset before."""
        items = [MergeItem(n, key, None, f"{key} {version}", part) for n, (key, part) in enumerate(parts.items())]
        self.sink.merge_items(items, None if previous is None else str(previous), str(self.folder / name))
        return self.folder / name


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Listed:
    """A source that has some keys."""

    def __init__(self, *keys):
        self._keys = keys

    def __len__(self):
        return len(self._keys)

    def key(self, index):
        return self._keys[index]
