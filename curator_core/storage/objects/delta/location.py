"""Outputs that are tables of Delta Lake, each publication a version."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curator_core.errors import MergeError, MissingDependencyError
from curator_core.storage.objects.delta.folder import ObjectFolder
from curator_core.storage.objects.delta.partitions import partitioned_schema
from curator_core.storage.objects.delta.schema import schema_string
from curator_core.storage.objects.delta.versions import (
    KEPT,
    LISTINGS,
    LOG,
    OWN,
    TABLE,
    DeltaVersion,
    Listing,
    StoredObject,
    commit_content,
    commit_name,
    kept_versions,
    latest_version,
    unneeded,
    version_named,
)
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.upload import Kept, staged_objects, staged_version
from curator_core.storage.objects.versioned import NEW_BYTES, VersionedLocation

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX: Final = ".delta"
"""What the names of tables end in."""
_DESCRIPTION: Final = f"{OWN}/dataset.json"
"""What a dataset of tables says of itself."""
_NO_COLUMNS: Final = '{"type": "struct", "fields": []}'


class DeltaLocation(VersionedLocation[DeltaVersion]):
    """``s3://bucket/name.delta``, ``gs://…``, ``az://…``, or a local folder ``name.delta``.

    The Parquet files at the top of what is published, or in folders of partitions, are the table, which every reader of
    Delta Lake opens; the other files lie beside them, see `curator_core.storage.objects.delta.versions`. Publishing is
    one commit: objects are put under new keys, then the commit, if nobody else put that one. What is kept is not put
    again. A version is named by ``name.delta#version``, also by Delta's number of it.
    """

    suffix = SUFFIX

    def check(self, what: str) -> None:
        try:
            import pyarrow as pa  # noqa: F401 - reads what the files are
        except ImportError as exc:
            raise MissingDependencyError.of("pyarrow", "table", f"An output named …{SUFFIX}") from exc
        super().check(what)

    def kept_versions(self) -> list[str]:
        with explained(self.path):
            return kept_versions(ObjectFolder(self.place))

    def _latest(self) -> DeltaVersion | None:
        return latest_version(self.place)

    def _named(self, name: str) -> DeltaVersion | None:
        return version_named(self.place, name)

    def _is_made(self) -> bool:
        return any(True for _ in ObjectFolder(self.place).list(f"{OWN}/"))

    def _publish(self, staged: Path, before: DeltaVersion | None, former: str, about: dict[str, Any]) -> None:
        if self._is_local:
            Path(self.place).mkdir(parents=True, exist_ok=True)
        folder = ObjectFolder(self.place)
        if before is None:
            folder.put(TABLE, b"{}")
        elif former:
            folder.put(f"{KEPT}/{former}", str(before.commit.number).encode())
        restored = staged_version(staged)
        if restored:
            found = version_named(self.place, restored)
            assert found is not None  # noqa: S101 - it is one of those that are there
            listing, key, n_bytes = found.listing, found.commit.listing, 0
        else:
            listing, key = _uploaded(folder, staged_objects(staged), before), f"{LISTINGS}/{uuid.uuid4().hex}.json"
            folder.put(key, listing.encoded())
            known = set() if before is None else {one.key for one in before.listing.objects.values()}
            n_bytes = sum(one.size for one in listing.objects.values() if one.key not in known)
        number = 0 if before is None else before.commit.number + 1
        content = commit_content(listing, key, before, about | {NEW_BYTES: n_bytes})
        if not folder.create(commit_name(number), content):
            raise self._conflict()

    def _expire(self, version: str) -> None:
        ObjectFolder(self.place).delete([f"{KEPT}/{version}"])

    def _free(self, before: datetime) -> None:
        folder = ObjectFolder(self.place)
        folder.delete(list(unneeded(self.place, folder, before)))

    def _removed_last(self, name: str) -> bool:
        return not name.startswith((f"{LOG}/", f"{KEPT}/"))


def _uploaded(folder: ObjectFolder, staged: Mapping[str, Path | Kept], before: DeltaVersion | None) -> Listing:
    """Put what is new, and say what there is then."""
    former = None if before is None else before.listing
    files = {name: source for name, source in staged.items() if isinstance(source, Path)}
    rows, schema = _tables({name: path for name, path in files.items() if _is_data(name)})
    partitioned = partitioned_schema(files[_DESCRIPTION].read_bytes()) if _DESCRIPTION in files else None
    objects, used = {}, set[str]()
    for name, source in sorted(staged.items()):
        if isinstance(source, Path):
            one = StoredObject.new(source.stat().st_size, rows.get(name))
        else:
            one = _kept(former, source)
            if one.key in used:  # under two names
                other = StoredObject.new(one.size, one.n_rows)
                folder.copy(one.key, other.key)
                one = other
        used.add(one.key)
        objects[name] = one
    keeps_rows = any(isinstance(staged[name], Kept) and one.n_rows is not None for name, one in objects.items())
    if partitioned is not None:
        schema = schema_string(partitioned[0])
    elif former is not None and keeps_rows:
        if schema not in ("", former.schema):
            raise MergeError("The new files of a table have other columns than those that are kept.")
        schema = former.schema
    folder.put_all([(objects[name].key, path) for name, path in files.items()])
    own = {} if former is None else {"table": former.table}
    return Listing(objects, schema or _NO_COLUMNS, partition_by=partitioned[1] if partitioned else (), **own)


def _kept(former: Listing | None, source: Kept) -> StoredObject:
    if former is None or source.name not in former.objects:
        raise FileNotFoundError(source.name)
    return former.objects[source.name]


def _is_data(name: str) -> bool:
    *folders, file = name.split("/")
    return (
        file.endswith(".parquet")
        and not name.startswith(("_", "."))
        and not file.startswith(("_", "."))
        and all("=" in folder for folder in folders)
    )


def _tables(files: Mapping[str, Path]) -> tuple[dict[str, int], str]:
    """Number of rows of Parquet files, and their schema as Delta says it; empty where there is no file.

    Raises
    ------
    MergeError
        One is no Parquet file, or has other columns than the others; or Delta has no type for a column.
    """
    import pyarrow as pa
    from pyarrow import parquet

    rows, schema = dict[str, int](), None
    for name, path in files.items():
        try:
            metadata = parquet.read_metadata(path)
            own: pa.Schema = metadata.schema.to_arrow_schema()
        except (OSError, pa.ArrowException) as exc:
            raise MergeError(f"{name} cannot be read: {exc}") from exc
        if schema is not None and not own.equals(schema, check_metadata=False):
            raise MergeError(f"The files of a table have other columns: {name} has {own.names}.")
        schema, rows[name] = own, metadata.num_rows
    return rows, "" if schema is None else schema_string(schema)
