"""Results of single experiments as files, so that workers never write the table; one process collects them.

``experiment_results/<row>.json`` is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from curator_core.errors import ConfigError
from curator_core.experiments import typed_csv
from curator_core.experiments.design.parameters import plain
from curator_core.experiments.failure import Failure
from curator_core.experiments.reading import read_regular
from curator_core.experiments.references import FOREIGN_FOLDER, Reference, is_object, store_object
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.files import (
    data_folder,
)
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import make_folder

RESULTS_FOLDER = "experiment_results"
_FORMAT = "curator-result-1"


def check_outputs(outputs: Mapping[str, object], path: Path) -> None:
    """Whether a table can keep the outputs of the result in `path`, so that none keeps others from being collected.

    Raises
    ------
    ConfigError
        It cannot, or a file leads out of the project.
    """
    for name, value in outputs.items():
        if not name:
            raise ConfigError(f"{path} has an output without a name.")
        typed_csv.quoted(name, f"{path}: an output's name")
        if isinstance(value, Reference):
            value.file(path.parent.parent)
        else:
            typed_csv.written(value, f"{path}, {name!r},")


@dataclass(frozen=True)
class Result:
    """The outcome of one experiment."""

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
    """Write the outcome of row `index`: its outputs, or the error that ended it.

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
    make_folder(target.parent)
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
            typed_csv.written(value, f"The result of row {index}, {name!r},")
            values[name] = plain(value)
    return values, files


def result_rows(project_dir: str | Path) -> set[int]:
    """The rows whose results wait to be collected, by the names of the files alone; those of f3dasm's tasks, too."""
    names: list[str] = []
    for folder in (RESULTS_FOLDER, FOREIGN_FOLDER):
        with contextlib.suppress(FileNotFoundError):
            names += [path.name for path in (Path(project_dir).absolute() / folder).iterdir()]
    return {
        int(stem)
        for stem, dot, suffix in (name.partition(".") for name in names)
        if suffix == "json" and stem.isdecimal()
    }


def read_results(project_dir: str | Path) -> Results:
    """Read the results that wait to be collected; a file that is none is a problem of its own."""
    found: dict[int, Result] = {}
    problems: dict[str, str] = {}
    for path in sorted(result_files(project_dir)):
        try:
            result = _read(path)
        except (ConfigError, OSError, ValueError) as exc:
            problems[str(path)] = str(exc)
        else:
            found[result.index] = result
    return Results(dict(sorted(found.items())), problems)


def read_result(project_dir: str | Path, index: int) -> Result | None:
    """The result of row `index` that waits to be collected; ``None`` where there is no valid one."""
    try:
        return _read(result_path(project_dir, index))
    except (ConfigError, OSError, ValueError):  # `collect_results` reports it
        return None


def result_files(project_dir: str | Path) -> Iterator[Path]:
    """The results that wait to be collected."""
    return (Path(project_dir).absolute() / RESULTS_FOLDER).glob("[!.]*.json")


def _read(path: Path) -> Result:
    try:
        content = json.loads(read_regular(path)[0])
    except (RecursionError, ValueError) as exc:
        raise ConfigError(f"{path} is no JSON, so no result: {exc}.") from exc
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ConfigError(f"{path} is no result of an experiment.")
    if path.name != f"{content.get('index')}.json":
        raise ConfigError(f"{path} is the result of row {content.get('index')!r}.")
    values, files = content.get("outputs"), content.get("files")
    if not isinstance(values, dict) or not isinstance(files, dict):
        raise ConfigError(f"{path} has no outputs.")
    check_outputs({**values, **{name: Reference(str(file)) for name, file in files.items()}}, path)
    status = JobStatus.of(content.get("status"), f"{path}: ")
    if status not in (JobStatus.FINISHED, JobStatus.ERROR):
        raise ConfigError(f"{path} says {status.value!r}; a result is finished or an error.")
    failure = Failure.from_dict(content, str(path)) if status is JobStatus.ERROR else None
    outputs = {**values, **{name: Reference(str(file)) for name, file in files.items()}}
    times = (content.get("started"), content.get("ended"), content.get("host"))
    return Result(content["index"], status, outputs, failure, *times)
