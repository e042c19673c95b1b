"""Versions of a published dataset: listed, compared, found again, tagged, restored and expired."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from curator_core.datasets.contents import Changes
from curator_core.datasets.history import (
    History,
    VersionRecord,
    drop_versions,
    finish_publication,
    keep_former,
    newest_record,
    record_publication,
)
from curator_core.datasets.manifest import Manifest, manifest_beside, published_manifest
from curator_core.errors import ConfigError, DatasetExpiredError, DatasetReplacedError, UnknownNameError
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import writing
from curator_core.storage.locations import location_of
from curator_core.storage.locks import joint_lock

NEWEST = "newest"
"""Name of the version that is published now."""
_MIN_PREFIX = 4
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WAIT_S = 5.0
"""How long a publication that is going on is waited for."""

PathOrURL = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """One version of a dataset, and whether it can still be read."""

    record: VersionRecord
    """What is recorded of it."""
    state: Literal["newest", "kept", "expired"]
    """The one that is there, a former one that is kept, or one that is not kept any more."""

    @property
    def id(self) -> str:
        """Its data version."""
        return self.record.id


def list_versions(dataset: PathOrURL) -> list[DatasetVersion]:
    """The versions of a dataset that are known, newest first.

    Parameters
    ----------
    dataset
        The sink's output.

    Raises
    ------
    ConfigError
        There is no dataset, or no manifest of it.
    DatasetReplacedError
        It is being published now.
    """
    location = _location(dataset)
    return _listed(location, published_manifest(location))


def _listed(location: OutputLocation, manifest: Manifest) -> list[DatasetVersion]:
    history, kept = History.read(location), set(location.kept_versions())
    newest = manifest.data_version
    found = [DatasetVersion(newest_record(location, history, manifest), "newest")]
    former = (record for record in reversed(history.records) if record.id != newest)
    return found + [DatasetVersion(record, "kept" if record.id in kept else "expired") for record in former]


def diff_versions(dataset: PathOrURL, version: str, other: str = NEWEST) -> Changes:
    """What turns one version of a dataset into another one: items added, changed, removed, put into another split.

    Parameters
    ----------
    dataset
        The sink's output.
    version, other
        The two, by id, by the beginning of one, or by tag; the second is the newest by default.

    Raises
    ------
    ConfigError
        No version is meant by one of the names, or by more than one.
    DatasetExpiredError
        One is not kept any more.
    """
    location = _location(dataset)
    first, second = (read_version(location, name)[1] for name in (version, other))
    return Changes.between(first, second)


def locate_version(dataset: PathOrURL, version: str = NEWEST) -> str:
    """Where a version of a dataset lies now: what a reader opens.

    Parameters
    ----------
    dataset
        The sink's output.
    version
        The version, by id, by the beginning of one, or by tag; the newest by default.

    Raises
    ------
    ConfigError
        There is no dataset, or no version is meant by the name, or more than one.
    DatasetExpiredError
        It is not kept any more.
    """
    return read_version(_location(dataset), version)[0].readable_path


def read_version(location: OutputLocation, version: str) -> tuple[OutputLocation, Manifest]:
    """Where a version lies now, and its manifest, see `locate_version`."""
    if version == NEWEST:
        return location, published_manifest(location)
    manifest = _newest(location)
    found = _resolved(location, version, manifest)
    if manifest is not None and found == manifest.data_version:
        return location, manifest
    try:
        place = location.kept_version(found)
    except FileNotFoundError:
        raise _expired(location, version, found) from None
    return place, published_manifest(place)


def _newest(location: OutputLocation) -> Manifest | None:
    """The manifest of the version that is there; ``None`` while it is being published."""
    try:
        return published_manifest(location)
    except DatasetReplacedError:
        return None


def _resolved(location: OutputLocation, version: str, manifest: Manifest | None) -> str:
    """The id that is meant by an id, the beginning of one, or a tag."""
    history = History.read(location)
    tagged = next((record.id for record in history.records if version in record.tags), None)
    if tagged is not None:
        return tagged
    newest = [] if manifest is None else [manifest.data_version]
    known = dict.fromkeys([*newest, *location.kept_versions(), *(record.id for record in history.records)])
    if version in known or re.fullmatch("[0-9a-f]{64}", version):
        return version
    meant = [name for name in known if name.startswith(version)] if len(version) >= _MIN_PREFIX else []
    if len(meant) > 1:
        raise ConfigError(f"{location.path}: {version!r} is the beginning of {len(meant)} versions: write more of it.")
    if not meant:
        tags = [tag for record in history.records for tag in record.tags]
        raise UnknownNameError.of(f"version of {location.path}:", version, [*tags, *(name[:16] for name in known)])
    return meant[0]


def _expired(location: OutputLocation, named: str, version: str) -> DatasetExpiredError:
    kept = ", ".join(name[:16] for name in location.kept_versions()) or "none"
    said = version[:16] if named == version or version.startswith(named) else f"{named} ({version[:16]})"
    return DatasetExpiredError(
        f"Version {said} of the dataset {location.path} is not kept: it expired, or was never published here. Former "
        f"versions that are kept: {kept}. Read one of these or the newest; `keep_versions` says how many are kept, "
        "and a version with a tag always is.",
        file=location.path,
    )


def restore_version(dataset: PathOrURL, version: str, *, keep_versions: int | None = None) -> VersionRecord:
    """Publish a former version again: it is the newest, and the one that was there is kept as a former one.

    Nothing that is recorded of the items changes. The next run compares what it finds in the dataset with the source as
    it always does: items of which another version is there now are processed again, and gathering publishes what the
    source holds then. To stay at a version, let jobs name it, or bring source and configuration back.

    Parameters
    ----------
    dataset
        The sink's output.
    version
        The former version, by id, by the beginning of one, or by tag.
    keep_versions
        How many versions are kept, the newest counted; as many as there are by default.

    Raises
    ------
    ConfigError
        No version is meant by the name, or more than one, or the dataset has no manifest.
    DatasetExpiredError
        It is not kept any more.
    StoreBusyError
        A run or gathering holds the dataset.
    OutputError
        It cannot be written; what was there stays.
    """
    location = _location(dataset)
    with _holding(location):
        now = published_manifest(location)
        place, manifest = read_version(location, version)
        history = History.read(location)
        if manifest.data_version == now.data_version:
            return newest_record(location, history, now)
        former = keep_former(location, now.versions, now.splits, max(2, keep_versions or 2))
        history = History.read(location)
        history.restoring = manifest.data_version
        history.write()
        with writing(location.path), location.publication(version=manifest.data_version, former=former) as staged:
            location.copy_version(place, staged)
        record = _describe(location, manifest)
        history = History.read(location)
        history.expire(keep_versions or len(history.records))
        return record or newest_record(location, history, manifest)


def _describe(location: OutputLocation, manifest: Manifest) -> VersionRecord | None:
    """Record a version that was restored, and put its manifest beside it."""
    record = record_publication(location, manifest, is_restored=True)
    manifest.write(manifest_beside(location), location)
    return record


def _finish_restoring(location: OutputLocation) -> None:
    """Finish what was killed between a former version's publication and its manifest's."""
    restoring = History.read(location).restoring
    if restoring and restoring in location.kept_versions() and location.exists() and _newest(location) is None:
        _describe(location, published_manifest(location.kept_version(restoring)))


def tag_version(dataset: PathOrURL, version: str, tag: str) -> VersionRecord:
    """Give a version a tag: a name for it, which keeps it for as long as it has one.

    Parameters
    ----------
    dataset
        The sink's output.
    version
        The version, by id, by the beginning of one, or by another tag.
    tag
        Letters, digits, dots, hyphens and underscores, at most 64.

    Raises
    ------
    ConfigError
        The tag is none, or another version's.
    DatasetExpiredError
        The version is not kept any more.
    """
    if not _TAG.fullmatch(tag) or tag == NEWEST or re.fullmatch("[0-9a-f]{64}", tag):
        raise ConfigError(f"{tag!r} is no tag: write letters, digits, '.', '-' and '_', at most 64, not {NEWEST!r}.")
    location = _location(dataset)
    with _holding(location):
        _, manifest = read_version(location, version)
        history = History.read(location)
        owner = next((record for record in history.records if tag in record.tags), None)
        if owner is not None and owner.id != manifest.data_version:
            raise ConfigError(f"{location.path}: {tag!r} is the tag of version {owner.id[:16]}: remove it there first.")
        record = newest_record(location, history, manifest)
        if history.find(record.id) is None:
            history.put(record)
        tagged = replace(record, tags=tuple(dict.fromkeys([*record.tags, tag])))
        history.update(tagged)
        history.write()
        return tagged


def untag_version(dataset: PathOrURL, tag: str) -> VersionRecord:
    """Remove a tag; its version expires like any other from then on.

    Parameters
    ----------
    dataset
        The sink's output.
    tag
        The tag.

    Raises
    ------
    UnknownNameError
        No version has it.
    """
    location = _location(dataset)
    with _holding(location):
        history = History.read(location)
        owner = next((record for record in history.records if tag in record.tags), None)
        if owner is None:
            tags = [tag for record in history.records for tag in record.tags]
            raise UnknownNameError.of(f"tag of {location.path}:", tag, tags)
        without = replace(owner, tags=tuple(name for name in owner.tags if name != tag))
        history.update(without)
        history.write()
        return without


def expire_versions(dataset: PathOrURL, versions: Sequence[str] = (), *, keep_versions: int | None = None) -> list[str]:
    """Delete former versions, and give their ids; the newest one, and those with a tag, stay.

    Parameters
    ----------
    dataset
        The sink's output.
    versions
        Which, by id or by the beginning of one.
    keep_versions
        Or all but the last ones: how many are kept, the newest counted.

    Raises
    ------
    ConfigError
        Neither is given or both; or a version is the newest, or has a tag.
    DatasetExpiredError
        A version is not kept any more.
    """
    if bool(versions) == (keep_versions is not None) or (keep_versions is not None and keep_versions < 1):
        raise ConfigError("Name the versions that are to expire, or the number of those that are kept, at least 1.")
    location = _location(dataset)
    with _holding(location):
        history = History.read(location)
        if keep_versions is not None:
            return history.expire(keep_versions)
        found = [_expirable(location, history, version) for version in versions]
        drop_versions(location, found)
        return found


def _expirable(location: OutputLocation, history: History, version: str) -> str:
    _, manifest = read_version(location, version)
    found = manifest.data_version
    record = history.find(found)
    if record is not None and record.tags:
        raise ConfigError(f"{location.path}: version {found[:16]} has the tag {record.tags[0]!r}: remove that first.")
    if found not in location.kept_versions():
        raise ConfigError(f"{location.path}: version {found[:16]} is the newest one, which does not expire.")
    return found


def _location(dataset: PathOrURL) -> OutputLocation:
    return location_of(os.fspath(dataset).rstrip("/") or "/", "the dataset")


@contextmanager
def _holding(location: OutputLocation) -> Iterator[None]:
    """Keep runs and gatherings from the dataset, and put right what a killed one left."""
    if not location.exists() and not location.kept_versions():
        raise ConfigError(f"There is no dataset {location.path}: nothing was published there, or it was removed.")
    path = location.lock_path
    finish = partial(path.unlink, missing_ok=True)
    lock = joint_lock(path, group=uuid.uuid4().hex, holder="curator versions", timeout_s=_WAIT_S, finish=finish)
    with lock, writing(location.path):
        location.recover()
        location.remove_leftovers()
        _finish_restoring(location)
        if location.exists():
            finish_publication(location)
        yield
