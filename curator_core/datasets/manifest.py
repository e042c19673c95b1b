"""The manifest of a published dataset: its items, the version of each, and which version of the dataset they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring_ascii
from typing import Self

from curator_core.errors import ConfigError, DatasetReplacedError, DatasetVersionError
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import writing

_FORMAT = 1
"""Of the file; one without a number is of the first."""


def content_signature(versions: dict[str, str]) -> str:
    """Hash of an ordered set of items: the same items in the same order give the same."""
    return hashlib.sha256(json.dumps(list(versions.items())).encode()).hexdigest()


def item_version(key: str, fingerprint: str | None, config_hash: str) -> str:
    """Identity of an item's curated state: the same item, content and configuration give the same."""
    quoted = "null" if fingerprint is None else encode_basestring_ascii(fingerprint)
    text = f"[{encode_basestring_ascii(key)}, {quoted}, {encode_basestring_ascii(config_hash)}]"  # for every item
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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
            if isinstance(content, dict):
                _check_format(content, location)
            items = {item["key"]: item["fingerprint"] for item in content["items"]}
            return cls(content["config_hash"], items, content["missing"])
        except DatasetVersionError:
            raise
        except (ValueError, LookupError, TypeError) as exc:
            raise ConfigError(f"{location.path} is no manifest of a dataset: {type(exc).__name__}: {exc}") from exc

    def changes_from(self, location: OutputLocation, dataset: OutputLocation | None = None) -> Changes:
        """What differs from the manifest that stands at a place, or where that of the dataset stood formerly."""
        before, _ = _before(location, dataset)
        return Changes.between(_versions_in(before), self.versions)

    def write(self, location: OutputLocation, dataset: OutputLocation | None = None) -> Changes:
        """Publish it as JSON, unless that is what is there already, and no older than its dataset.

        Gives what differs from what was there.

        Parameters
        ----------
        location
            Where, see `manifest_beside`.
        dataset
            The dataset that it describes.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        data = self._encoded()
        with writing(location.path):
            location.remove_leftovers()  # of a process that was killed while it wrote one
            is_older = dataset is not None and location.exists() and location.modified_ns() < dataset.modified_ns()
            before, former = _before(location, dataset)
            if is_older or former is not None or before != data:
                with location.publication() as staged:
                    staged.write_bytes(data)
            if former is not None and _config_in(before) == self.config_hash:  # of this dataset, and of no other
                former.remove()
        return Changes() if before == data else Changes.between(_versions_in(before), self.versions)

    def _encoded(self) -> bytes:
        content = {
            "data_version": self.data_version,
            "config_hash": self.config_hash,
            "items": [
                {"key": key, "fingerprint": mark, "version": self.versions[key]}
                for key, mark in self.fingerprints.items()
            ],
            "missing": dict(self.missing),
        }
        return f"{json.dumps(content, indent=1, ensure_ascii=False)}\n".encode()


def _before(location: OutputLocation, dataset: OutputLocation | None) -> tuple[bytes, OutputLocation | None]:
    """The manifest that is to be replaced, and its place where that is the former one."""
    if location.exists():
        return location.read(), None
    former = None if dataset is None else _former_place(dataset)
    return (b"", None) if former is None or not former.exists() else (former.read(), former)


def _check_format(content: Mapping[str, object], location: OutputLocation) -> None:
    found = content.get("format_version", _FORMAT)
    if found != _FORMAT:
        raise DatasetVersionError(
            f"{location.path} has format version {found!r}, this version of curator reads {_FORMAT}: a newer one "
            "published the dataset. Upgrade curator.",
            file=location.path,
        )


def _versions_in(manifest: bytes) -> dict[str, str]:
    """Versions of the items in a manifest that was written; none where something else stands there."""
    try:
        return {item["key"]: item["version"] for item in json.loads(manifest)["items"]}
    except (KeyError, RecursionError, TypeError, ValueError):
        return {}


def _config_in(manifest: bytes) -> str | None:
    """Configuration in a manifest that was written."""
    try:
        found = json.loads(manifest)["config_hash"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return str(found)


def manifest_beside(dataset: OutputLocation) -> OutputLocation:
    """Where the manifest of a dataset stands: ``{name}.manifest.json`` beside it."""
    return dataset.beside(f"{dataset.work_path.name}.manifest.json")


def standing_manifest(dataset: OutputLocation) -> OutputLocation | None:
    """Where the manifest of a dataset stands now; ``None`` where it has none.

    Until it is published again, that may be ``{stem}_manifest.json``, which several outputs shared.
    """
    return next((place for place in manifest_places(dataset) if place.exists()), None)


def manifest_places(dataset: OutputLocation) -> tuple[OutputLocation, OutputLocation]:
    """Where a dataset's manifest is written, and where former versions of curator wrote it."""
    return manifest_beside(dataset), _former_place(dataset)


def _former_place(dataset: OutputLocation) -> OutputLocation:
    return dataset.beside(f"{dataset.work_path.stem}_manifest.json")


def published_manifest(dataset: OutputLocation) -> Manifest:
    """The manifest of the dataset that is there, and is of no other version of it.

    Raises
    ------
    ConfigError
        There is no dataset, or no manifest of it.
    DatasetReplacedError
        The dataset was written after its manifest.
    """
    if not dataset.exists():
        raise ConfigError(f"There is no dataset {dataset.path}: nothing was published there, or it was removed.")
    dataset = dataset.by_version()
    place = standing_manifest(dataset)
    if place is None:
        raise ConfigError(
            f"The dataset {dataset.path} has no manifest {manifest_beside(dataset).path} beside it: curator did not "
            "publish it, or not to the end. Gather it again."
        )
    if place.modified_ns() < dataset.modified_ns():
        raise DatasetReplacedError(
            f"The dataset {dataset.path} was written after its manifest: it is being published now, or somebody "
            "changed it. Read it again later, or gather it again.",
            file=dataset.path,
        )
    return Manifest.read(place)
