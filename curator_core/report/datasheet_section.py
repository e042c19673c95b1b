"""The datasheet of a report: what the dataset is, where it comes from, and what is known of its values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curator_core.croissant.reading import dataset_record
from curator_core.croissant.record import UNNUMBERED
from curator_core.datasets.manifest import Manifest, published_manifest
from curator_core.datasets.versions import list_versions
from curator_core.errors import CuratorError
from curator_core.report.availability_section import recorded_place
from curator_core.report.html import Html, joined, table, tag
from curator_core.report.quantities import shortened, size
from curator_core.storage.locations import location_of
from curator_core.store import RunRecord

MAX_ITEMS = 200
"""Items listed."""
MAX_VERSIONS = 20
_OF_A_CHECK = frozenset({"field", "check", "expected", "n_items", "n_bad_items"})
MAX_FIELDS = 200
_MAX_TEXT = 400
_OF_ITEMS = frozenset({"splits", "items", "statistics"})


def datasheet(run: RunRecord, dataset: str | None) -> Html:
    """What is known of the dataset of a run, as it is now; empty where it has none that is described.

    Parameters
    ----------
    run
        The run.
    dataset
        The dataset; by default that of the run's sink, where it is a local one.
    """
    place = dataset if dataset is not None else recorded_place(run)
    if place is None:
        return Html("")
    title = tag("h2", "Datasheet")
    try:
        location = location_of(place, "the dataset")
        manifest, record = published_manifest(location), dataset_record(place)
    except CuratorError as exc:
        return joined([title, tag("p", f"The dataset {place} cannot be described: {exc}", class_="note")])
    other = "" if manifest.config_hash == run.config_hash else " It was made by another configuration than this run's."
    return joined(
        [
            title,
            tag("p", record["description"]),
            tag("dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in _said(record, place, manifest))),
            _fields(record),
            _checks(run),
            _versions(place),
            _items(manifest),
            tag("p", f"Of {place} as it is now.{other}", class_="note"),
        ]
    )


def _said(record: Mapping[str, Any], place: str, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What people said, and what identifies the dataset."""
    yield "name", record["name"]
    for name, shown in (("license", "licence"), ("creator", "made by")):
        found = [one if isinstance(one, str) else _named(one) for one in record.get(name, ())]
        yield shown, shortened(", ".join(found), _MAX_TEXT) if found else "not said"
    for name, shown in (("citeAs", "cite as"), ("url", "page")):
        if name in record:
            yield shown, shortened(record[name], _MAX_TEXT)
    if "keywords" in record:
        yield "keywords", shortened(", ".join(record["keywords"]), _MAX_TEXT)
    number = record["version"].partition("+")[0]
    yield "version", ", ".join([number] * (number != UNNUMBERED) + [f"data version {manifest.data_version[:16]}"])
    if "datePublished" in record:
        yield "published", record["datePublished"]
    if "prov:wasGeneratedBy" in record:
        yield "pipeline", record["prov:wasGeneratedBy"]["prov:label"].removeprefix("curator: ")
    for name, value in record.items():
        if name.startswith("rai:"):
            yield name.removeprefix("rai:"), shortened(value if isinstance(value, str) else "; ".join(value), _MAX_TEXT)
    yield "record", f"curator croissant {place}"


def _named(creator: Mapping[str, str]) -> str:
    return f"{creator['name']} ({creator['url']})" if "url" in creator else creator["name"]


def _fields(record: Mapping[str, Any]) -> Html:
    """The fields, with their statistics."""
    sets = [one for one in record["recordSet"] if one["@id"] not in _OF_ITEMS]
    fields = [(records["name"], field) for records in sets for field in records["field"]]
    if not fields:
        return Html("")
    columns = (("field", "key"), ("a record for each", ""), ("type", ""), ("shape", "n"), ("unit", ""), ("what", ""))
    moments = ("mean", "std", "minimum", "maximum")
    rows = [
        (
            shortened(field["name"], 60),
            shortened(records, 40),
            str(field.get("dataType", "structure")).partition(":")[2] or "structure",
            field.get("arrayShape", "").replace(",", " × "),
            shortened(field.get("unitText", ""), 40),
            shortened(_meaning(field), 100),
            *_moments(field, moments),
        )
        for records, field in fields[:MAX_FIELDS]
    ]
    more = f"The first {MAX_FIELDS} of {len(fields):,} fields are listed." if len(fields) > MAX_FIELDS else ""
    shown = table((*columns, *((name, "n") for name in moments)), rows)
    return joined([tag("h3", "Fields"), shown, tag("p", more, class_="note") if more else ""])


def _meaning(field: Mapping[str, Any]) -> str:
    """What a field means, without its unit."""
    said: str = field.get("description", "")
    return said.removesuffix(f"in {field['unitText']}").removesuffix(", ") if "unitText" in field else said


def _moments(field: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """Statistics of a whole field; those of its levels are in the record."""
    found = {one["name"]: one["value"] for one in field.get("annotation", ())}
    for name in names:
        yield f"{found[name]:.6g}" if name in found else ""


def _checks(run: RunRecord) -> Html:
    """What filters that check values found, as far as their files are still there."""
    rows = [
        (
            shortened(str(row["field"]), 60),
            row["check"],
            shortened(str(row["expected"]), 100),
            tag("span", "no item looked at", class_="bad")
            if not row["n_items"]
            else tag("span", "passed", class_="good")
            if not row["n_bad_items"]
            else tag("span", f"{row['n_bad_items']:,} of {row['n_items']:,} items not", class_="bad"),
        )
        for row in _check_rows(run)
    ]
    columns = (("field", "key"), ("check", ""), ("expected", ""), ("result", ""))
    return joined([tag("h3", "Checks"), table(columns, rows)]) if rows else Html("")


def _check_rows(run: RunRecord) -> Iterator[dict[str, Any]]:
    try:
        filters = json.loads(run.config_json)["filters"]
        given = [value for step in filters for value in step["params"].values() if isinstance(value, str)]
    except (LookupError, RecursionError, TypeError, ValueError, AttributeError):
        return
    for text in given:
        path = Path(run.run_dir or "/") / text
        if text.endswith(".json") and (run.run_dir or Path(text).is_absolute()) and path.is_file():
            try:
                found = [
                    row for row in json.loads(path.read_text(encoding="utf-8"))["checks"] if row.keys() >= _OF_A_CHECK
                ]
            except (LookupError, OSError, RecursionError, TypeError, ValueError, AttributeError):  # another filter's
                continue
            yield from found


def _versions(place: str) -> Html:
    found = list_versions(place)
    counts = [(name, "n") for name in ("items", "added", "changed", "removed", "new")]
    columns = [("version", "key"), ("published", ""), ("state", ""), *counts, ("tags", "")]
    rows = [
        (
            version.id[:16],
            version.record.published_at,
            version.state,
            *(f"{n:,}" for n in (version.record.n_items, version.record.n_added, version.record.n_changed)),
            f"{version.record.n_removed:,}",
            size(version.record.new_bytes),
            ", ".join(version.record.tags),
        )
        for version in found[:MAX_VERSIONS]
    ]
    more = f"The last {MAX_VERSIONS} of {len(found):,} versions are listed." if len(found) > MAX_VERSIONS else ""
    return joined([tag("h3", "Versions"), table(columns, rows), tag("p", more, class_="note") if more else ""])


def _items(manifest: Manifest) -> Html:
    """The items with their fingerprints, and what is missing."""
    keys = [*manifest.fingerprints, *(key for key in manifest.missing if key not in manifest.fingerprints)]
    is_divided = any(manifest.splits.values())
    columns = (("item", "key"), ("fingerprint in the source", "key"), *((("split", ""),) if is_divided else ()))
    rows = [
        (
            shortened(key, 120),
            shortened(manifest.fingerprints.get(key) or "", 60),
            *((manifest.splits.get(key, ""),) if is_divided else ()),
            tag("span", shortened(manifest.missing[key], 120), class_="bad") if key in manifest.missing else "",
        )
        for key in keys[:MAX_ITEMS]
    ]
    more = f"The first {MAX_ITEMS} of {len(keys):,} items are listed." if len(keys) > MAX_ITEMS else ""
    shown = tag("details", tag("summary", f"{len(keys):,} items"), table((*columns, ("", "")), rows), open="")
    return joined([tag("h3", "Sources"), shown, tag("p", more, class_="note") if more else ""])
