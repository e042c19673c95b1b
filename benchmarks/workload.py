"""Components that cost nothing, and components that cost what real ones do."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from curator_core import Sink, Source


class Numbers(Source[int]):
    """`n` items; each yields its index."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        yield index


class Allocating(Numbers):
    """`n` items; each takes about 3 ms of pure Python that makes and drops `n_objects` small objects."""

    def __init__(self, n: int, n_objects: int = 4_000) -> None:
        super().__init__(n)
        self.n_objects = n_objects

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        rows = [{"id": k, "name": f"atom {k}", "position": [k * 0.5, k * 0.25, 1.0]} for k in range(self.n_objects)]
        yield len({row["name"] for row in rows}) + index


class Nowhere(Sink[int]):
    """Takes the items and writes nothing."""

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        for _ in items:
            pass
        return []


def plain_loop(source: Source[int]) -> None:
    """What one would write without curator."""
    sink = Nowhere()
    for index in range(len(source)):
        sink(source[index], index)
