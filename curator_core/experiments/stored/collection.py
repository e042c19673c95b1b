"""Results of single rows taken into the table: it is published first, then their files are removed.

A kill between the two leaves files whose content is in the table already.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curator_core.experiments.design.parameters import Parameter
from curator_core.experiments.references import Reference
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.files import (
    Version,
    current_version,
    data_folder,
    locked,
    read_table,
    replace_locked,
    table_texts,
)
from curator_core.experiments.stored.foreign_results import foreign_files, foreign_path, read_foreign, remove_foreign
from curator_core.experiments.stored.results import Result, read_results, result_files, result_path
from curator_core.experiments.table import Table, frame, series

logger = logging.getLogger("curator")


@dataclass(frozen=True)
class Collected:
    """What `collect_results` did."""

    rows: tuple[int, ...]
    """The rows whose results are in the table now."""

    problems: dict[str, str]
    """What is wrong with a file whose result was not collected, by path."""


def collect_results(project_dir: str | Path, *, cleanup: bool = True) -> Collected:
    """Merge the results of single rows into the table, then remove their files.

    Results are those of `write_result`, and those that array tasks of f3dasm left in ``experiment_sample``. Killed at
    any moment and called again, it ends in the same table. A file that is no result is reported, logged as a warning
    and set aside under the ending ``.invalid``, so that its experiment is open again; one whose row does not exist, or
    of another experiment, is reported and left alone. None of them keeps another result back.

    Raises
    ------
    ConfigError
        The table itself cannot be read.
    """
    data_folder(project_dir)
    if not any(result_files(project_dir)) and not any(foreign_files(project_dir)):
        return Collected((), {})
    merge = _Merge.of(project_dir)  # without the lock: others wait only while files are replaced
    with locked(project_dir) as folder:
        if merge.version != current_version(folder):
            merge = _Merge.of(project_dir)
        if merge.found:
            replace_locked(folder, table_texts(merge.table, folder))
        if cleanup:
            merge.remove_files(project_dir)
    for problem in merge.problems.values():
        logger.warning("A result was not collected: %s", problem)
    return Collected(tuple(sorted({result.index for result in merge.found})), merge.problems)


def with_results(project_dir: str | Path, table: Table) -> Table:
    """A table with the results that wait in a folder, which stay there."""
    return _Merge.of_table(project_dir, table, version=()).table.located(Path(project_dir))


@dataclass(frozen=True)
class _Merge:
    version: Version
    table: Table
    results: list[Result]
    foreign: list[Result]
    """Of f3dasm."""
    invalid: list[str]
    """Files that are no results."""

    problems: dict[str, str]

    @classmethod
    def of(cls, project_dir: str | Path) -> _Merge:
        stored = read_table(project_dir)  # before the results, so that an older version is noticed
        return cls.of_table(project_dir, stored.table, stored.version)

    @classmethod
    def of_table(cls, project_dir: str | Path, table: Table, version: Version) -> _Merge:
        results, foreign = read_results(project_dir), read_foreign(project_dir, table)
        known = set(table.numbers())
        problems = {**results.problems, **foreign.problems}
        for found, place in ((results.found, result_path), (foreign.found, foreign_path)):
            for index in found.keys() - known:
                path = place(project_dir, index)
                problems[str(path)] = f"{path} is the result of row {index}, which the table does not have. Delete it."
        mine, theirs = (
            [one for index, one in found.items() if index in known] for found in (results.found, foreign.found)
        )
        return cls(version, _merged(table, [*theirs, *mine]), mine, theirs, list(results.problems), problems)

    @property
    def found(self) -> list[Result]:
        """What is in the table now."""
        return [*self.foreign, *self.results]

    def remove_files(self, project_dir: str | Path) -> None:
        for path in map(Path, self.invalid):
            path.replace(path.with_name(f"{path.name}.invalid"))
        for result in self.results:
            result_path(project_dir, result.index).unlink(missing_ok=True)
        for result in self.foreign:
            remove_foreign(project_dir, result.index)


def _merged(table: Table, results: Sequence[Result]) -> Table:
    index = [int(row) for row in table.inputs.index]
    position = {row: at for at, row in enumerate(index)}
    columns = {str(name): list(table.outputs[name]) for name in table.outputs.columns}
    jobs, failures, domain = list(table.jobs), dict(table.failures), table.domain.copy()
    for result in results:
        at = position[result.index]
        if result.status not in (JobStatus.FINISHED, JobStatus.ERROR):  # its task was ended, or is still at work
            jobs[at] = result.status.value if jobs[at] == JobStatus.OPEN.value else jobs[at]
            continue
        for values in columns.values():  # of an earlier attempt
            values[at] = None
        for name, value in result.outputs.items():
            columns.setdefault(name, [None] * len(index))[at] = value
            if isinstance(value, Reference):
                known = domain.output_space.get(name, Parameter())
                domain.output_space[name] = Parameter(to_disk=True, foreign=known.foreign)
        jobs[at] = result.status.value
        failures.pop(result.index, None)
        if result.failure is not None:
            failures[result.index] = result.failure
    return Table(domain, table.inputs, frame(index, columns), series(jobs, index), failures).checked()
