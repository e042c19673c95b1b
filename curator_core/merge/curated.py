"""`CuratedDataset`: a version of a published dataset, for who reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Self

from curator_core.datasets.manifest import Manifest, published_manifest
from curator_core.datasets.versions import NEWEST, read_version
from curator_core.errors import ConfigError, DatasetExpiredError, DatasetReplacedError
from curator_core.storage.base import OutputLocation
from curator_core.storage.kept import is_former
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
        """A version of the dataset that is published at a path.

        Parameters
        ----------
        path
            The sink's output; its manifest stands beside it.
        data_version
            The version that is wanted, by id, by the beginning of one, or by tag, as long as it is kept; the one that
            is there by default.

        Raises
        ------
        ConfigError
            There is no dataset, or no manifest of it, or no version is meant by the name.
        DatasetExpiredError
            The version is not kept any more.
        DatasetReplacedError
            It is being published now.
        """
        place, manifest = read_version(location_of(path, "the dataset"), data_version or NEWEST)
        return cls(place.readable_path, manifest.data_version, manifest)

    @property
    def n_items(self) -> int:
        """Number of its items."""
        return len(self.manifest.fingerprints)

    @property
    def config_hash(self) -> str:
        """Configuration of the pipeline that made it."""
        return self.manifest.config_hash

    def check(self) -> None:
        """Make sure that what lies at `path` still is this version: after a long look at it, nothing was of another.

        Raises
        ------
        ConfigError
            There is no dataset any more.
        DatasetReplacedError
            Another version was published there since; the message says where this one is, or that it expired.
        """
        location = location_of(self.path, "the dataset")
        try:
            found = published_manifest(location).data_version
        except ConfigError as exc:
            if location.exists() or not is_former(self.path):
                raise
            raise DatasetExpiredError(
                f"Version {self.data_version[:16]} of a dataset, at {self.path}, is not kept any more: it expired. "
                "Read the newest version, or give one that is needed a tag.",
                file=self.path,
            ) from exc
        if found != self.data_version:
            raise DatasetReplacedError(
                f"The dataset {self.path} is of version {found[:16]} now, not {self.data_version[:16]}, which was "
                f"asked for: it was published again since. {_advice(location, self.data_version)}",
                file=self.path,
            )


def _advice(location: OutputLocation, version: str) -> str:
    if version not in location.kept_versions():
        return "That version has expired: read the newest one, or publish that one again."
    return f"That version is kept: read it with data_version={version[:16]!r}, or read the newest one."


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
