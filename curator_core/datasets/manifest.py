"""The manifest of a published dataset: a file beside it that lists its items, and says which version they make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring
from typing import Any, Self

from curator_core.datasets.contents import Changes, content_signature, item_version
from curator_core.errors import ConfigError, DatasetReplacedError, DatasetVersionError
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import writing
from curator_core.storage.kept import former_version

_FORMAT = 1
"""Of the file; one without a number is of the first."""
_FORMAT_NAME = "format_version"
_ITEMS = '\n "items": ['
"""Where its items begin."""


@dataclass(frozen=True)
class Manifest:
    """The items of a published dataset, with the version of each, and those that it lacks as they are now."""

    config_hash: str
    """Configuration of the pipeline."""
    fingerprints: Mapping[str, str | None]
    """Fingerprint by key of the items in the dataset, in their order; the former one of an item that changed since."""
    missing: Mapping[str, str]
    """Reason by key of the items that are not in it, or as they were before they changed."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Split by key of the items in the dataset, empty for one that is in none; nothing where there is no rule."""
    split_rule: Mapping[str, Any] | None = None
    """The rule that divides them, as it is recorded."""
    dataset: Mapping[str, Any] | None = None
    """What people say of the dataset, as a pipeline file has it."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """`item_version` by key of the items in the dataset."""
        return {key: item_version(key, mark, self.config_hash) for key, mark in self.fingerprints.items()}

    @cached_property
    def data_version(self) -> str:
        """Hash of all that is in the dataset; changes exactly when that does."""
        return content_signature(self.versions, self.splits)

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
            splits = {item["key"]: item["split"] for item in content["items"] if "split" in item}
            about = content.get("split"), content.get("dataset")
            return cls(content["config_hash"], items, content["missing"], splits, *about)
        except DatasetVersionError:
            raise
        except (ValueError, LookupError, TypeError) as exc:
            raise ConfigError(f"{location.path} is no manifest of a dataset: {type(exc).__name__}: {exc}") from exc

    def changes_from(self, location: OutputLocation, dataset: OutputLocation | None = None) -> Changes:
        """What differs from the manifest that stands at a place, or where that of the dataset stood formerly."""
        before, former = _before(location, dataset)
        return Changes.between(_contents_of(before, former or location), self)

    def write(
        self, location: OutputLocation, dataset: OutputLocation | None = None, *, changes: Changes | None = None
    ) -> Changes:
        """Publish it as JSON, unless that is what is there already, and no older than its dataset.

        Gives what differs from what was there.

        Parameters
        ----------
        location
            Where, see `manifest_beside`.
        dataset
            The dataset that it describes.
        changes
            What `changes_from` gave, where that was asked before.

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
            if changes is None:
                is_same = before == data
                changes = Changes() if is_same else Changes.between(_contents_of(before, former or location), self)
            if is_older or former is not None or before != data:
                with location.publication() as staged:
                    staged.write_bytes(data)
            if former is not None and _config_in(before) == self.config_hash:  # of this dataset, and of no other
                former.remove()
        return changes

    def announce(self, dataset: OutputLocation) -> None:
        """Leave it for who finds its dataset published and not described, since its publisher was killed in between.

        Parameters
        ----------
        dataset
            The dataset, which is about to be published.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        place = announced_manifest(dataset)
        with writing(place.path):
            place.remove_leftovers()
            with place.publication() as staged:
                staged.write_bytes(self._encoded())

    def _encoded(self) -> bytes:
        """It as JSON: indented as `json` would do it, which takes ten times as long for the items."""
        split = {} if self.split_rule is None else {"split": dict(self.split_rule)}
        content = {
            "data_version": self.data_version,
            "config_hash": self.config_hash,
            **split,
            **({} if self.dataset is None else {"dataset": dict(self.dataset)}),
            "items": [],
            "missing": dict(self.missing),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        if self.fingerprints:
            items = ",\n  ".join(map(self._item, self.fingerprints))
            text = text.replace(f"{_ITEMS}]", f"{_ITEMS}\n  {items}\n ]", 1)
        return f"{text}\n".encode()

    def _item(self, key: str) -> str:
        mark = self.fingerprints[key]
        quoted = "null" if mark is None else encode_basestring(mark)
        split = f',\n   "split": {encode_basestring(self.splits[key])}' if key in self.splits else ""
        return (
            f'{{\n   "key": {encode_basestring(key)},\n   "fingerprint": {quoted},'
            f'\n   "version": "{self.versions[key]}"{split}\n  }}'
        )


def _before(location: OutputLocation, dataset: OutputLocation | None) -> tuple[bytes, OutputLocation | None]:
    """The manifest that is to be replaced, and its place where that is the former one."""
    if location.exists():
        return location.read(), None
    former = None if dataset is None else _former_place(dataset)
    return (b"", None) if former is None or not former.exists() else (former.read(), former)


def _check_format(content: Mapping[str, object], location: OutputLocation) -> None:
    found = content.get(_FORMAT_NAME, _FORMAT)
    if found != _FORMAT:
        raise DatasetVersionError(
            f"{location.path} has format version {found!r}, this version of curator reads {_FORMAT}: a newer one "
            "published the dataset. Upgrade curator.",
            file=location.path,
        )


@dataclass(frozen=True, slots=True)
class _Written:
    """What a manifest that was written says is in its dataset."""

    versions: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)


def _contents_of(manifest: bytes, location: OutputLocation) -> _Written:
    """What is in the dataset of a manifest that was written; nothing where something else stands there."""
    try:
        content = json.loads(manifest)
        if isinstance(content, dict):
            _check_format(content, location)
        items = content["items"]
        return _Written(
            {item["key"]: item["version"] for item in items},
            {item["key"]: item["split"] for item in items if "split" in item},
        )
    except (KeyError, RecursionError, TypeError, ValueError):
        return _Written()


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a manifest says before its items, which are not read for it."""

    config_hash: str = ""
    """Configuration of the pipeline; empty where something else than a manifest stands there."""
    split: Mapping[str, Any] | None = None
    """The rule of splits, if there is one."""
    dataset: Mapping[str, Any] | None = None
    """What people say of the dataset, if they do."""

    @classmethod
    def read(cls, location: OutputLocation) -> Self:
        """The head of the manifest that stands at a place.

        Raises
        ------
        DatasetVersionError
            A newer version of curator wrote it.
        """
        data = location.read()
        content = _head_of(data)
        _check_format(_whole(data) if _FORMAT_NAME.encode() in data else content, location)
        rule, words = (found if isinstance(found := content.get(name), dict) else None for name in ("split", "dataset"))
        return cls(str(content.get("config_hash", "")), rule, words)


def _head_of(manifest: bytes) -> dict[str, Any]:
    head, found, _ = manifest.partition(_ITEMS.encode())
    return _whole(head.rstrip().rstrip(b",") + b"}" if found else manifest)


def _whole(manifest: bytes) -> dict[str, Any]:
    try:
        content = json.loads(manifest)
    except (RecursionError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _config_in(manifest: bytes) -> str | None:
    """Configuration in a manifest that was written."""
    found = _head_of(manifest).get("config_hash")
    return None if found is None else str(found)


def manifest_beside(dataset: OutputLocation) -> OutputLocation:
    """Where the manifest of a dataset stands: ``{name}.manifest.json`` beside it."""
    return dataset.beside(f"{dataset.work_path.name}.manifest.json")


def standing_manifest(dataset: OutputLocation) -> OutputLocation | None:
    """Where the manifest of a dataset stands now; ``None`` where it has none.

    Until it is published again, that may be ``{stem}_manifest.json``, which several outputs shared.
    """
    return next((place for place in manifest_places(dataset) if place.exists()), None)


def standing_head(dataset: OutputLocation) -> ManifestHead:
    """The head of the manifest of the dataset that is there; an empty one where there is none.

    Raises
    ------
    DatasetVersionError
        A newer version of curator published it.
    """
    place = standing_manifest(dataset) if dataset.exists() else None
    return ManifestHead() if place is None else ManifestHead.read(place)


def said_of(dataset: OutputLocation) -> Mapping[str, Any] | None:
    """What people said of the dataset that is there when it was published, as a pipeline file has it.

    Raises
    ------
    DatasetVersionError
        A newer version of curator published it.
    """
    return standing_head(dataset).dataset


def announced_manifest(dataset: OutputLocation) -> OutputLocation:
    """Where the manifest of a version stands from before it is published until its manifest stands beside it."""
    return dataset.beside(f"{dataset.work_path.name}.manifest.next.json")


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
    kept = former_version(dataset.work_path)
    if kept:
        return _of_version(kept, Manifest.read(place), dataset)
    if place.modified_ns() < dataset.modified_ns():
        raise DatasetReplacedError(
            f"The dataset {dataset.path} was written after its manifest: it is being published now, or somebody "
            "changed it. Read it again later, or gather it again.",
            file=dataset.path,
        )
    return Manifest.read(place)


def _of_version(version: str, found: Manifest, dataset: OutputLocation) -> Manifest:
    """The manifest of a former version: what it lists says which one it is of, whichever was written first."""
    if found.data_version != version:
        raise ConfigError(
            f"{manifest_beside(dataset).path} is the manifest of version {found.data_version[:16]}: somebody changed "
            f"it. Version {version[:16]} can be read, and cannot be compared or restored."
        )
    return found
