"""Results of single experiments as files, so that workers never write the table; one process collects them.

``experiment_results/<row>.json`` is written whole or not at all. Collecting first publishes the table with the
results in it, then removes the files: a kill between the two leaves files whose content is in the table already.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from curator_core.atomic import publish_text
from curator_core.errors import ConfigError
from curator_core.workflow import cells
from curator_core.workflow.experiment_files import (
    Version,
    current_version,
    data_folder,
    locked,
    read_table,
    replace_locked,
    table_texts,
)
from curator_core.workflow.failure import Failure
from curator_core.workflow.objects import Reference, is_object, store_object
from curator_core.workflow.parameters import Parameter, plain
from curator_core.workflow.samples import JobStatus
from curator_core.workflow.table import Table, frame, series

RESULTS_FOLDER = "experiment_results"
_FORMAT = "curator-result-1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What became of one experiment."""

    index: int
    status: JobStatus
    outputs: dict[str, object]
    """Value by name; a `Reference` where one is a file of its own."""

    failure: Failure | None = None
    started: str | None = None
    ended: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class Results:
    """The results that wait to be collected."""

    found: dict[int, Result] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    """What is wrong with a file, by path."""


def result_path(project_dir: str | Path, index: int) -> Path:
    """The file of one row's result."""
    return Path(project_dir).absolute() / RESULTS_FOLDER / f"{index}.json"


def write_result(
    project_dir: str | Path,
    index: int,
    outputs: Mapping[str, object] | None = None,
    *,
    error: Failure | BaseException | str | None = None,
    started: datetime | None = None,
    to_disk: Collection[str] = (),
) -> Path:
    """Write what became of row `index`: its outputs, or the error that ended it.

    Arrays and data frames become files of their own in ``experiment_data``, as do numbers under the names `to_disk`.

    Raises
    ------
    ConfigError
        A value that no table can hold, a row number below 0, or no table in the folder.
    """
    number = plain(index)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"A row number is an integer from 0, not {index!r}.")
    project = data_folder(project_dir).parent
    values, files = _sorted_out(project, number, outputs or {}, to_disk)
    record = {
        "format": _FORMAT,
        "index": number,
        "status": (JobStatus.FINISHED if error is None else JobStatus.ERROR).value,
        "outputs": values,
        "files": files,
        "started": started.astimezone(UTC).isoformat() if started else None,
        "ended": datetime.now(UTC).isoformat(),
        "host": socket.gethostname(),
    }
    if error is not None:
        failure = error if isinstance(error, Failure) else Failure.of(error)
        record |= {"error": failure.error, "traceback": failure.traceback}
    target = result_path(project, number)
    target.parent.mkdir(exist_ok=True)
    publish_text(json.dumps(record), target)
    return target


def _sorted_out(
    project: Path, index: int, outputs: Mapping[str, object], to_disk: Collection[str]
) -> tuple[dict[str, object], dict[str, str]]:
    values: dict[str, object] = {}
    files: dict[str, str] = {}
    for name, value in outputs.items():
        is_number = isinstance(value, bool | int | float | np.generic | np.ndarray)
        if isinstance(value, Reference) and value.folder in (None, project):  # of an earlier attempt
            files[name] = value.path
        elif is_object(value) or isinstance(value, Reference) or (name in to_disk and is_number):
            files[name] = store_object(project, name, index, value).path
        else:
            cells.written(value, f"The result of row {index}, {name!r},")
            values[name] = plain(value)
    return values, files


def result_rows(project_dir: str | Path) -> set[int]:
    """The rows whose results wait to be collected, by the names of the files alone."""
    folder = Path(project_dir).absolute() / RESULTS_FOLDER
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return set()
    return {
        int(stem)
        for stem, dot, suffix in (name.partition(".") for name in names)
        if suffix == "json" and stem.isdecimal()
    }


def read_results(project_dir: str | Path) -> Results:
    """Read the results that wait to be collected; a file that is none is a problem of its own."""
    found: dict[int, Result] = {}
    problems: dict[str, str] = {}
    for path in sorted(_result_files(project_dir)):
        try:
            result = _read(path)
        except (ConfigError, OSError, ValueError) as exc:
            problems[str(path)] = str(exc)
        else:
            found[result.index] = result
    return Results(dict(sorted(found.items())), problems)


def _result_files(project_dir: str | Path) -> Iterator[Path]:
    return (Path(project_dir).absolute() / RESULTS_FOLDER).glob("[!.]*.json")


def _read(path: Path) -> Result:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (RecursionError, ValueError) as exc:
        raise ConfigError(f"{path} is no JSON, so no result: {exc}.") from exc
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ConfigError(f"{path} is no result of an experiment.")
    if path.name != f"{content.get('index')}.json":
        raise ConfigError(f"{path} is the result of row {content.get('index')!r}.")
    values, files = content.get("outputs"), content.get("files")
    if not isinstance(values, dict) or not isinstance(files, dict):
        raise ConfigError(f"{path} has no outputs.")
    for name, value in values.items():
        cells.written(value, f"{path}, {name!r},")
    status = JobStatus.of(content.get("status"), f"{path}: ")
    if status not in (JobStatus.FINISHED, JobStatus.ERROR):
        raise ConfigError(f"{path} says {status.value!r}; a result is finished or an error.")
    failure = Failure.from_dict(content, str(path)) if status is JobStatus.ERROR else None
    outputs = {**values, **{name: Reference(str(file)) for name, file in files.items()}}
    times = (content.get("started"), content.get("ended"), content.get("host"))
    return Result(content["index"], status, outputs, failure, *times)


@dataclass(frozen=True)
class Collected:
    """What `collect_results` did."""

    rows: tuple[int, ...]
    """The rows whose results are in the table now."""

    problems: dict[str, str]
    """What is wrong with a file whose result was not collected, by path."""


def collect_results(project_dir: str | Path, *, cleanup: bool = True) -> Collected:
    """Merge the results of single rows into the table, then remove their files.

    Killed at any moment and called again, it ends in the same table. A file that is no result is reported, logged as
    a warning and set aside under the ending ``.invalid``, so that its experiment is open again; one whose row does
    not exist is reported and left alone. Neither keeps another result back.

    Raises
    ------
    ConfigError
        The table itself cannot be read.
    """
    data_folder(project_dir)
    if not any(_result_files(project_dir)):
        return Collected((), {})
    merge = _Merge.of(project_dir)  # without the lock: others wait only while files are replaced
    with locked(project_dir) as folder:
        if merge.version != current_version(folder):
            merge = _Merge.of(project_dir)
        if merge.results:
            replace_locked(folder, table_texts(merge.table, folder))
        if cleanup:
            merge.remove_files(project_dir)
    for problem in merge.problems.values():
        logger.warning("A result was not collected: %s", problem)
    return Collected(tuple(result.index for result in merge.results), merge.problems)


@dataclass(frozen=True)
class _Merge:
    version: Version
    table: Table
    results: list[Result]
    invalid: list[str]
    """Files that are no results."""

    problems: dict[str, str]

    @classmethod
    def of(cls, project_dir: str | Path) -> _Merge:
        stored = read_table(project_dir)  # before the results, so that an older version is noticed
        results = read_results(project_dir)
        known = set(stored.table.numbers())
        problems = dict(results.problems)
        for index in results.found.keys() - known:
            path = result_path(project_dir, index)
            problems[str(path)] = f"{path} is the result of row {index}, which the table does not have. Delete it."
        found = [result for result in results.found.values() if result.index in known]
        return cls(stored.version, _merged(stored.table, found), found, list(results.problems), problems)

    def remove_files(self, project_dir: str | Path) -> None:
        for path in map(Path, self.invalid):
            path.replace(path.with_name(f"{path.name}.invalid"))
        for result in self.results:
            result_path(project_dir, result.index).unlink(missing_ok=True)


def _merged(table: Table, results: Sequence[Result]) -> Table:
    index = [int(row) for row in table.inputs.index]
    position = {row: at for at, row in enumerate(index)}
    columns = {str(name): list(table.outputs[name]) for name in table.outputs.columns}
    jobs, failures, domain = list(table.jobs), dict(table.failures), table.domain.copy()
    for result in results:
        at = position[result.index]
        for values in columns.values():  # of an earlier attempt
            values[at] = None
        for name, value in result.outputs.items():
            columns.setdefault(name, [None] * len(index))[at] = value
            if isinstance(value, Reference):
                domain.output_space[name] = Parameter(to_disk=True)
        jobs[at] = result.status.value
        failures.pop(result.index, None)
        if result.failure is not None:
            failures[result.index] = result.failure
    return Table(domain, table.inputs, frame(index, columns), series(jobs, index), failures).checked()
