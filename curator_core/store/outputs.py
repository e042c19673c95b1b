"""What is recorded of the files that sinks and filters wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curator_core.records import Artifact, Status
from curator_core.store.checked import CheckedDatabase, of_index


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """What is recorded of one item, without its metrics."""

    index: int
    """Present position; negative for an item that vanished from the source."""
    key: str
    """Key of the item."""
    status: Status
    """How its last processing ended."""
    fingerprint: str | None
    """Its fingerprint then."""
    error: str | None
    """Why it failed."""


class OutputReader(CheckedDatabase):
    """Questions about the files that items wrote."""

    def is_shared(self, run_id: int, path: str, position: int) -> bool:
        """Whether `path` is also recorded of an item at another position."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM output_files WHERE run_id = ?1 AND path = ?2 AND idx != ?3)"
            " OR EXISTS (SELECT 1 FROM filter_artifacts WHERE run_id = ?1 AND path = ?2 AND idx != ?3)"
        )
        return self._is_so(sql, run_id, path, position)

    def sink_files(self, run_id: int, position: int | None = None) -> Iterator[tuple[int, str, int | None]]:
        """Position, path and mark of every file that the sink wrote, in its order; for one item alone if given."""
        where, values = of_index(position)
        sql = f"SELECT idx, path, written FROM output_files WHERE run_id = ?{where} ORDER BY idx, seq"  # noqa: S608
        return self.query(sql, run_id, *values)

    def artifact_files(self, run_id: int, position: int | None = None) -> Iterator[tuple[int, int, str, int | None]]:
        """Position, stage, path and mark of every file that the filters wrote, in that order; for one item if given."""
        where, values = of_index(position)
        sql = (
            f"SELECT idx, filter_order, path, written FROM filter_artifacts WHERE run_id = ?{where}"  # noqa: S608
            " ORDER BY idx, filter_order, path"
        )
        return self.query(sql, run_id, *values)

    def files_of_other_configs(self, config_hash: str) -> Iterator[tuple[str, int]]:
        """Path and mark of the files that the latest runs of other configurations wrote, as far as they have marks."""
        latest = "SELECT max(run_id) FROM pipeline_runs WHERE config_hash != ? GROUP BY config_hash"
        tables = ("output_files", "filter_artifacts")
        sql = " UNION ".join(
            f"SELECT path, written FROM {table} WHERE written IS NOT NULL AND run_id IN ({latest})"  # noqa: S608 - constants
            for table in tables
        )
        return self.query(sql, config_hash, config_hash)

    def completed_outputs(
        self,
        run_id: int,
        filter_order: int | None,
        *,
        indices: Iterable[int] | None = None,
        elsewhere_than: Iterable[str] = (),
    ) -> list[tuple[ItemRecord, str, int | None]]:
        """Completed items with path and mark of one of their outputs, in index order; vanished items first.

        Parameters
        ----------
        run_id
            The run.
        filter_order
            Position of the filter that wrote it; ``None`` for the first path of the sink.
        indices
            Only these; all by default.
        elsewhere_than
            Only outputs at other paths than these.
        """
        table, match = "output_files", "seq = 0"
        values: list[object] = [run_id]
        if filter_order is not None:
            table, match = "filter_artifacts", "filter_order = ?"
            values.append(filter_order)
        chosen = "" if indices is None else " AND idx IN (SELECT value FROM json_each(?))"
        sql = (
            f"SELECT idx, item_key, status, fingerprint, error, path, written FROM index_results JOIN {table}"  # noqa: S608
            f" USING (run_id, idx) WHERE run_id = ? AND {match} AND status = 'completed'{chosen}"
            " AND path NOT IN (SELECT value FROM json_each(?)) ORDER BY idx, path"
        )
        values += [] if indices is None else [json.dumps(list(indices))]
        rows = self._rows(sql, *values, json.dumps(list(elsewhere_than)))
        return [(ItemRecord(*record), path, mark) for *record, path, mark in rows]

    def output_paths(self, run_id: int, index: int | None = None) -> dict[int, list[str]]:
        """Paths that the sink wrote, by index; of one index alone if given."""
        found: dict[int, list[str]] = defaultdict(list)
        where, values = of_index(index)
        sql = f"SELECT idx, path FROM output_files WHERE run_id = ?{where} ORDER BY idx, seq"  # noqa: S608 - constants
        for idx, path in self.query(sql, run_id, *values):
            found[idx].append(path)
        return dict(found)

    def artifacts(self, run_id: int, index: int | None = None) -> dict[int, list[Artifact]]:
        """Files that the filters wrote, by index; of one index alone if given."""
        found: dict[int, list[Artifact]] = defaultdict(list)
        where, values = of_index(index)
        sql = (
            f"SELECT idx, path, filter_name, filter_order, written FROM filter_artifacts WHERE run_id = ?{where}"  # noqa: S608
            " ORDER BY idx, filter_order, path"
        )
        for idx, *artifact in self.query(sql, run_id, *values):
            found[idx].append(Artifact(*artifact))
        return dict(found)

    def indices_of_path(self, run_id: int, path: str) -> set[int]:
        """Indices of the present listing whose sink or filters wrote `path`."""
        sql = (
            "SELECT idx FROM output_files WHERE run_id = ?1 AND path = ?2 AND idx >= 0"
            " UNION SELECT idx FROM filter_artifacts WHERE run_id = ?1 AND path = ?2 AND idx >= 0"
        )
        return {idx for (idx,) in self._rows(sql, run_id, path)}

    def sharded_paths(self, run_id: int) -> Iterator[str]:
        """Paths of shards, and of archives of shards, of items of the present listing, each once."""
        tables = " UNION ".join(
            f"SELECT path FROM {table} WHERE run_id = ?1 AND idx >= 0"  # noqa: S608 - constants
            for table in ("filter_artifacts", "output_files")
        )
        sql = f"SELECT path FROM ({tables}) WHERE path GLOB '*_shard_[0-9]*' OR path GLOB '*_shards.db'"  # noqa: S608
        return (path for (path,) in self.query(sql, run_id))

    def part_paths(self, run_id: int, filter_order: int | None, *, elsewhere_than: str) -> Iterator[str]:
        """Where the parts of an output are that items of the present listing added, each place once.

        Parameters
        ----------
        run_id
            The run.
        filter_order
            Position of the filter that wrote it; ``None`` for the first path of the sink.
        elsewhere_than
            The output itself, which is left out.
        """
        table, match = ("output_files", "seq") if filter_order is None else ("filter_artifacts", "filter_order")
        sql = f"SELECT DISTINCT path FROM {table} WHERE run_id = ? AND {match} = ? AND idx >= 0 AND path != ?"  # noqa: S608 - constants
        return (path for (path,) in self.query(sql, run_id, filter_order or 0, elsewhere_than))

    def has_shifted(self, run_id: int) -> bool:
        """Whether a completed item was written at another position than its present one."""
        shifted = "run_id = ? AND idx != written_idx AND status = 'completed'"
        sql = f"SELECT EXISTS (SELECT 1 FROM index_results WHERE {shifted})"  # noqa: S608 - a constant
        return self._is_so(sql, run_id)

    def vanished_positions(self, run_id: int) -> Iterator[tuple[int, int]]:
        """Present position, which is negative, of every vanished item, and the one at which it was written."""
        return self.query("SELECT idx, written_idx FROM index_results WHERE run_id = ? AND idx < 0", run_id)

    def path_owners(self, run_id: int, limit: int) -> dict[str, str]:
        """Key of the item by path that the sink wrote, for items of the present listing; of so many at most."""
        sql = (
            "SELECT path, item_key FROM output_files JOIN index_results USING (run_id, idx)"
            " WHERE run_id = ? AND idx >= 0 LIMIT ?"
        )
        return dict(self.query(sql, run_id, limit))

    def is_owned(self, run_id: int, path: str, key: str) -> bool:
        """Whether an item of the present listing is recorded as completed with a path that the sink wrote."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM output_files JOIN index_results USING (run_id, idx)"
            " WHERE run_id = ? AND path = ? AND item_key = ? AND idx >= 0 AND status = 'completed')"
        )
        return self._is_so(sql, run_id, path, key)
