"""Checks over the rows of all items: a key that is there once, and how many rows there are."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curator_core.domains.table.columns import CommonTypes, plain
from curator_core.domains.table.written import converted
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.checks.results import EXAMPLES, CheckResult, Severity, read_results, write_results
from curator_core.filters.shards import using_shard
from curator_core.pipeline.components import ShardedFilter
from curator_core.pipeline.current import current_item
from curator_core.storage.outputs import check_output_path

_FORMAT: Final = "curator-table-checks-1"
_ITEM, _N_ROWS = b"curator.item", b"curator.n_rows"


class TableChecksFilter(ShardedFilter[Any]):
    """Checks that hold for the rows of all items together, those of former runs among them; tables pass unchanged.

    The output is a JSON file with an entry for each check. Dagster shows it as the asset check ``values``, where that
    is named. What holds for every value by itself, `ValueChecksFilter` checks.

    Parameters
    ----------
    output_path
        File of the results, ending in ``.json``.
    unique
        Columns whose values, taken together, no two rows have; or several such lists. Missing values are equal.
    max_fewer_rows, max_more_rows
        By which share of the rows of the last version their number may fall, or rise; by any by default.
    severity
        ``fail``: where a check does not pass, nothing is published. ``warn``: it is recorded.

    Raises
    ------
    ConfigError
        Nothing is checked, or a share is negative.

    Examples
    --------
    >>> step = TableChecksFilter("checks.json", unique=["origin", "time_hour"], max_fewer_rows=0.1)
    """

    name: ClassVar[str] = "table_checks"
    description: ClassVar[str] = "Keys that no two rows have, and numbers of rows, over all items"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".parquet"

    def __init__(
        self,
        output_path: str,
        *,
        unique: Sequence[str] | Sequence[Sequence[str]] = (),
        max_fewer_rows: float | None = None,
        max_more_rows: float | None = None,
        severity: Severity = "fail",
    ) -> None:
        self._output_path = str(output_path)
        texts = [each for each in unique if isinstance(each, str)]
        lists = [tuple(each) for each in unique if not isinstance(each, str)]
        self._keys = [*([tuple(texts)] if texts else []), *lists]
        self._shares = {"fewer": max_fewer_rows, "more": max_more_rows}
        if not self._keys and all(share is None for share in self._shares.values()):
            raise ConfigError(f"{self.name}: say what is checked: unique, max_fewer_rows or max_more_rows.")
        if any(share is not None and not share >= 0 for share in self._shares.values()) or not all(self._keys):
            raise ConfigError(f"{self.name}: a share must be at least 0, and a key have a column.")
        self._severity = severity
        self._tables: list[pa.Table] = []

    @property
    def output_path(self) -> str:
        return self._output_path

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written."""
        check_output_path(self._output_path, ".json", self.name)

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass tables on, and keep the columns of keys.

        Raises
        ------
        ComponentError
            A value is no table, or has no such column.
        """
        self._tables = []  # here, not in the generator, which may never be started
        return self._observe(items, self._tables)

    def _observe(self, items: Iterator[Any], found: list[pa.Table]) -> Generator[Any, None, None]:
        names = list(dict.fromkeys(name for key in self._keys for name in key))
        for value in items:
            if not isinstance(value, pa.Table):
                raise self._failed(f"it checks tables, not {type(value).__name__}")
            for name in names:
                if name not in value.column_names:
                    raise self._failed(f"the item has no column {name!r}; it has {', '.join(value.column_names)}")
            kept = value.select(names).replace_schema_metadata({_N_ROWS: str(value.num_rows)})
            found.append(kept.cast(pa.schema([(f.name, plain(f.type)) for f in kept.schema], kept.schema.metadata)))
            yield value

    def _failed(self, why: str) -> ComponentError:
        return ComponentError(f"{self.name}: {why}.", component=self.name)

    def write_shard(self, path: str) -> None:
        """Write the columns of keys of the last item."""
        n_rows = sum(int(table.schema.metadata[_N_ROWS]) for table in self._tables)
        table = pa.concat_tables(self._tables) if self._tables else pa.table({})
        about = {_ITEM: current_item().key.encode("utf-8", "surrogatepass"), _N_ROWS: str(n_rows).encode()}
        parquet.write_table(table.combine_chunks().replace_schema_metadata(about), path, compression="zstd")

    def merge(self, shard_paths: Sequence[str], output_path: str) -> None:
        self.merge_contents((Path(path).read_bytes() for path in shard_paths), output_path)

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Compare all rows; the columns of keys are in memory.

        Raises
        ------
        MergeError
            A check does not pass, and `severity` is ``fail``; or a shard is damaged.
        """
        items: list[str] = []
        tables: list[pa.Table] = []
        n_rows = 0
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                table = parquet.read_table(io.BytesIO(content))
                items.append(table.schema.metadata[_ITEM].decode("utf-8", "surrogatepass"))
                n_rows += int(table.schema.metadata[_N_ROWS])
                tables.append(table)
        results = [self._unique(key, items, tables) for key in self._keys]
        results += self._row_counts(n_rows, len(items))
        failed = [result for result in results if not result.is_passed]
        if failed and self._severity == "fail":
            said = "; ".join(f"{r.check} {r.field}: {'; '.join(map(': '.join, r.examples))}" for r in failed)
            raise MergeError(f"{self.name}: {said}. Nothing is published: correct the rows, or say severity='warn'.")
        write_results(output_path, _FORMAT, results, n_rows=n_rows)

    def _unique(self, key: tuple[str, ...], items: Sequence[str], tables: Sequence[pa.Table]) -> CheckResult:
        pairs = list(zip(items, (table.select(list(key)) for table in tables), strict=True))
        common = CommonTypes((item, table.schema) for item, table in pairs)
        for item, why in common.conflicts():
            raise MergeError(f"{self.name}: the item {item!r} does not go with the others: {why}.")
        rows = pa.concat_tables(converted(table, common.schema, f"Item {item!r}") for item, table in pairs)
        sizes = [len(table) for table in tables]
        first, again = _repeated(rows, key)
        stops = np.cumsum(sizes)

        def place(row: int) -> tuple[str, int]:
            number = int(np.searchsorted(stops, row, side="right"))
            return items[number], row - int(stops[number]) + sizes[number]

        examples = []
        for one, other in list(zip(first.tolist(), again.tolist(), strict=True))[:EXAMPLES]:
            values = ", ".join(f"{name}={rows[name][other].as_py()!r}" for name in key)
            (item, number), (former, before) = place(other), place(one)
            examples.append((item, f"row {number} has {values}, as row {before} of {former!r}"))
        bad = {place(row)[0] for row in again.tolist()}
        text = f"no two rows with the same {', '.join(key)}"
        return CheckResult(
            ", ".join(key), "unique", text, self._severity, len(items), len(bad), len(again), tuple(examples)
        )

    def _row_counts(self, n_rows: int, n_items: int) -> Iterator[CheckResult]:
        before = self._rows_before()
        for word, share in self._shares.items():
            if share is None:
                continue
            change = 0.0 if not before else (n_rows - before) / before
            is_bad = (-change if word == "fewer" else change) > share
            known = "no version yet" if before is None else f"{before:,} rows of the last version"
            examples = (("all", f"{n_rows:,} rows, {abs(change):.1%} {word} than the {known}"),) if is_bad else ()
            text = f"at most {share:.1%} {word} than the {known}"
            yield CheckResult("rows", "row_count", text, self._severity, n_items, int(is_bad), int(is_bad), examples)

    def _rows_before(self) -> int | None:
        """Number of rows of the last version; ``None`` where there is none."""
        try:
            return int(json.loads(Path(self._output_path).read_text(encoding="utf-8"))["n_rows"])
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as exc:
            text = f"{self.name}: {self._output_path} is no result of checks ({exc}): move it away."
            raise MergeError(text) from exc

    def check_results(self, output_path: str) -> list[CheckResult]:
        """What was found, as it was published."""
        return read_results(output_path)


def _repeated(rows: pa.Table, key: Sequence[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Positions of rows that repeat a key, and of the first with it before each."""
    numbered = rows.append_column("", pa.array(np.arange(len(rows)), pa.int64()))
    groups = numbered.group_by(list(key), use_threads=False).aggregate([("", "count"), ("", "min"), ("", "list")])
    several = groups.filter(pc.greater(groups["_count"], 1))
    found = several["_list"].combine_chunks()
    again = found.flatten().to_numpy()
    first = np.repeat(several["_min"].to_numpy(), several["_count"].to_numpy())
    order = np.argsort(again, kind="stable")
    first, again = first[order], again[order]
    return first[first != again], again[first != again]
