"""Source of some items of another one, drawn by seed and key."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Generator, Sequence
from typing import Any, ClassVar, Self

from curator_core.errors import ConfigError
from curator_core.pipeline.abilities import ReadsFields
from curator_core.pipeline.components import Source


class SampleSource(Source[Any]):
    """Some items of another source, in its order, with their keys and fingerprints.

    Which items those are follows from their keys and the seed alone, not from their order. Of a share, an item stays in
    the sample, or out of it, whatever is added; a sample with a larger share of the same seed has all of a smaller one.
    It has nothing to do with splits: each of them is sampled alike.

    Parameters
    ----------
    source
        The other source.
    share
        Share of the items, on average.
    n_items
        Number of items, in place of a share; all where there are fewer. An item that is added may replace another.
    seed
        Another seed gives another sample.

    Raises
    ------
    ConfigError
        Neither, or both, of share and number are given, or there is no such share.
    """

    name: ClassVar[str] = "sample"
    description: ClassVar[str] = "Some items of another source, drawn by seed and key"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self, source: Source[Any], share: float | None = None, n_items: int | None = None, *, seed: int = 0
    ) -> None:
        if (share is None) == (n_items is None):
            raise ConfigError(f"{self.name}: give share or n_items, one of them.")
        if (share is not None and not 0.0 < share <= 1.0) or (n_items is not None and n_items < 1):
            raise ConfigError(f"{self.name}: share must be above 0 and at most 1, and n_items at least 1.")
        self._source, self._share, self._n_items, self._seed = source, share, n_items, seed
        self._chosen: list[int] | None = None

    def check(self) -> None:
        """Raise `ConfigError` where the other source cannot work, or none of its items is in the sample."""
        self._source.check()
        if not self._indices() and len(self._source):
            raise ConfigError(
                f"{self.name}: none of {len(self._source):,} items is in a sample of {self._share:.3%}: take a larger "
                "share, another seed, or n_items."
            )

    def __len__(self) -> int:
        return len(self._indices())

    def __getitem__(self, index: int) -> Generator[Any, None, None]:
        return self._source[self._indices()[index]]

    def key(self, index: int) -> str:
        return self._source.key(self._indices()[index])

    def fingerprint(self, index: int) -> str | None:
        return self._source.fingerprint(self._indices()[index])

    def item_path(self, index: int) -> str | None:
        return self._source.item_path(self._indices()[index])

    def is_input(self, path: str) -> bool:
        return self._source.is_input(path)

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]] | None:
        chosen = self._indices()
        positions = {chosen[index]: index for index in indices}
        groups = self._source.partition_indices(list(positions))
        return None if groups is None else [[positions[inner] for inner in group] for group in groups]

    def reading(self, fields: Sequence[str]) -> Self:
        """The same items with some fields alone, where the other source can leave out the others."""
        narrowed = copy.copy(self)
        if isinstance(self._source, ReadsFields):
            narrowed._source = self._source.reading(fields)  # noqa: SLF001 - of a copy
        return narrowed

    def _indices(self) -> list[int]:
        """Of the items of the sample, in the other source."""
        if self._chosen is None:
            drawn = [self._number(self._source.key(index)) for index in range(len(self._source))]
            if self._share is not None:
                self._chosen = [index for index, number in enumerate(drawn) if number < self._share]
            else:
                self._chosen = sorted(sorted(range(len(drawn)), key=lambda index: drawn[index])[: self._n_items])
        return self._chosen

    def _number(self, key: str) -> float:
        """From 0 to 1; with other words before the key than splits have, which would be one another's."""
        digest = hashlib.sha256(f"sample:{self._seed}:{key}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") / 2**64
