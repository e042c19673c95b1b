"""What is said of a published dataset: how much may be missing from it, what is in it, which version it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from curator_core.datasets.contents import Changes as Changes  # noqa: PLC0414 - public here
from curator_core.datasets.history import VersionRecord
from curator_core.datasets.manifest import Manifest as Manifest  # noqa: PLC0414 - as above
from curator_core.datasets.manifest import manifest_beside as manifest_beside  # noqa: PLC0414 - as above
from curator_core.errors import ConfigError
from curator_core.merge.archive import ShardedOutput
from curator_core.storage.base import OutputLocation


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many items may be missing from a dataset that is published.

    Raises
    ------
    ConfigError
        `max_missing` is neither a number of items nor a fraction below 1.
    """

    max_missing: int | float = 0
    """A number of items, or a fraction below 1 of all."""

    def __post_init__(self) -> None:
        given: object = self.max_missing
        is_number = isinstance(given, Real) and not isinstance(given, bool)
        if not is_number or not given >= 0 or (self._is_fraction and given >= 1):  # type: ignore[operator]
            raise ConfigError(f"max_missing must be a number of items or a fraction below 1, not {self.max_missing!r}.")

    def allows(self, n_missing: int, n_items: int) -> bool:
        """Whether a dataset may be published without `n_missing` of `n_items` items; never without all of them."""
        allowed = float(self.max_missing) * n_items if self._is_fraction else self.max_missing
        is_allowed = n_missing <= allowed or math.isclose(n_missing, allowed)  # 0.29 * 100 is less than 29
        return is_allowed and n_missing < max(n_items, 1)

    @property
    def _is_fraction(self) -> bool:
        return not isinstance(self.max_missing, Integral)


@dataclass(frozen=True)
class PublishedDataset:
    """What was published: the merged outputs, and what is in them."""

    paths: Sequence[str]
    """The merged outputs, filters first."""
    manifest: Manifest
    """What is in them, and what is missing."""
    manifest_path: str | None
    """Where that is written; ``None`` where the sink has no merged output."""
    changes: Changes | None = None
    """What differs from the manifest before; ``None`` where none is written."""
    version: VersionRecord | None = None
    """What is recorded of the new version of the dataset; ``None`` where it is the one that was there."""

    @property
    def data_version(self) -> str:
        """Changes exactly when what is in the outputs does."""
        return self.manifest.data_version


def manifest_location(output: ShardedOutput) -> OutputLocation:
    """Where the manifest of a sink's merged output stands."""
    return manifest_beside(output.location)
