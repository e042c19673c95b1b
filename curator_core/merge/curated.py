"""`CuratedDataset`: a version of a published dataset, for who reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Self

from curator_core.errors import ConfigError, DatasetReplacedError
from curator_core.merge.publication import Manifest, manifest_beside
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of


@dataclass(frozen=True)
class CuratedDataset:
    """A version of a published dataset: where it lies, and what is in it."""

    path: str
    """What a reader opens: a path, or a URL where the dataset is published elsewhere."""
    data_version: str
    """Changes exactly when what is in the dataset does."""
    manifest: Manifest = field(repr=False)
    """Key and fingerprint of its items, and what is missing from it."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, data_version: str | None = None) -> Self:
        """The dataset that is published at a path.

        Parameters
        ----------
        path
            The sink's output; its manifest stands beside it.
        data_version
            The version that is wanted; the one that is there by default.

        Raises
        ------
        ConfigError
            There is no dataset, or no manifest of it.
        DatasetReplacedError
            It is of another version.
        """
        location = location_of(path, "the dataset")
        manifest, found = _read(location)
        dataset = cls(location.readable_path, found if data_version is None else data_version, manifest)
        dataset._compare(found)
        return dataset

    @property
    def n_items(self) -> int:
        """Number of its items."""
        return len(self.manifest.fingerprints)

    @property
    def config_hash(self) -> str:
        """Configuration of the pipeline that made it."""
        return self.manifest.config_hash

    def check(self) -> None:
        """Make sure that what lies there is still this version: after a long look at it, nothing was of another.

        Raises
        ------
        ConfigError
            There is no dataset any more.
        DatasetReplacedError
            Another version was published since.
        """
        _, found = _read(location_of(self.path, "the dataset"))
        self._compare(found)

    def _compare(self, found: str) -> None:
        if found != self.data_version:
            raise DatasetReplacedError(
                f"The dataset {self.path} is of version {found[:16]} now, not {self.data_version[:16]}, which was "
                "asked for: it was published again since. Read the latest version, or publish that one again.",
                file=self.path,
            )


def _read(location: OutputLocation) -> tuple[Manifest, str]:
    """The manifest of the dataset that is there, and its data version."""
    if not location.exists():
        raise ConfigError(f"There is no dataset {location.path}: nothing was published there, or it was removed.")
    place = manifest_beside(location)
    if not place.exists():
        raise ConfigError(
            f"The dataset {location.path} has no manifest {place.path} beside it: curator did not publish it, or not "
            "to the end. Gather it again."
        )
    if place.modified_ns() < location.modified_ns():
        raise DatasetReplacedError(
            f"The dataset {location.path} was written after its manifest: it is being published now, or somebody "
            "changed it. Read it again later, or gather it again.",
            file=location.path,
        )
    manifest = Manifest.read(place)
    return manifest, manifest.data_version


@dataclass(frozen=True)
class CuratedItem:
    """What is recorded of an item, for who reads what came of it."""

    key: str
    """The item's key in its source."""
    outputs: tuple[str, ...]
    """What holds its result: files of its own, or the dataset that it is merged into."""
    data_version: str
    """Changes exactly when the item does, or how it is processed."""
    fingerprint: str | None = None
    """Content identity in the source, where it has one."""
