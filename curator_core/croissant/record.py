"""The Croissant record of a dataset, put together from what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from curator_core.croissant.arrays import array_files, array_records, is_described
from curator_core.croissant.fields import Json, RecordSet, annotation
from curator_core.formats.described import METADATA
from curator_core.formats.description import DESCRIPTION, YEARS_FORMAT
from curator_core.formats.record_file import RECORD, TABLE_RECORD
from curator_core.pipeline.description import DatasetDescription

if TYPE_CHECKING:
    from curator_core.filters.statistics.field_statistics import FieldStatistics

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"
RAI_CONFORMS_TO: Final = "http://mlcommons.org/croissant/RAI/1.0"
_CR_TERMS: Final = (
    *("annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract"),
    *("field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath"),
    *("key", "md5", "parentField", "path", "readLines", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "sdVersion", "separator", "source", "subField", "transform", "unArchive"),
)
CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    **{term: f"cr:{term}" for term in _CR_TERMS},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
"""What the short names of a record stand for."""
UNNUMBERED: Final = "0.0.0"
"""Version of a dataset that people gave no number."""
_WIKIDATA: Final = "http://www.wikidata.org/entity/"
_MOMENTS: Final[Mapping[str, str]] = {
    "mean": f"{_WIKIDATA}Q19033",
    "std": f"{_WIKIDATA}Q159375",
    "minimum": "sc:minValue",
    "maximum": "sc:maxValue",
}
_SPLIT_COLUMNS: Final = ("items/split", "split")

Read = Callable[[str], bytes]
"""Reads a small file of a dataset by its name; ``OSError`` where there is none."""


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What a record says of a version of a dataset, beside what its files say themselves.

    None of it depends on what was published before.
    """

    name: str
    """Name of the output."""
    data_version: str
    """The version."""
    n_items: int
    """Number of its items."""
    splits: tuple[str, ...] = ()
    """Splits that its items are in."""
    made_by: str = ""
    """Components of the pipeline, source first."""
    config_hash: str = ""
    """Its configuration."""
    words: DatasetDescription | None = None
    """What people say of it."""
    statistics: Sequence[FieldStatistics] = ()
    """Statistics of its fields."""
    taken_over: str = ""
    """What these are taken over."""
    files: Sequence[Json] = field(default_factory=tuple)
    """Its files, where they are of no layout of curator."""


def record_name(read: Read) -> str:
    """Name of the file with the record in a dataset; empty where it is of no layout that has one."""
    if (root := _read(read, METADATA)) is not None:
        return RECORD if is_described(root) else ""
    described = _read(read, DESCRIPTION)
    return "" if described is None or f'"{YEARS_FORMAT}"'.encode() in described else TABLE_RECORD


def _read(read: Read, name: str) -> bytes | None:
    try:
        return read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None


def made_record(read: Read, facts: RecordFacts) -> Json:
    """The record, as JSON-LD.

    Parameters
    ----------
    read
        Reads the small files of the dataset.
    facts
        What else is known.

    Raises
    ------
    OSError, ValueError, LookupError
        What the dataset says of itself cannot be read.
    """
    layout = record_name(read)
    files, sets = list(facts.files), list[RecordSet]()
    if layout == RECORD:
        files, sets = array_files(read), array_records(read)
    elif layout == TABLE_RECORD:
        from curator_core.croissant.columns import table_files, table_records  # noqa: PLC0415 - needs pyarrow

        files, sets = table_files(read), table_records(read)
    words = facts.words or DatasetDescription()
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": words.name or facts.name,
        "description": words.description or _description(facts),
        "conformsTo": [CONFORMS_TO, RAI_CONFORMS_TO] if words.rai else CONFORMS_TO,
        **_said(words),
        "version": f"{words.version or UNNUMBERED}+{facts.data_version}",
        **_provenance(facts),
        "distribution": files,
        "recordSet": [*_splits(facts), *_record_sets(sets, facts)],
    }


def _description(facts: RecordFacts) -> str:
    return f"{facts.n_items:,} items curated by {facts.made_by}." if facts.made_by else f"{facts.n_items:,} items."


def _said(words: DatasetDescription) -> Json:
    """What people say, in the terms of schema.org and of the vocabulary for responsible AI."""
    found: Json = {}
    if words.license:
        found["license"] = [
            text if "://" in text else {"@type": "sc:CreativeWork", "name": text} for text in words.license
        ]
    if words.creators:
        found["creator"] = [
            {
                "@type": "sc:Organization" if one.is_organization else "sc:Person",
                "name": one.name,
                **({"url": one.url} if one.url else {}),
                **({"email": one.email} if one.email else {}),
            }
            for one in words.creators
        ]
    given = {"url": words.url, "citeAs": words.cite_as, "datePublished": words.date_published}
    found |= {name: text for name, text in given.items() if text}
    if words.keywords:
        found["keywords"] = list(words.keywords)
    return found | {f"rai:{n}": v if isinstance(v, str) else list(v) for n, v in sorted(words.rai.items())}


def _provenance(facts: RecordFacts) -> Json:
    if not facts.made_by:
        return {}
    activity = {"@type": "prov:Activity", "prov:label": f"curator: {facts.made_by}", "identifier": facts.config_hash}
    return {"prov:wasGeneratedBy": activity}


def _splits(facts: RecordFacts) -> Iterator[Json]:
    if not facts.splits:
        return
    text = {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}
    yield {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [text],
        "data": [{"splits/name": name} for name in facts.splits],
    }


def _record_sets(sets: Sequence[RecordSet], facts: RecordFacts) -> Iterator[Json]:
    known = {column.name for records in sets for column in records.columns}
    said: dict[str, list[Json]] = {}
    others = []
    for one in facts.statistics:
        name, place, rest = one.name.partition("[")
        own = one.name if one.name in known else name
        if own not in known:
            others.append(one)
            continue
        said.setdefault(own, []).extend(_annotations(one, f"{place}{rest}" if own == name else "", facts.taken_over))
    references = dict.fromkeys(_SPLIT_COLUMNS, "splits/name") if facts.splits else {}
    for records in sets:
        yield records.described(said, references if records.name == "items" else {})
    if others:
        yield _statistics(others, facts.taken_over)


def _statistics(others: Sequence[FieldStatistics], taken_over: str) -> Json:
    """Statistics of what is no field of the dataset, such as one that a filter took out, with the numbers."""
    kinds = {"field": "sc:Text", "count": "sc:Integer", **dict.fromkeys(_MOMENTS, "sc:Float")}
    rows = []
    for one in others:
        moments = {name: getattr(one, name) for name in _MOMENTS}
        finite = {name: value if value is not None and isfinite(value) else None for name, value in moments.items()}
        rows.append({"field": one.name, "count": int(one.count), **finite})
    return {
        "@type": "cr:RecordSet",
        "@id": "statistics",
        "name": "statistics",
        "description": f"Statistics of values that passed through the pipeline. {taken_over}".strip(),
        "key": {"@id": "statistics/field"},
        "field": [
            {"@type": "cr:Field", "@id": f"statistics/{name}", "name": name, "dataType": kind}
            for name, kind in kinds.items()
        ],
        "data": [{f"statistics/{name}": value for name, value in row.items()} for row in rows],
    }


def _annotations(one: FieldStatistics, place: str, taken_over: str) -> Iterator[Json]:
    """The statistics of a field, or of a place in it, such as a level."""
    yield annotation("sc:Integer", f"count{place}", int(one.count), f"{_WIKIDATA}Q4049983", taken_over)
    for name, same_as in _MOMENTS.items():
        value = getattr(one, name)
        if value is not None and isfinite(value):
            yield annotation("sc:Float", f"{name}{place}", float(value), same_as, taken_over)
