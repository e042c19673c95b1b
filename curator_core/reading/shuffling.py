"""The order in which samples are read: at random, but from few places at a time.

Samples that lie together are decoded together, so an order at random over a whole dataset decodes the same chunks again
and again. Here runs of neighbouring samples are put in a random order, and samples are mixed within a buffer of
several runs. The order depends on the settings below alone: neither on how many processes read, nor on how they start.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError

Indices = npt.NDArray[np.int64]

STREAMS: Final = 8
"""Batches come from so many places in turn: of up to so many workers, each reads from places of its own."""


@dataclass(frozen=True)
class ShardOrder:
    """Batches of positions, the same for equal settings.

    Every sample comes exactly once in an epoch, on one rank; with `drop_last`, fewer than a batch on each rank are left
    out, with shuffling others in each epoch.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    n_samples: int
    """Samples of the dataset."""
    batch_size: int
    """Samples of a batch."""
    is_shuffled: bool = True
    """Whether the order is random; otherwise it is the dataset's."""
    seed: int = 0
    """What the random order depends on, beside the epoch."""
    rank: int = 0
    """Which of the processes that train together this is."""
    world_size: int = 1
    """How many processes train together."""
    drop_last: bool = False
    """Whether a last batch that is not full is left out, so that all ranks have equally many batches."""
    run_length: int = 64
    """Neighbouring samples that stay together until they are mixed."""
    buffer_size: int = 8192
    """Samples among which order is random."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "world_size", "run_length", "buffer_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)!r}.")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"rank must be in 0..{self.world_size - 1}, got {self.rank!r}.")

    def n_batches(self) -> int:
        """Number of batches of an epoch on this rank."""
        start, stop = self._share()
        return (stop - start) // self.batch_size if self.drop_last else -(-(stop - start) // self.batch_size)

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Indices]:
        """Positions of the samples of each batch, from one batch on."""
        return islice(self._batches(epoch), skip, self.n_batches())

    def _share(self) -> tuple[int, int]:
        """What this rank reads of the order of the runs; all ranks the same where incomplete batches are dropped."""
        if self.drop_last:
            size = self.n_samples // self.world_size
            return self.rank * size, (self.rank + 1) * size
        return (self.rank * self.n_samples // self.world_size, (self.rank + 1) * self.n_samples // self.world_size)

    def _batches(self, epoch: int) -> Iterator[Indices]:
        start, stop = self._share()
        n_streams = min(STREAMS, max(1, (stop - start) // self.batch_size)) if self.is_shuffled else 1
        order = _RunOrder(self, epoch)
        cuts = [start + (stop - start) * i // n_streams for i in range(n_streams + 1)]
        streams = [self._stream(order, *bounds, n_streams) for bounds in pairwise(cuts)]
        rests = []
        while streams:
            for stream in list(streams):
                try:
                    yield next(stream)
                except StopIteration as end:
                    streams.remove(stream)
                    rests.append(end.value)
        rest = np.concatenate([np.empty(0, np.int64), *rests])
        yield from (rest[i : i + self.batch_size] for i in range(0, len(rest), self.batch_size))

    def _stream(self, order: _RunOrder, start: int, stop: int, n_streams: int) -> Generator[Indices, None, Indices]:
        """Full batches of a part of the order; gives what remains."""
        held = np.empty(0, np.int64)
        size = max(self.batch_size, self.buffer_size // n_streams)
        for begin in range(start, stop, size):
            held = np.concatenate([held, order.mixed(begin, min(begin + size, stop))])
            n_full = len(held) // self.batch_size * self.batch_size
            yield from (held[i : i + self.batch_size] for i in range(0, n_full, self.batch_size))
            held = held[n_full:]
        return held


class _RunOrder:
    """All samples, run by run."""

    def __init__(self, settings: ShardOrder, epoch: int) -> None:
        self._settings = settings
        self._epoch = epoch
        n_runs = -(-settings.n_samples // settings.run_length)
        self._runs = np.arange(n_runs)
        if settings.is_shuffled:
            self._random(0).shuffle(self._runs)
        sizes = np.minimum(settings.run_length, settings.n_samples - self._runs * settings.run_length)
        self._starts = np.cumsum(sizes) - sizes

    def mixed(self, start: int, stop: int) -> Indices:
        """Positions of the samples at a part of the order, mixed."""
        places = np.arange(start, stop)
        runs = np.searchsorted(self._starts, places, side="right") - 1
        found: Indices = self._runs[runs] * self._settings.run_length + places - self._starts[runs]
        if self._settings.is_shuffled:
            self._random(1 + start).shuffle(found)
        return found

    def _random(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, self._epoch, number])
