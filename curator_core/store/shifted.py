"""Outputs of items that were written at other positions than their present ones, which others may overwrite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from curator_core.store.rows import Placed

_SHIFTED = "run_id = ? AND idx >= 0 AND idx != written_idx AND status = 'completed'"


class ShiftedOutputs:
    """What of a run is recorded at a shifted position; nothing, until it is looked up."""

    def __init__(self) -> None:
        self.keys: Mapping[str, str] = {}
        """Keys of the items by path."""
        self._positions: set[int] = set()

    def look_up(self, db: sqlite3.Connection, run_id: int) -> None:
        """See what there is now."""
        sql = f"SELECT written_idx, item_key, output_paths FROM index_results WHERE {_SHIFTED}"  # noqa: S608 - a constant
        rows = db.execute(sql, (run_id,)).fetchall()
        self._positions = {written for written, _, _ in rows}
        self.keys = {path: key for _, key, paths in rows for path in json.loads(paths)}

    def displaced(self, db: sqlite3.Connection, run_id: int, results: Sequence[Placed]) -> list[int]:
        """Indices of all shifted items, where one of the results may have overwritten a file of one."""
        if not self._positions or not any(
            any(self.keys.get(path, r.key) != r.key for path in r.output_paths)
            or (not r.is_completed and r.index in self._positions)  # it may have written before it failed
            for _, r in results
        ):
            return []
        written = {idx for idx, _ in results}
        rows = db.execute(f"SELECT idx FROM index_results WHERE {_SHIFTED}", (run_id,))  # noqa: S608
        return [idx for (idx,) in rows if idx not in written]

    def clear(self) -> None:
        """Nothing is shifted any more."""
        self._positions, self.keys = set(), {}
