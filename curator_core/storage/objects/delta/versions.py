"""Versions of a Delta table that curator publishes: what a commit says, and the objects of the version.

Next to the Parquet files, a table has a folder ``_curator``: in ``objects`` the other files of its versions, in
``listings`` the name, key and size of all objects of each, in ``kept`` the commit of each former version that is kept.
A commit of the log says which listing is its own.
"""

from __future__ import annotations

import errno
import json
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from curator_core.errors import ComponentError, DatasetExpiredError
from curator_core.storage.objects.delta.folder import ObjectFolder
from curator_core.storage.objects.delta.partitions import partition_values
from curator_core.storage.objects.delta.schema import TIMES_WITHOUT_ZONE
from curator_core.storage.objects.snapshots import SnapshotInfo, is_version

LOG: Final = "_delta_log"
OWN: Final = "_curator"
TABLE: Final = f"{OWN}/table.json"
"""Says that curator publishes there."""
KEPT: Final = f"{OWN}/kept"
LISTINGS: Final = f"{OWN}/listings"
_OBJECTS: Final = f"{OWN}/objects"
_DATA: Final = re.compile(r"part-[0-9a-f]{32}\.parquet")
_COMMIT: Final = re.compile(rf"{LOG}/(\d{{20}})\.json")
_ID: Final = re.compile(r"(\d+)(?:\.([0-9a-f]{16}))?")
_FOR_EVER: Final = "interval 5200 weeks"
"""Who else tidies the table leaves what curator keeps, and removes itself."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a version."""

    key: str
    """Where it is."""
    size: int
    """Bytes."""
    n_rows: int | None = None
    """Of a Parquet file that is part of the table."""

    @classmethod
    def new(cls, size: int, n_rows: int | None) -> StoredObject:
        """One under a key that was never used."""
        folder, start, end = ("", "part-", ".parquet") if n_rows is not None else (f"{_OBJECTS}/", "", "")
        return cls(f"{folder}{start}{uuid.uuid4().hex}{end}", size, n_rows)


@dataclass(frozen=True)
class Listing:
    """What a version consists of."""

    objects: Mapping[str, StoredObject]
    """By name, in order."""
    schema: str
    """As the log says it."""
    table: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Delta's name of the table."""
    partition_by: tuple[str, ...] = ()
    """Columns that are in the names of the objects, and not in these."""

    def encoded(self) -> bytes:
        """The object, as JSON."""
        said = asdict(self)
        if not self.partition_by:
            del said["partition_by"]
        return json.dumps(said, ensure_ascii=False).encode()

    @classmethod
    def read(cls, content: bytes) -> Listing:
        """What `encoded` gave."""
        found = json.loads(content)
        found["objects"] = {name: StoredObject(**one) for name, one in found["objects"].items()}
        return cls(**(found | {"partition_by": tuple(found.get("partition_by", ()))}))

    @property
    def data(self) -> dict[str, tuple[str, StoredObject]]:
        """The files of the table, and their names, by key."""
        return {one.key: (name, one) for name, one in self.objects.items() if one.n_rows is not None}


@dataclass(frozen=True)
class Commit:
    """What a commit says of its version."""

    number: int
    """Delta's number of the version."""
    info: SnapshotInfo
    """What is said of it; its id is `number` and a part of `publication`."""
    listing: str
    """The key of its listing."""
    has_feature: bool
    """Whether readers of the table have to know times without a zone, as they have from then on."""

    @classmethod
    def parsed(cls, number: int, content: bytes, place: str) -> Commit:
        """The commit that an object of the log holds.

        Raises
        ------
        ComponentError
            It is of somebody else.
        """
        said: dict[str, Any] = json.loads(content.partition(b"\n")[0]).get("commitInfo", {})
        own = said.get("curator")
        if not isinstance(own, dict):
            raise ComponentError(
                f"{place}: version {number} of the Delta table is of somebody else ({said.get('operation', 'unknown')} "
                f"by {said.get('engineInfo', 'unknown')}), and curator publishes what it alone writes. Remove "
                f"{commit_name(number)} there, which gives the version before back, or publish to another place.",
                file=place,
            )
        moment = datetime.fromtimestamp(own["published_us"] / 1e6, UTC)
        message = f"{own['n_objects']} objects, published by curator"
        info = SnapshotInfo(f"{number}.{own['publication'][:16]}", moment, message, own["about"])
        return cls(number, info, own["listing"], own["has_feature"])


def commit_name(number: int) -> str:
    """Name of the object of a commit."""
    return f"{LOG}/{number:020d}.json"


class DeltaVersion:
    """A published version, as a folder of objects that never change; it pickles.

    Parameters
    ----------
    place
        The table.
    commit
        The commit of the version.
    """

    def __init__(self, place: str, commit: Commit) -> None:
        self._place, self.commit, self.info = place, commit, commit.info

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_folder"}

    @cached_property
    def _folder(self) -> ObjectFolder:
        return ObjectFolder(self._place)

    @property
    def id(self) -> str:
        """Its name, which no other one at the place ever has."""
        return self.info.id

    @cached_property
    def listing(self) -> Listing:
        """What it consists of.

        Raises
        ------
        DatasetExpiredError
            It is kept no more.
        """
        try:
            return Listing.read(self._folder.get(self.commit.listing))
        except FileNotFoundError:
            raise expired(self._place, self.info.version[:16] or self.id) from None

    def objects(self) -> dict[str, int]:
        """Size in bytes of each object by its name, in order."""
        return {name: one.size for name, one in sorted(self.listing.objects.items())}

    def key(self, name: str) -> str:
        """Where an object lies.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        if name not in self.listing.objects:
            raise FileNotFoundError(errno.ENOENT, "not there", name)
        return self.listing.objects[name].key

    def read(self, name: str) -> bytes:
        """Content of an object.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        DatasetExpiredError
            The version is kept no more.
        """
        key = self.key(name)
        try:
            return self._folder.get(key)
        except FileNotFoundError:
            del self.listing
            self.key(name)  # which says where the version has expired
            raise FileNotFoundError(f"{self._place}/{key}") from None


def expired(place: str, name: str) -> DatasetExpiredError:
    """The error for a version that is kept no more."""
    return DatasetExpiredError(
        f"{place}: there is no version {name!r} any more: it has expired, or never was. `curator versions {place}` "
        "lists those that are kept, and `keep_versions` says how many are; one with a tag always is.",
        file=place,
    )


def newest_number(folder: ObjectFolder) -> int:
    """Delta's number of the newest version; -1 where there is none."""
    found = (_COMMIT.fullmatch(listed.name) for listed in folder.list(f"{LOG}/"))
    return max((int(match[1]) for match in found if match), default=-1)


def latest_version(place: str) -> DeltaVersion | None:
    """The newest version at a place; ``None`` where there is none."""
    folder = ObjectFolder(place)
    number = newest_number(folder)
    return None if number < 0 else _version(place, folder, number)


def _version(place: str, folder: ObjectFolder, number: int) -> DeltaVersion:
    return DeltaVersion(place, Commit.parsed(number, folder.get(commit_name(number)), place))


def kept_versions(folder: ObjectFolder) -> list[str]:
    """The former versions that are kept."""
    names = (listed.name.rpartition("/")[2] for listed in folder.list(f"{KEPT}/"))
    return sorted(filter(is_version, names))


def version_named(place: str, name: str) -> DeltaVersion | None:
    """A version by the id of the dataset's version, by its own id, or by Delta's number.

    ``None`` where nothing was ever published.

    Raises
    ------
    DatasetExpiredError
        There is no such version any more.
    """
    folder = ObjectFolder(place)
    latest = latest_version(place)
    if latest is None:
        return None
    found = None
    if is_version(name):
        if latest.info.version == name and name not in kept_versions(folder):
            return latest
        found = _kept(place, folder, name)
    elif (match := _ID.fullmatch(name)) and int(match[1]) <= latest.commit.number:
        found = _version(place, folder, int(match[1]))
        if match[2] and found.id != name:
            found = None
    if found is None:
        raise expired(place, name)
    found.listing  # noqa: B018 - says where it has expired
    return found


def _kept(place: str, folder: ObjectFolder, version: str) -> DeltaVersion | None:
    try:
        return _version(place, folder, int(folder.get(f"{KEPT}/{version}")))
    except FileNotFoundError:
        return None


def unneeded(place: str, folder: ObjectFolder, before: datetime) -> Iterator[str]:
    """Keys of what no version needs that is there, and was put before a moment: listings before what they list."""
    latest = latest_version(place)
    versions = [] if latest is None else [latest]
    versions += filter(None, (_kept(place, folder, name) for name in kept_versions(folder)))
    needed = {version.commit.listing for version in versions}
    for version in versions:
        needed.update(one.key for one in version.listing.objects.values())
    names = [listed.name for listed in folder.list() if listed.modified <= before and listed.name not in needed]
    yield from (name for name in names if name.startswith(f"{LISTINGS}/"))
    yield from (name for name in names if name.startswith(f"{_OBJECTS}/") or _DATA.fullmatch(name))


def commit_content(listing: Listing, key: str, before: DeltaVersion | None, about: Mapping[str, Any]) -> bytes:
    """The object of a commit, whose content no other one ever has.

    Parameters
    ----------
    listing, key
        What the version consists of, and where that is.
    before
        The version before.
    about
        What else is said of the version.
    """
    now_us = round(datetime.now(UTC).timestamp() * 1e6)
    had_feature = before is not None and before.commit.has_feature
    own = {
        "publication": uuid.uuid4().hex,
        "published_us": now_us,
        "n_objects": len(listing.objects),
        "listing": key,
        "has_feature": had_feature or f'"{TIMES_WITHOUT_ZONE}"' in listing.schema,
        "about": about,
    }
    operation = {"operation": "WRITE", "operationParameters": {"mode": "Overwrite"}, "engineInfo": "curator"}
    said: list[dict[str, Any]] = [{"commitInfo": {"timestamp": now_us // 1000, **operation, "curator": own}}]
    if before is None or own["has_feature"] != had_feature:
        said.append({"protocol": _protocol(has_feature=bool(own["has_feature"]))})
    former = None if before is None else before.listing
    if former is None or (former.schema, former.partition_by) != (listing.schema, listing.partition_by):
        said.append({"metaData": _table(listing, now_us // 1000)})
    said += _files(listing.data, {} if former is None else former.data, now_us // 1000)
    return "".join(f"{json.dumps(action, ensure_ascii=False)}\n" for action in said).encode()


def _protocol(*, has_feature: bool) -> dict[str, Any]:
    """What readers and writers have to know."""
    if not has_feature:
        return {"minReaderVersion": 1, "minWriterVersion": 2}
    features = {"readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"]}
    return {"minReaderVersion": 3, "minWriterVersion": 7, **features}


def _table(listing: Listing, now_ms: int) -> dict[str, Any]:
    return {
        "id": listing.table,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": listing.schema,
        "partitionColumns": list(listing.partition_by),
        "configuration": {
            "delta.logRetentionDuration": _FOR_EVER,
            "delta.deletedFileRetentionDuration": _FOR_EVER,
        },
        "createdTime": now_ms,
    }


def _files(new: Mapping[str, tuple[str, StoredObject]], old: Collection[str], now_ms: int) -> Iterator[dict[str, Any]]:
    for key in old:
        if key not in new:
            yield {"remove": {"path": key, "deletionTimestamp": now_ms, "dataChange": True}}
    for key, (name, one) in new.items():
        if key not in old:
            yield {
                "add": {
                    "path": key,
                    "partitionValues": partition_values(name),
                    "size": one.size,
                    "modificationTime": now_ms,
                    "dataChange": True,
                    "stats": json.dumps({"numRecords": one.n_rows}),
                }
            }
