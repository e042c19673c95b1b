"""A run's items as a table, one row per item, for other programs."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

from curator_core.errors import StoreCorruptError
from curator_core.formats.tabular import Kind, Row, Table, data_frame, write_csv, write_json, write_parquet
from curator_core.storage.atomic import published
from curator_core.store.checked import sound_rows
from curator_core.store.columns import INDEX_RESULTS, STAGES_PLACE
from curator_core.store.connection import classified, open_for_reading
from curator_core.store.reader import MetricsStore

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "json", "parquet"]

_CHUNK = 2_000

_EXPORTED = INDEX_RESULTS.exported
_NAMES = [name for _, name, _ in _EXPORTED]
_BEFORE_STAGES: dict[str, Kind] = {name: column.kind for place, name, column in _EXPORTED if place < STAGES_PLACE}
_AFTER_STAGES: dict[str, Kind] = {name: column.kind for place, name, column in _EXPORTED if place >= STAGES_PLACE}
_ITEMS = (
    f"SELECT {', '.join(column.name for _, _, column in _EXPORTED)} FROM index_results"  # noqa: S608 - constants
    " WHERE run_id = ? AND idx > ? ORDER BY idx LIMIT ?"
)
_STAGES = (
    "SELECT idx, stage_order, stage_name, wall_time_ns FROM stage_metrics WHERE run_id = ? AND idx BETWEEN ? AND ?"
)


@contextlib.contextmanager
def item_table(store: MetricsStore, run_id: int) -> Iterator[Table]:
    """Every item of a run's present listing that has a result, in index order, a few thousand in memory at a time.

    A run that goes on meanwhile changes nothing in the table, except with a rollback journal (on a network
    file system), where a reader must not hold up the run: each item is as it was when its row was made.

    Parameters
    ----------
    store
        The database.
    run_id
        The run.
    """
    with classified(store.path), contextlib.closing(open_for_reading(store.path)) as db:
        if db.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            db.execute("BEGIN")
        sql = "SELECT DISTINCT stage_order, stage_name FROM stage_metrics WHERE run_id = ? AND idx >= 0 ORDER BY 1, 2"
        stages: dict[str, Kind] = {_column(k, name): "integer" for k, name in db.execute(sql, (run_id,)).fetchall()}
        columns = _BEFORE_STAGES | stages | _AFTER_STAGES
        yield Table(columns, _rows(db, store.path, run_id, columns))


def export_rows(store: MetricsStore, run_id: int) -> Iterator[Row]:
    """Rows of `item_table`: what is recorded of each item, with one column per stage."""
    with item_table(store, run_id) as table:
        yield from table.rows


def export_file(store: MetricsStore, run_id: int, path: str | Path, form: Format) -> None:
    """Write `item_table` to a file, which is replaced in one step.

    Raises
    ------
    MissingDependencyError
        Parquet is asked for and pyarrow is not installed.
    """
    with item_table(store, run_id) as table:
        if form == "parquet":
            write_parquet(table, path)
            return
        with published(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            if form == "csv":
                write_csv(table, file)
            elif form == "json":
                write_json(table, file)
            else:
                assert_never(form)


def to_pandas(store: MetricsStore, run_id: int) -> pd.DataFrame:
    """`item_table` as a data frame.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    with item_table(store, run_id) as table:
        return data_frame(table)


def _column(order: int, name: str) -> str:
    return f"{order}_{name}_ns"


def _rows(db: sqlite3.Connection, path: Path, run_id: int, columns: dict[str, Kind]) -> Iterator[Row]:
    last = -1
    while items := list(sound_rows(path, db.execute(_ITEMS, (run_id, last, _CHUNK)))):
        first, last = items[0][0], items[-1][0]
        stages: dict[int, Row] = {}
        for idx, order, name, spent in sound_rows(path, db.execute(_STAGES, (run_id, first, last))):
            if _column(order, name) in columns:  # the first results of a run may come after the columns were asked for
                stages.setdefault(idx, {})[_column(order, name)] = spent
        for item in items:
            row = dict(zip(_NAMES, item, strict=True))
            row["output_paths"] = _paths(path, row["output_paths"])
            yield dict.fromkeys(columns) | stages.get(row["index"], {}) | row


def _paths(path: Path, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise StoreCorruptError(
            f"{path} is damaged: {text!r:.60} stands where output_paths belong. "
            "It was left as it is: move it away to start anew."
        )
    return found
