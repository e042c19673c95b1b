"""`dataset_record`: the Croissant record of a version of a published dataset."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from curator_core.croissant.fields import Json
from curator_core.croissant.record import RAI_CONFORMS_TO, RecordFacts, made_record
from curator_core.datasets.manifest import Manifest
from curator_core.datasets.versions import NEWEST, list_versions, read_version
from curator_core.errors import ComponentError
from curator_core.formats.record_file import encoded_record, is_ours, record_fault, written_record
from curator_core.pipeline.description import dataset_description
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import location_of

_MISSING = "rai:dataCollectionMissingData"
_MAX_NAMED = 5


def dataset_record(path: str | os.PathLike[str], *, version: str = NEWEST) -> dict[str, Any]:
    """The Croissant 1.1 record of a published dataset, as JSON-LD.

    It is the one that the dataset carries, with the date on which the version was published, and with what is missing
    from it. For a dataset that carries none it is made from its manifest and its metadata, without statistics.

    Parameters
    ----------
    path
        The sink's output.
    version
        The version, by id, by the beginning of one, or by tag.

    Raises
    ------
    ConfigError
        There is no dataset, or no version is meant by the name.
    ComponentError
        The record is damaged, or what the dataset says of itself.
    DatasetExpiredError
        The version is not kept any more.
    """
    location = location_of(os.fspath(path), "the dataset")
    place, manifest = read_version(location, version)
    found = _carried(place) or _made(location, place, manifest)
    if "datePublished" not in found:
        versions = (one.record for one in list_versions(path))
        moment = next((record.published_at for record in versions if record.id == manifest.data_version), "")
        found = _with(found, {"datePublished": moment}) if moment else found
    if manifest.missing and _MISSING not in found:
        named = found["conformsTo"]
        found["conformsTo"] = named if isinstance(named, list) else [named, RAI_CONFORMS_TO]
        found = _with(found, {_MISSING: _missing(manifest)})
    return dict(json.loads(encoded_record(found)))


def _with(record: Json, more: Json) -> Json:
    """A record with something that is said before its files."""
    files = {name: record[name] for name in ("distribution", "recordSet")}
    return {name: value for name, value in record.items() if name not in files} | more | files


def _carried(place: OutputLocation) -> Json | None:
    written = written_record(place)
    if written is None or not is_ours(written[1]):
        return None
    name, data = written
    if fault := record_fault(data):
        raise ComponentError(
            f"The dataset {place.path} is damaged: {name} {fault}. Gather the pipeline again, which writes it anew.",
            file=place.path,
        )
    return dict(json.loads(data))


def _made(location: OutputLocation, place: OutputLocation, manifest: Manifest) -> Json:
    facts = RecordFacts(
        name=location.work_path.stem,
        data_version=manifest.data_version,
        n_items=len(manifest.fingerprints),
        splits=tuple(sorted({name for name in manifest.splits.values() if name})),
        config_hash=manifest.config_hash,
        words=dataset_description(manifest.dataset, where=f"{location.path}: dataset"),
        files=_files(place),
    )
    try:
        return made_record(place.read, facts)
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ComponentError(f"The dataset {place.path} is damaged: {exc}", file=place.path) from exc


def _files(place: OutputLocation) -> list[Json]:
    """The files of a dataset of a layout of somebody's own."""
    name, is_file = place.work_path.name, list(place.objects()) == [""]
    if not is_file:
        everything = {"includes": "*", "encodingFormat": "application/octet-stream"}
        return [{"@type": "cr:FileSet", "@id": "files", "name": "files", **everything}]
    data = place.read()
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{len(data)} B",
            "encodingFormat": "application/json" if name.endswith(".json") else "application/octet-stream",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    ]


def _missing(manifest: Manifest) -> str:
    named = [f"{key} ({why})" for key, why in list(manifest.missing.items())[:_MAX_NAMED]]
    more = f", and {len(manifest.missing) - _MAX_NAMED} more" if len(manifest.missing) > _MAX_NAMED else ""
    n = len(manifest.missing)
    what = "1 item of the source is" if n == 1 else f"{n:,} items of the source are"
    return f"{what} not in it as now: {', '.join(named)}{more}."
