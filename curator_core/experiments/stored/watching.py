"""A table that others work on, watched: experiments that are new or differ from the last look; nothing is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curator_core.errors import ExperimentsNotFoundError
from curator_core.experiments.design.parameters import plain
from curator_core.experiments.failure import Failure
from curator_core.experiments.references import Reference
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.files import Version, current_version, data_folder, read_table
from curator_core.experiments.stored.results import Result, read_result, result_rows

_LAST_INTEGER = 2**53


@dataclass(frozen=True)
class Experiment:
    """One row as it is now."""

    row: int
    """Its number."""
    status: JobStatus
    """Open, in progress, finished or an error."""
    inputs: Mapping[str, object]
    """Values by name, without those that are missing."""
    outputs: Mapping[str, object]
    """Values by name, without those that are missing; a `Reference` where one is a file of its own."""
    failure: Failure | None = None
    """Why it failed, as far as it is known."""

    @cached_property
    def version(self) -> str:
        """Hash of inputs and outputs, the same before and after its result was collected."""
        found = (self.inputs, self.outputs)
        values = [sorted((name, _encoded(value)) for name, value in part.items()) for part in found]
        return hashlib.sha256(json.dumps(values).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _encoded(value: object) -> str:
    """A text of a value; of a number, whether it is kept as an integer does not matter."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LAST_INTEGER:
        value = float(value)
    return value.path if isinstance(value, Reference) else repr(value)


class TableWatch:
    """Looks at the table of a folder, which need not exist yet, and at results that wait to be collected.

    A look without changes costs a few calls of the file system; one with results reads these alone.

    Parameters
    ----------
    project_dir
        Folder of the table.
    """

    def __init__(self, project_dir: str | Path) -> None:
        self._project_dir = Path(project_dir).absolute()
        self._table: _Read | None = None
        self._seen: dict[int, tuple[JobStatus, str, Failure | None]] = {}
        self._waiting: frozenset[int] = frozenset()

    @property
    def rows(self) -> list[int]:
        """Numbers of the experiments at the last look."""
        return [] if self._table is None else list(self._table.inputs)

    def changed(self) -> list[Experiment]:
        """Experiments that are new or differ from the last look, in the order of the table.

        Raises
        ------
        ConfigError
            The files do not fit together; the message names file and row.
        """
        try:
            table, results = self._read()
        except ExperimentsNotFoundError:
            return []
        if table is self._table:
            rows = [row for row in table.inputs if row in results]
            self._waiting |= results.keys()
        else:
            rows = list(table.inputs)
            self._table, self._waiting = table, frozenset(results)
        return list(self._different(table, rows, results))

    def _read(self) -> tuple[_Read, dict[int, Result]]:
        """The table, and the results that the last look did not see, or all where the table is another."""
        folder = data_folder(self._project_dir)
        while True:
            table = self._table
            if table is None or table.version != current_version(folder):
                table = _Read.of(self._project_dir)
            new = result_rows(self._project_dir) - (self._waiting if table is self._table else frozenset())
            results = {row: found for row in sorted(new) if (found := read_result(self._project_dir, row)) is not None}
            # Results are in the table before their files are removed: one that is missed here changed the table.
            if table.version == current_version(folder):
                return table, results

    def _different(self, table: _Read, rows: list[int], results: Mapping[int, Result]) -> Iterator[Experiment]:
        for row in rows:
            found = table.experiment(row, results.get(row))
            state = (found.status, found.version, found.failure)
            if self._seen.get(row) != state:
                self._seen[row] = state
                yield found


@dataclass(frozen=True)
class _Read:
    """A table as it was read."""

    version: Version
    inputs: Mapping[int, Mapping[str, object]]
    outputs: Mapping[int, Mapping[str, object]]
    jobs: Mapping[int, JobStatus]
    failures: Mapping[int, Failure]

    @classmethod
    def of(cls, project_dir: Path) -> _Read:
        stored = read_table(project_dir)
        table, rows = stored.table, stored.table.numbers()
        frames = (dict(zip(rows, found.to_dict("records"), strict=True)) for found in (table.inputs, table.outputs))
        inputs, outputs = ({row: _present(values) for row, values in found.items()} for found in frames)
        jobs = dict(zip(rows, map(JobStatus, table.jobs), strict=True))
        return cls(stored.version, inputs, outputs, jobs, table.failures)

    def experiment(self, row: int, result: Result | None) -> Experiment:
        if result is not None:
            return Experiment(row, result.status, self.inputs[row], _present(result.outputs), result.failure)
        return Experiment(row, self.jobs[row], self.inputs[row], self.outputs[row], self.failures.get(row))


def _present(values: Mapping[Any, object]) -> dict[str, object]:
    return {str(name): plain(value) for name, value in values.items() if value is not None}
