"""What is said of a published dataset: how much may be missing from it, what is in it, which version it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Self

from curator_core.errors import ConfigError
from curator_core.merge.archive import ShardedOutput, content_signature, item_version
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import writing


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


@dataclass(frozen=True, slots=True)
class Changes:
    """What a publication changed in a dataset: keys of items."""

    added: tuple[str, ...] = ()
    """Items that were not in it."""
    changed: tuple[str, ...] = ()
    """Items that were in it in another version: of other content, or made by another configuration."""
    removed: tuple[str, ...] = ()
    """Items that are in it no more."""

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
        """What turns a dataset into another one, each given by the versions of its items."""
        return cls(
            tuple(key for key in after if key not in before),
            tuple(key for key, version in after.items() if before.get(key, version) != version),
            tuple(key for key in before if key not in after),
        )


@dataclass(frozen=True)
class Manifest:
    """The items of a published dataset, with the version of each, and those that it lacks as they are now."""

    config_hash: str
    """Configuration of the pipeline."""
    fingerprints: Mapping[str, str | None]
    """Fingerprint by key of the items in the dataset, in their order; the former one of an item that changed since."""
    missing: Mapping[str, str]
    """Reason by key of the items that are not in it, or as they were before they changed."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """`item_version` by key of the items in the dataset."""
        return {key: item_version(key, mark, self.config_hash) for key, mark in self.fingerprints.items()}

    @cached_property
    def data_version(self) -> str:
        """Hash of all that is in the dataset; changes exactly when that does."""
        return content_signature(self.versions)

    @classmethod
    def read(cls, location: OutputLocation) -> Self:
        """The manifest that stands at a place.

        Raises
        ------
        ConfigError
            It is none.
        """
        try:
            content = json.loads(location.read())
            items = {item["key"]: item["fingerprint"] for item in content["items"]}
            return cls(content["config_hash"], items, content["missing"])
        except (ValueError, LookupError, TypeError) as exc:
            raise ConfigError(f"{location.path} is no manifest of a dataset: {type(exc).__name__}: {exc}") from exc

    def write(self, location: OutputLocation, dataset: OutputLocation | None = None) -> Changes:
        """Publish it as JSON, unless that is what is there already, and no older than its dataset.

        Gives what differs from what was there.

        Parameters
        ----------
        location
            Where, see `manifest_location`.
        dataset
            The dataset that it describes.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        content = {
            "data_version": self.data_version,
            "config_hash": self.config_hash,
            "items": [
                {"key": key, "fingerprint": mark, "version": self.versions[key]}
                for key, mark in self.fingerprints.items()
            ],
            "missing": dict(self.missing),
        }
        data = f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode()
        with writing(location.path):
            location.remove_leftovers()  # of a process that was killed while it wrote one
            is_older = dataset is not None and location.exists() and location.modified_ns() < dataset.modified_ns()
            before = location.read() if location.exists() else b""
            if is_older or before != data:
                with location.publication() as staged:
                    staged.write_bytes(data)
        return Changes() if before == data else Changes.between(_versions_in(before), self.versions)


def _versions_in(manifest: bytes) -> dict[str, str]:
    """Versions of the items in a manifest that was written; none where something else stands there."""
    try:
        return {item["key"]: item["version"] for item in json.loads(manifest)["items"]}
    except (KeyError, RecursionError, TypeError, ValueError):
        return {}


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

    @property
    def data_version(self) -> str:
        """Changes exactly when what is in the outputs does."""
        return self.manifest.data_version


def manifest_location(output: ShardedOutput) -> OutputLocation:
    """Where the manifest of a sink's merged output stands."""
    return manifest_beside(output.location)


def manifest_beside(dataset: OutputLocation) -> OutputLocation:
    """Where the manifest of a dataset stands: ``{stem}_manifest.json`` beside it."""
    return dataset.beside(f"{dataset.work_path.stem}_manifest.json")
