"""What is recorded of the versions of a dataset, in ``{name}.versions/records.json``, and which of them are kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

from curator_core.datasets.contents import Changes, content_signature
from curator_core.datasets.manifest import Manifest, announced_manifest, manifest_beside, published_manifest
from curator_core.errors import ConfigError, DatasetReplacedError, DatasetVersionError, ObjectStoreError
from curator_core.formats.description import described_folder
from curator_core.storage.base import OutputLocation
from curator_core.storage.disk import writing

logger = logging.getLogger("curator")

MAX_RECORDS = 1000
"""Versions of which a record is kept."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a dataset, as it was published last."""

    id: str
    """Its data version."""
    published_at: str
    """When, ISO-8601, UTC."""
    config_hash: str = ""
    """Configuration of the pipeline that made it; empty where that is not known."""
    n_items: int = 0
    """Number of items in it."""
    n_missing: int = 0
    """Number of items of the source that it lacks as they are."""
    n_added: int = 0
    """Items that the version before did not have."""
    n_changed: int = 0
    """Items that the version before had in another version."""
    n_removed: int = 0
    """Items that the version before had, and this one has not."""
    n_reassigned: int = 0
    """Items that are in another split than in the version before."""
    new_bytes: int = 0
    """Bytes on disk that it does not share with the version before."""
    former: str = ""
    """The version before; empty where none is recorded."""
    is_restored: bool = False
    """Whether it was published again by restoring it."""
    tags: tuple[str, ...] = ()
    """Its tags; a version with a tag is always kept."""

    @classmethod
    def of(cls, manifest: Manifest, changes: Changes, new_bytes: int) -> Self:
        """The record of a version that is published now."""
        return cls(
            id=manifest.data_version,
            published_at=_stamp(datetime.now(UTC)),
            config_hash=manifest.config_hash,
            n_items=len(manifest.fingerprints),
            n_missing=len(manifest.missing),
            n_added=len(changes.added),
            n_changed=len(changes.changed),
            n_removed=len(changes.removed),
            n_reassigned=len(changes.reassigned),
            new_bytes=new_bytes,
        )


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class History:
    """The records of a dataset's versions, oldest first; whoever changes them holds the dataset's lock."""

    dataset: OutputLocation
    """The dataset."""
    records: list[VersionRecord] = field(default_factory=list)
    """One for every version that is known; that of the newest is the last one."""
    restoring: str = ""
    """The version that is being restored; after a kill it may be there without its manifest."""

    @classmethod
    def read(cls, dataset: OutputLocation) -> Self:
        """What is recorded; nothing where there was one version only.

        Raises
        ------
        DatasetVersionError
            The records are damaged, or a newer version of curator wrote them.
        """
        place = _place(dataset)
        if not place.exists():
            return cls(dataset)
        try:
            content = json.loads(place.read())
            known = {f.name for f in fields(VersionRecord)}
            form = content["format_version"]
            rows: list[dict[str, Any]] = content["versions"]
            records = [VersionRecord(**{k: v for k, v in row.items() if k in known}) for row in rows]
            restoring = str(content.get("restoring", ""))
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            raise DatasetVersionError(
                f"{place.path} does not say which versions of {dataset.path} there are: {type(exc).__name__}: {exc}. "
                "Move it away; the versions beside it stay where they are.",
                file=place.path,
            ) from exc
        if form != _FORMAT:
            raise DatasetVersionError(
                f"{place.path} has format version {form!r}, this version of curator reads {_FORMAT}: a newer one "
                f"published {dataset.path}. Upgrade curator.",
                file=place.path,
            )
        return cls(dataset, [replace(record, tags=tuple(record.tags)) for record in records], restoring)

    def write(self) -> None:
        """Publish the records.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        place = _place(self.dataset)
        content: dict[str, Any] = {"format_version": _FORMAT}
        if self.restoring:
            content["restoring"] = self.restoring
        content["versions"] = [asdict(record) for record in self.records[-MAX_RECORDS:]]
        with writing(place.path), place.publication() as staged:
            staged.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")

    def find(self, version: str) -> VersionRecord | None:
        """The record of a version."""
        return next((record for record in self.records if record.id == version), None)

    def put(self, record: VersionRecord) -> VersionRecord:
        """Take a version in as the newest one, with the tags that it had."""
        former = self.find(record.id)
        if former is not None:
            self.records.remove(former)
            record = replace(record, tags=former.tags)
        self.records.append(record)
        return record

    def update(self, record: VersionRecord) -> None:
        """Replace the record of a version where it stands."""
        self.records = [record if known.id == record.id else known for known in self.records]

    def expire(self, keep_versions: int) -> list[str]:
        """Delete the former versions but the last ones, and those with a tag; those that are gone.

        Parameters
        ----------
        keep_versions
            How many are kept, the newest counted.
        """
        newest = self.records[-1].id if self.records else ""
        wanted = {record.id for record in self.records[-keep_versions:]} | {r.id for r in self.records if r.tags}
        known = {record.id for record in self.records}
        gone = [v for v in self.dataset.kept_versions() if v == newest or (v in known and v not in wanted)]
        drop_versions(self.dataset, gone)
        return [version for version in gone if version != newest]


def _place(dataset: OutputLocation) -> OutputLocation:
    return dataset.beside(f"{dataset.work_path.name}.versions/records.json")


def drop_versions(dataset: OutputLocation, versions: Iterable[str]) -> None:
    """Delete former versions with their manifests, and free what they alone needed."""
    for version in versions:
        manifest = manifest_beside(dataset.kept_version(version))
        dataset.expire_version(version)
        manifest.remove()
    dataset.collect()


def keep_former(dataset: OutputLocation, held: dict[str, str], splits: Mapping[str, str], keep_versions: int) -> str:
    """Prepare that the version which is there is kept when another one replaces it, and give its name; else nothing.

    Parameters
    ----------
    dataset
        The dataset.
    held
        Versions by key of the items in it.
    splits
        Splits by key of these; nothing where there are none.
    keep_versions
        How many are kept, the newest counted.
    """
    if not held or not dataset.keeps_versions:
        return ""
    former = content_signature(held, splits)
    history = History.read(dataset)
    record = history.find(former)
    if keep_versions < 2 and (record is None or not record.tags):  # noqa: PLR2004 - the newest and one more
        return ""
    manifest = _manifest_of(dataset, former)
    if record is None or record is not history.records[-1]:
        history.put(replace(_first_record(dataset, former, manifest), n_items=len(held)))
        history.write()
    if manifest is not None:
        manifest.write(manifest_beside(dataset.place_of_version(former)))
    else:
        logger.warning(
            "%s: version %s is kept without a manifest, since it had none: it can be read, not compared or restored.",
            dataset.path,
            former[:16],
        )
    return former


def _manifest_of(dataset: OutputLocation, version: str) -> Manifest | None:
    """The manifest that stands beside a dataset, if it is of that version: after a kill it may be of the one before."""
    try:
        found = published_manifest(dataset)
    except DatasetVersionError:
        raise
    except (ConfigError, DatasetReplacedError):
        return None
    return found if found.data_version == version else None


def _first_record(dataset: OutputLocation, version: str, manifest: Manifest | None) -> VersionRecord:
    """The record of a version that was published before there were any."""
    moment = _stamp(datetime.fromtimestamp(dataset.modified_ns() / 1e9, UTC))
    if manifest is None:
        return VersionRecord(version, moment)
    record = VersionRecord.of(manifest, Changes(tuple(manifest.fingerprints)), dataset.size())
    return replace(record, published_at=moment)


def newest_record(dataset: OutputLocation, history: History, manifest: Manifest) -> VersionRecord:
    """The record of the version that is there, made up where there is none yet."""
    return history.find(manifest.data_version) or _first_record(dataset, manifest.data_version, manifest)


def record_publication(
    dataset: OutputLocation, manifest: Manifest, *, is_restored: bool = False, changes: Changes | None = None
) -> VersionRecord | None:
    """Record what was published, before its manifest is written; ``None`` where that is what was there.

    The first version of a dataset is recorded when another one replaces it, or when it gets a tag.

    Parameters
    ----------
    dataset
        The dataset, which is published.
    manifest
        What is in it.
    is_restored
        Whether it is a former version.
    changes
        What differs from the manifest that stands there, where that is known.
    """
    history = History.read(dataset)
    before = history.records[-1] if history.records else None
    if before is not None and before.id == manifest.data_version:
        if history.restoring or before.n_missing != len(manifest.missing):
            history.restoring = ""
            history.update(replace(before, n_missing=len(manifest.missing)))
            history.write()
        return None
    if before is None and _manifest_of(dataset, manifest.data_version) is not None:
        return None
    if changes is None:
        changes = manifest.changes_from(manifest_beside(dataset), dataset)
    record = VersionRecord.of(manifest, changes, dataset.new_bytes(before.id if before is not None else ""))
    record = replace(record, former=before.id if before is not None else "", is_restored=is_restored)
    if before is not None:
        record = history.put(record)
        history.restoring = ""
        history.write()
    return record


def finish_publication(dataset: OutputLocation, held: Mapping[str, str] | None = None) -> None:
    """Record and describe the version that is there, where its publisher was killed before it did so.

    Parameters
    ----------
    dataset
        The dataset.
    held
        Versions by key of the items in it, in order; by default the hash of these that a dataset has of itself.
    """
    place = announced_manifest(dataset)
    if not place.exists():
        return
    try:
        published_manifest(dataset)
    except DatasetVersionError:
        raise
    except (ConfigError, DatasetReplacedError):
        manifest = Manifest.read(place)
        if held is None:
            is_there = _own_hash(dataset) == manifest.data_version
        else:
            is_there = list(manifest.versions.items()) == list(held.items())
        if is_there:  # else it was killed before it published that
            record_publication(dataset, manifest)
            manifest.write(manifest_beside(dataset), dataset)


def _own_hash(dataset: OutputLocation) -> str:
    """Data version that a dataset says itself; empty where it says none."""
    described = described_folder(dataset)
    if described is not None:
        return str(described.get("content_hash", ""))
    try:
        return str(json.loads(dataset.read("zarr.json"))["attributes"]["content_hash"])
    except ObjectStoreError:  # no damage
        raise
    except (OSError, LookupError, TypeError, ValueError):
        return ""


def was_restored(dataset: OutputLocation) -> bool:
    """Whether what is there is a former version that was published again, so that no run has made it what it is."""
    records = History.read(dataset).records
    return bool(records) and records[-1].is_restored
