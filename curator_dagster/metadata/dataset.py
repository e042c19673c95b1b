"""What the dataset's materialization shows in Dagster: its schema, statistics and a plot."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from dagster import MetadataValue, TableColumn, TableColumnConstraints, TableRecord, TableSchema

from curator_core import Variable
from curator_core.errors import MissingDependencyError
from curator_core.filters.statistics import FieldStatistics
from curator_core.merge import Availability, Changes, DatasetFacts, PublishedDataset, size_bytes
from curator_core.report import MAX_ITEMS, ItemSeries, draw_availability, draw_dataset
from curator_core.run import full_path
from curator_dagster._compat.events.serialized import as_metadata
from curator_dagster.metadata.item import PREFIX, URI, MetadataMapping, failures_table, place

MAX_ROWS = 200
"""Variables listed: an event is stored with all it shows."""
MAX_CHANGES = 100
"""Items listed of those that a publication added, changed or removed."""
COLUMN_SCHEMA = "dagster/column_schema"
"""Key under which Dagster's UI looks for the columns of a table."""
ROW_COUNT = "dagster/row_count"
"""Key under which its catalog and its plots look for the number of rows."""


def published_metadata(published: PublishedDataset, facts: DatasetFacts) -> MetadataMapping:
    """Everything that is known of a dataset that was published."""
    manifest, n_rows = published.manifest, facts.n_rows
    n_items = len(manifest.fingerprints)
    counts: MetadataMapping = {
        ROW_COUNT: MetadataValue.int(n_items if n_rows is None else n_rows),
        f"{PREFIX}n_items": MetadataValue.int(n_items),
        f"{PREFIX}n_missing": MetadataValue.int(len(manifest.missing)),
    }
    if manifest.missing:
        counts[f"{PREFIX}missing"] = failures_table(manifest.missing)
    keys = _changed_keys(published.changes)
    counts |= {f"{PREFIX}n_{what}": MetadataValue.int(len(of)) for what, of in keys.items()}
    is_first = len(keys.get("added", ())) == n_items  # of all it would say nothing
    changes = {} if is_first else _changes(keys)
    return counts | dataset_metadata(facts) | changes | _files(published, facts)


def _changed_keys(changes: Changes | None) -> dict[str, Sequence[str]]:
    if changes is None:
        return {}
    found: dict[str, Sequence[str]] = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
    return found | ({"reassigned": changes.reassigned} if changes.reassigned else {})


def _changes(keys: Mapping[str, Sequence[str]]) -> MetadataMapping:
    """A table of the first that were added, changed, removed, or put into another split."""
    rows = [TableRecord({"key": key, "what": what}) for what, of in keys.items() for key in of[:MAX_CHANGES]]
    if not rows:
        return {}
    shown, n_changes = rows[:MAX_CHANGES], sum(map(len, keys.values()))
    columns = TableSchema([TableColumn("key", "string"), TableColumn("what", "string")])
    return {_titled("changes", len(shown), n_changes): MetadataValue.table(shown, columns)}


def _files(published: PublishedDataset, facts: DatasetFacts) -> MetadataMapping:
    found: MetadataMapping = {}
    if facts.sink_output is not None:
        uri = full_path(facts.sink_output.path)
        found[URI] = MetadataValue.text(uri if "://" in uri else Path(uri).as_uri())
    written = [path for path in (published.manifest_path, facts.record_path) if path is not None]
    for path in map(full_path, [*published.paths, *written]):
        found[f"{PREFIX}path/{Path(path).name}"] = as_metadata(place(path))
    size_mib = round(sum(map(size_bytes, published.paths)) / 2**20, 3)
    return (
        found
        | _version(published, facts)
        | {
            f"{PREFIX}size_mib": MetadataValue.float(size_mib),
            f"{PREFIX}config_hash": MetadataValue.text(published.manifest.config_hash),
        }
    )


def _version(published: PublishedDataset, facts: DatasetFacts) -> MetadataMapping:
    """Which version it is, what it added on disk, and the command that compares it with the one before."""
    found: MetadataMapping = {f"{PREFIX}data_version": MetadataValue.text(published.data_version)}
    record = published.version
    if record is None or facts.sink_output is None:
        return found
    found[f"{PREFIX}new_mib"] = MetadataValue.float(round(record.new_bytes / 2**20, 3))
    if record.former:
        words = ["curator", "versions", "diff", full_path(facts.sink_output.path), record.former[:16], record.id[:16]]
        found[f"{PREFIX}compare"] = MetadataValue.md(f"`{shlex.join(words)}`")
    return found


def dataset_metadata(facts: DatasetFacts) -> MetadataMapping:
    """Everything that the components know of the published dataset."""
    found: MetadataMapping = {PREFIX + name: _scalar(value) for name, value in facts.description.items()}
    plot = _plot(facts)
    if plot is not None:
        found[f"{PREFIX}plot"] = plot
    return found | _availability(facts.availability) | _statistics(facts.statistics) | _schema(facts)


def _availability(found: Availability | None) -> MetadataMapping:
    """A table of the slots of every variable by state, and a picture of the periods."""
    if found is None or not found.variables:
        return {}
    rows = [TableRecord(row) for row in found.totals()]
    columns = [TableColumn("variable", "string"), *(TableColumn(state, "int") for state in found.states)]
    columns.append(TableColumn("values_percent", "float"))
    table = MetadataValue.table(rows[:MAX_ROWS], TableSchema(columns))
    shown: MetadataMapping = {_titled("availability", len(rows[:MAX_ROWS]), len(rows)): table}
    try:
        png = draw_availability(found)
    except MissingDependencyError:  # the picture is an extra
        return shown
    return shown | {f"{PREFIX}availability_plot": _picture("What of the variables is there", png)}


def _picture(says: str, png: bytes) -> MetadataValue[Any]:
    return MetadataValue.md(f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _scalar(value: float | str) -> MetadataValue[Any]:
    if isinstance(value, str):
        return MetadataValue.text(value)
    if isinstance(value, bool):
        return MetadataValue.bool(value)
    return MetadataValue.int(value) if isinstance(value, int) else MetadataValue.float(value)


def _schema(facts: DatasetFacts) -> MetadataMapping:
    """Columns as Dagster knows them where the dataset is one table, else a table of its variables."""
    variables = facts.schema
    if not variables:
        return {}
    shown = variables[:MAX_ROWS]
    found: MetadataMapping = {f"{PREFIX}n_variables": MetadataValue.int(len(variables))}
    if facts.is_table:
        columns = [TableColumn(v.name, v.dtype, _description(v), TableColumnConstraints()) for v in shown]
        return found | {COLUMN_SCHEMA: MetadataValue.table_schema(TableSchema(columns))}
    records = [
        TableRecord(
            {
                "variable": variable.name,
                "dtype": variable.dtype,
                "shape": _times(variable.shape),
                "unit": variable.unit,
                "dimensions": ", ".join(variable.dims),
                "chunks": _times(variable.chunks),
                "description": variable.description,
            }
        )
        for variable in shown
    ]
    return found | {_titled("schema", len(shown), len(variables)): MetadataValue.table(records)}


def _times(lengths: Sequence[int]) -> str:
    return "\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}".join(map(str, lengths))


def _description(variable: Variable) -> str | None:
    return ", ".join(filter(None, (variable.description, variable.unit))) or None


def _statistics(fields: Sequence[FieldStatistics]) -> MetadataMapping:
    if not fields:
        return {}
    names = ("count", "missing", "mean", "std", "min", "max")
    shown = fields[:MAX_ROWS]
    records = [
        TableRecord(
            {
                "field": field.name,
                **dict(
                    zip(names, (int(field.count), int(field.n_nonfinite), *map(_number, _moments(field))), strict=True)
                ),
            }
        )
        for field in shown
    ]
    columns = [
        TableColumn("field", "string"),
        *(TableColumn(name, "int") for name in names[:2]),
        *(TableColumn(name, "float") for name in names[2:]),
    ]
    return {_titled("statistics", len(shown), len(fields)): MetadataValue.table(records, TableSchema(columns))}


def _moments(field: FieldStatistics) -> tuple[float | None, ...]:
    return field.mean, field.std, field.minimum, field.maximum


def _number(value: float | None) -> float | None:
    """Six digits: more is in the file. JSON has no infinity, which the variance of very large numbers may be."""
    return None if value is None or not isfinite(value) else float(f"{value:.6g}")


def _titled(name: str, n_shown: int, n_all: int) -> str:
    return PREFIX + name if n_shown == n_all else f"{PREFIX}{name} (first {n_shown} of {n_all})"


def _plot(facts: DatasetFacts) -> MetadataValue[Any] | None:
    if not facts.statistics:
        return None
    walls = facts.wall_times()
    step = -(-len(walls) // MAX_ITEMS) or 1
    chosen = {key: position for position, (key, _) in enumerate(walls) if position % step == 0}
    series: dict[str, ItemSeries] = {}
    for key, fields in facts.item_statistics(list(chosen)):
        for field in fields:
            if field.mean is not None and field.minimum is not None and field.maximum is not None:
                values = (float(chosen[key]), field.mean, field.minimum, field.maximum)
                series.setdefault(field.name, ItemSeries()).append(*values)
    try:
        png = draw_dataset(facts.statistics, series, [wall for _, wall in walls][::step], step)
    except MissingDependencyError:  # the plot is an extra
        return None
    return _picture("Variables over the items", png)
