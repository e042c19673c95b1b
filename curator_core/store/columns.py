"""The columns of the metrics database, each declared once.

What creates and migrates tables, inserts rows, checks what is read, exports items and documents the database is made of
these declarations. How a column is added: docs/reference/database.md, "Add a column".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from curator_core.formats.tabular import Kind

VERSIONS = {
    2: "when an index was begun",
    3: "what workers used that a cluster ran as jobs",
    4: "what tells an output from one that was written over it",
    5: "key columns first, for SQLite's integrity check",
}
"""What every schema version after the first is for."""

SCHEMA_VERSION = max(VERSIONS)
"""The present one, kept in SQLite's ``user_version``."""

APPLICATION_ID = 0x43555241
"""Kept in SQLite's ``application_id``: marks a metrics database."""

_SQLITE_TYPES: dict[Kind, str] = {
    "integer": "INTEGER",
    "real": "REAL",
    "text": "TEXT",
    "time": "TEXT",
    "list of text": "TEXT",
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,)}

_LONGEST_NS = 10**18
"""More than thirty years."""
_LONGEST_S = 10**10
"""The same for all CPUs of a job."""
_MOST_BYTES = 2**55
_MOST_ITEMS = 2**53
"""Above, the numbers of a report and of JSON are no longer exact."""
_MOST_CPUS = 10**6

STAGES_PLACE = 5
"""Exported columns of lower places come before the times of the stages, the others after them."""


class Column(NamedTuple):
    """One column of a table."""

    name: str
    """Its name."""
    kind: Kind
    """What it holds; times are ISO-8601 in UTC, lists are JSON."""
    what: str
    """What it means, with its unit, in the words of the reference."""
    may_be_null: bool = False
    """Whether NULL may stand in it."""
    rule: str = ""
    """Further conditions of SQLite, such as a default."""
    field: str = ""
    """Field of the record that it is taken from, where that has another name."""
    most: int | None = None
    """The largest value that can be true, of a measure; none is negative."""
    place: int | None = None
    """Position among the exported columns, see `STAGES_PLACE`; ``None`` for a column that is not exported."""
    exported_as: str = ""
    """Name that it is exported under, where that is another one."""
    since: int = 1
    """Schema version that added it."""

    @property
    def sqlite_type(self) -> str:
        """Its type in SQLite."""
        return _SQLITE_TYPES[self.kind]

    @property
    def python_types(self) -> tuple[type, ...]:
        """Types of its values in Python."""
        return (*_PYTHON_TYPES[self.sqlite_type], *((type(None),) if self.may_be_null else ()))

    @property
    def declaration(self) -> str:
        """Its part of the statement that creates the table."""
        null = "" if self.may_be_null or self.rule == _KEY else "NOT NULL"
        return " ".join(word for word in (self.name, self.sqlite_type, null, self.rule) if word)


class Table(NamedTuple):
    """One table."""

    name: str
    """Its name."""
    what: str
    """What a row of it is, in the words of the reference."""
    row_name: str
    """Expression of SQL that names a row in an error."""
    columns: tuple[Column, ...]
    """Its columns in their order; those that came with a later version are the last."""
    key: tuple[str, ...] = ()
    """Columns of the key of a table without rowids, which are its first: SQLite 3.40 takes rows with others before them
    for damaged (``PRAGMA integrity_check``)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(column.name for column in self.columns)

    @property
    def limits(self) -> dict[str, int]:
        """By measure, the largest value that can be true."""
        return {column.name: column.most for column in self.columns if column.most is not None}

    @property
    def exported(self) -> list[tuple[int, str, Column]]:
        """Place and name in the export of its exported columns, in that order."""
        found = ((c.place, c.exported_as or c.name, c) for c in self.columns if c.place is not None)
        return sorted(found, key=lambda one: one[0])

    def fields(self, *apart_from: str) -> dict[str, str]:
        """By column, the field of the record that it is taken from."""
        return {column.name: column.field or column.name for column in self.columns if column.name not in apart_from}

    def creation(self, version: int = SCHEMA_VERSION) -> str:
        """Statement that creates the table as a schema version has it."""
        parts = [column.declaration for column in self.columns if column.since <= version]
        if not self.key:
            return f"CREATE TABLE {self.name} ({', '.join(parts)})"
        return f"CREATE TABLE {self.name} ({', '.join(parts)}, {_KEY} ({', '.join(self.key)})) WITHOUT ROWID"

    def insertion(self, columns: Sequence[str], verb: str = "INSERT") -> str:
        """Statement that inserts values of some columns, in their order."""
        return f"{verb} INTO {self.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_KEY = "PRIMARY KEY"
_Nullable = partial(Column, may_be_null=True)
_RUN = Column("run_id", "integer", "the run")
_IDX = Column("idx", "integer", "present index; negative for items that vanished")
_WRITTEN = _Nullable(
    "written",
    "integer",
    "mark of the file or folder, made of size and time when it was complete; NULL where there was none to take "
    "(`s3://…`), or in rows of older versions. Nothing but equality means anything",
    since=4,
)

PIPELINE_RUNS = Table(
    "pipeline_runs",
    "One row per run of a configuration; resumed runs share one.",
    "'run ' || run_id",
    (
        Column("run_id", "integer", "key", rule=_KEY),
        Column("config_hash", "text", "SHA-256 of the canonical configuration"),
        Column("config_json", "text", "that configuration"),
        Column("started_at", "time", "when it was begun"),
        _Nullable("run_dir", "text", "folder the run was started in"),
        Column("total_indices", "integer", "number of items in the source", most=_MOST_ITEMS),
    ),
)
# An item's identity is its key. `idx` is its present position in the source: `StoreWriter.reindex` moves
# the rows when the listing shifts, and gives items that vanished a negative idx.
_STATUS_RULE = "CHECK (status IN ('completed', 'error'))"
_PEAK = "largest memory of the worker process while the item ran, bytes"
_GPU = "largest GPU memory meanwhile, bytes; where torch or CuPy measured it"
INDEX_RESULTS = Table(
    "index_results",
    "One row per processed item.",
    "'item ' || item_key",
    (
        Column("run_id", "integer", "the run", rule="REFERENCES pipeline_runs (run_id)"),
        Column("idx", "integer", _IDX.what, place=0, exported_as="index"),
        Column("status", "text", "`completed` or `error`", rule=_STATUS_RULE, place=2),
        Column("output_paths", "list of text", "JSON list of what the sink wrote", place=7),
        _Nullable("completed_at", "time", "when it was completed, or failed", place=11),
        Column("wall_time_ns", "integer", "how long it took, nanoseconds", most=_LONGEST_NS, place=4),
        _Nullable("peak_memory_bytes", "integer", _PEAK, most=_MOST_BYTES, place=5),
        _Nullable("gpu_memory_bytes", "integer", _GPU, most=_MOST_BYTES, place=6),
        _Nullable("error", "text", "`ErrorType: message`, up to 4,000 characters", place=3),
        _Nullable("worker_id", "text", "the worker that processed it", place=9),
        Column("item_key", "text", "key of the item", field="key", place=1, exported_as="key"),
        _Nullable("fingerprint", "text", "fingerprint, if the source has one", place=8),
        _Nullable("traceback", "text", "of a failed item, up to 40,000 characters"),
        Column("written_idx", "integer", "index at which its outputs were written", field="index"),
        _Nullable("started_at", "time", "when it was begun", place=10, since=2),
    ),
    key=("run_id", "idx"),
)
STAGE_METRICS = Table(
    "stage_metrics",
    "One row per item and stage.",
    "stage_name || ' at index ' || idx",
    (
        _RUN,
        _IDX,
        Column("stage_order", "integer", "0 is the source, then the filters, then the sink"),
        Column("stage_name", "text", "name of the source, filter or sink", field="name"),
        Column("wall_time_ns", "integer", "without the stages before it, nanoseconds", most=_LONGEST_NS),
    ),
    key=("run_id", "idx", "stage_order"),
)
_JOB = (
    "the worker's job on a cluster, such as `12_3`; this and the following are NULL unless the cluster keeps accounts"
)
WORKERS = Table(
    "workers",
    "One row per worker.",
    "'worker ' || worker_id",
    (
        Column("worker_id", "text", "key. UUID4, hexadecimal", rule=_KEY),
        _RUN,
        Column("pid", "integer", "process id"),
        Column("hostname", "text", "its host"),
        Column("started_at", "time", "when it was first heard of"),
        Column("last_heartbeat", "time", "when something was last heard of it"),
        _Nullable("current_index", "integer", "the index it processes, at most a second old; NULL when idle or ended"),
        Column("completed_count", "integer", "number of items it processed", rule="DEFAULT 0", most=_MOST_ITEMS),
        _Nullable("invocation_id", "text", "UUID4 of the coordinator that recorded it, hexadecimal"),
        _Nullable("current_since", "time", "when `current_index` was begun", since=2),
        _Nullable("job", "text", _JOB, since=3),
        _Nullable("job_state", "text", "how it ended", since=3),
        _Nullable("elapsed_s", "real", "how long it had its CPUs, seconds", most=_LONGEST_S, since=3),
        _Nullable("n_cpus", "integer", "CPUs it had", most=_MOST_CPUS, since=3),
        _Nullable("cpu_s", "real", "CPU time it used, seconds", most=_LONGEST_S, since=3),
        _Nullable("peak_memory_bytes", "integer", "its largest memory, bytes", most=_MOST_BYTES, since=3),
    ),
)
OUTPUT_FILES = Table(
    "output_files",
    "One row per file a sink wrote.",
    "path",
    (
        _RUN,
        _IDX,
        Column("seq", "integer", "position in the list the sink returned"),
        Column("path", "text", "where it is"),
        _WRITTEN,
    ),
    key=("run_id", "idx", "seq"),
)
FILTER_ARTIFACTS = Table(
    "filter_artifacts",
    "One row per file a filter wrote. After gathering, the merged file stands in place of the shard.",
    "path",
    (
        _RUN,
        _IDX,
        Column("filter_order", "integer", "1 for the first filter"),
        Column("path", "text", "where it is"),
        Column("filter_name", "text", "name of the filter"),
        _WRITTEN,
    ),
    key=("run_id", "idx", "filter_order", "path"),
)
LOGS = Table(
    "logs",
    "One row per log record emitted while an item was processed.",
    "'line ' || id",
    (
        Column("id", "integer", "key", rule=_KEY),
        _RUN,
        Column("timestamp", "time", "when it was emitted"),
        Column("level", "integer", "number of the standard library"),
        Column("level_name", "text", "its name, such as `WARNING`"),
        Column("logger_name", "text", "name of the logger"),
        Column("message", "text", "the formatted message"),
        _Nullable("worker_id", "text", "the worker that emitted it"),
        _Nullable("idx", "integer", "present index of the item"),
    ),
)

TABLES = (PIPELINE_RUNS, INDEX_RESULTS, STAGE_METRICS, WORKERS, OUTPUT_FILES, FILTER_ARTIFACTS, LOGS)
"""All seven, in the order in which they are created."""

INDEXED_TABLES = tuple(table for table in TABLES if table.key)
"""Tables whose rows move with their item."""
