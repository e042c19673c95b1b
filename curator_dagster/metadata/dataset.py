"""What the dataset's materialization shows in Dagster: its schema, statistics and a plot."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from dagster import MetadataValue, TableColumn, TableColumnConstraints, TableRecord, TableSchema

from curator_core import Variable
from curator_core.errors import MissingDependencyError
from curator_core.filters.statistics import FieldStatistics
from curator_core.merge import DatasetFacts, PublishedDataset, size_bytes
from curator_core.report import MAX_ITEMS, ItemSeries, draw_dataset
from curator_dagster.metadata.item import PREFIX, MetadataMapping, failures_table

MAX_ROWS = 200
"""Variables listed: an event is stored with all it shows."""
COLUMN_SCHEMA = "dagster/column_schema"
"""Key under which Dagster's UI looks for the columns of a table."""


def published_metadata(published: PublishedDataset, facts: DatasetFacts) -> MetadataMapping:
    """Everything that is known of a dataset that was published."""
    manifest = published.manifest
    counts: MetadataMapping = {
        f"{PREFIX}n_items": MetadataValue.int(len(manifest.fingerprints)),
        f"{PREFIX}n_missing": MetadataValue.int(len(manifest.missing)),
    }
    if manifest.missing:
        counts[f"{PREFIX}missing"] = failures_table(manifest.missing)
    written = [] if published.manifest_path is None else [published.manifest_path]
    files: MetadataMapping = {f"{PREFIX}size_bytes": MetadataValue.int(sum(map(size_bytes, published.paths)))}
    files |= {f"{PREFIX}path/{Path(path).name}": MetadataValue.path(path) for path in [*published.paths, *written]}
    files[f"{PREFIX}config_hash"] = MetadataValue.text(manifest.config_hash)
    return counts | dataset_metadata(facts) | files


def dataset_metadata(facts: DatasetFacts) -> MetadataMapping:
    """Everything that the components know of the published dataset."""
    found: MetadataMapping = {PREFIX + name: _scalar(value) for name, value in facts.description.items()}
    plot = _plot(facts)
    if plot is not None:
        found[f"{PREFIX}plot"] = plot
    return found | _statistics(facts.statistics) | _schema(facts.schema)


def _scalar(value: float | str) -> MetadataValue[Any]:
    if isinstance(value, str):
        return MetadataValue.text(value)
    if isinstance(value, bool):
        return MetadataValue.bool(value)
    return MetadataValue.int(value) if isinstance(value, int) else MetadataValue.float(value)


def _schema(variables: Sequence[Variable]) -> MetadataMapping:
    """Columns as Dagster knows them where the dataset is one table, else a table of its variables."""
    if not variables:
        return {}
    shown = variables[:MAX_ROWS]
    found: MetadataMapping = {f"{PREFIX}n_variables": MetadataValue.int(len(variables))}
    if len(variables[0].dims) == 1 and len({variable.dims for variable in variables}) == 1:
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
    return found | {_titled("schema", shown, variables): MetadataValue.table(records)}


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
    return {_titled("statistics", shown, fields): MetadataValue.table(records, TableSchema(columns))}


def _counts(field: FieldStatistics) -> tuple[int, int]:
    return int(field.count), int(field.n_nonfinite)


def _moments(field: FieldStatistics) -> tuple[float | None, ...]:
    return field.mean, field.std, field.minimum, field.maximum


def _number(value: float | None) -> float | None:
    """Six digits: more is in the file. JSON has no infinity, which the variance of very large numbers may be."""
    return None if value is None or not isfinite(value) else float(f"{value:.6g}")


def _titled(name: str, shown: Sequence[object], everything: Sequence[object]) -> str:
    if len(shown) == len(everything):
        return PREFIX + name
    return f"{PREFIX}{name} (first {len(shown)} of {len(everything)})"


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
    return MetadataValue.md(f"![Variables over the items](data:image/png;base64,{base64.b64encode(png).decode()})")
