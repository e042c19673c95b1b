"""Small components that the tests name in their pipeline files."""

import time
from pathlib import Path
from typing import Annotated, Literal

from curator_core import SECRET, Filter, ShardedFilter, Sink, Source


class Numbers(Source):
    """Whole numbers, some of which fail."""

    name = "numbers"
    description = "Whole numbers."

    def __init__(self, n: int, fail: list[int] | None = None, pause: float = 0.0):
        if n < 0:
            raise ValueError(f"n must not be negative, got {n}")
        self._n = n
        self._fail = fail or []
        self._pause = pause

    def __len__(self):
        return self._n

    def key(self, index):
        return f"n{index:04d}"

    def __getitem__(self, index):
        time.sleep(self._pause)
        if index in self._fail and not Path("mended").exists():
            raise ValueError(f"number {index}\nis bad")
        yield index


class Held(Numbers):
    """Whole numbers, one of which waits for as long as somebody holds the named pipe `gate` open, if there is one."""

    name = "held"

    def __init__(self, n: int, held: int, fail: list[int] | None = None):
        super().__init__(n, fail)
        self._held = held

    def __getitem__(self, index):
        if index == self._held and Path("gate").exists():
            Path("gate").read_text()
        yield from super().__getitem__(index)


class Total(ShardedFilter):
    """Adds the numbers up."""

    def __init__(self, path: str):
        self._path = path
        self._total = 0

    @property
    def output_path(self):
        return self._path

    def __call__(self, items):
        self._total = 0
        for item in items:
            self._total += item
            yield item

    def write_shard(self, path):
        Path(path).write_text(str(self._total))

    def merge(self, shard_paths, output_path):
        Path(output_path).write_text(str(sum(int(Path(path).read_text()) for path in shard_paths)))


class Files(Sink):
    """One text file per index."""

    def __init__(self, folder: str):
        self._folder = folder

    def __call__(self, items, index):
        path = Path(self._folder) / f"{index}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(map(str, items)))
        return [str(path)]


class Knobs(Filter):
    """Has every kind of parameter.

    Parameters
    ----------
    level
        How much.
    mode
        Which way.
    token
        A password.
    """

    name = "knobs"
    description = "Many parameters."

    def __init__(
        self, level: float, mode: Literal["fast", "exact"] = "fast", token: Annotated[str, SECRET] = "hush"
    ):  # pragma: no cover - only described
        pass

    def __call__(self, items):
        yield from items
