"""The table of experiments on disk: ``experiment_data/{domain.json, input.csv, output.csv, jobs.csv}``.

The files belong together, but a process can be killed between two of them. So a new version is first written
whole into a folder of its own, ``.curator-next``: the rename that gives it this name is the moment from which
the new version counts. Then its files replace the old ones, and whoever comes next finishes this if a kill
interrupts it. Readers take no lock: they read a file in ``.curator-next`` in place of the old one, and begin
again if a file was replaced meanwhile.

References
----------
f3dasm 2.4 reads and writes the four files. Why an experiment failed is kept in ``failures.json``, which it ignores.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from curator_core.errors import ConfigError, ExperimentsNotFoundError, WorkflowError
from curator_core.experiments import typed_csv
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import Parameter
from curator_core.experiments.failure import Failure
from curator_core.experiments.reading import read_regular
from curator_core.experiments.references import DATA_FOLDER, Reference
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.foreign_lock import foreign_lock_held
from curator_core.experiments.table import Table, frame, require_pandas, series
from curator_core.storage.atomic import publish_directory, remove, remove_leftovers, temporary_sibling
from curator_core.storage.disk import make_folder, writing
from curator_core.storage.locks import exclusive_lock

DOMAIN, INPUT, OUTPUT, JOBS, FAILURES = "domain.json", "input.csv", "output.csv", "jobs.csv", "failures.json"
MADE_BY = ".curator-made-by"
FILES = (DOMAIN, INPUT, OUTPUT, JOBS, FAILURES, MADE_BY)
_NEXT = ".curator-next"
_LOCK = ".curator-lock"
_ATTEMPTS = 100
_LOCK_TIMEOUT_S = 60.0

Version = tuple[tuple[int, int, int] | None, ...]
"""Inode, time and size of each file: what changes when the table does."""


@dataclass(frozen=True)
class StoredTable:
    """A table as it was on disk at one moment."""

    table: Table
    version: Version


def data_folder(project_dir: str | Path) -> Path:
    """The folder of a project's table.

    Raises
    ------
    ExperimentsNotFoundError
        There is none.
    """
    folder = Path(project_dir).absolute() / DATA_FOLDER
    if not folder.is_dir():
        what = f"has no folder {DATA_FOLDER!r}" if folder.parent.is_dir() else "does not exist"
        raise ExperimentsNotFoundError(
            f"{folder.parent} {what}: no experiments are stored there. Give the folder that store() was given."
        )
    return folder


@contextlib.contextmanager
def locked(project_dir: str | Path, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[Path]:
    """Hold the lock of a project's table, with whatever a killed process left unfinished put right.

    Yields
    ------
    Path
        The folder of the table.
    """
    folder = data_folder(project_dir)
    mine = exclusive_lock(folder / _LOCK, timeout_s=timeout_s, holder="curator experiments")
    with mine, foreign_lock_held(folder, is_shared=False, timeout_s=timeout_s):
        _recover(folder)
        yield folder


def read_table(project_dir: str | Path) -> StoredTable:
    """Read a table; nothing is written, and no lock is needed.

    Raises
    ------
    ExperimentsNotFoundError
        There is no table.
    ConfigError
        The files do not fit together; the message names file and row.
    """
    require_pandas()
    folder = data_folder(project_dir)
    for _ in range(_ATTEMPTS):
        with foreign_lock_held(folder, is_shared=True, timeout_s=_LOCK_TIMEOUT_S):  # f3dasm does not write at once
            contents, version = _read(folder)
            is_whole = version == current_version(folder)
        if is_whole:
            return StoredTable(_table(contents, folder), version)
    raise WorkflowError(f"{folder} changed {_ATTEMPTS} times while it was read. Wait until its writers are done.")


def wait_for_table(project_dir: str | Path, *, timeout_s: float) -> None:
    """Wait until there is a table, or for `timeout_s` seconds; a network file system has no event for it."""
    deadline = time.monotonic() + timeout_s
    folder = Path(project_dir).absolute() / DATA_FOLDER
    while not (folder.is_dir() and current_version(folder)[3]) and time.monotonic() < deadline:
        time.sleep(min(0.2, timeout_s))


def read_jobs(project_dir: str | Path) -> dict[int, JobStatus]:
    """The job status of every row, without reading inputs and outputs."""
    folder = data_folder(project_dir)
    with foreign_lock_held(folder, is_shared=True, timeout_s=_LOCK_TIMEOUT_S):
        content = _content(folder, JOBS, _pending(folder))
    return _jobs(_text(content, folder / JOBS), folder / JOBS)


def made_by(project_dir: str | Path) -> str | None:
    """The `maker` of the last `write_table` that had one, if there is a table."""
    try:
        folder = data_folder(project_dir)
        content = _content(folder, MADE_BY, _pending(folder))
    except ExperimentsNotFoundError:
        return None
    return None if content is None else content.decode()


def write_table(
    project_dir: str | Path, table: Table, *, expected: Version | None = None, maker: str | None = None
) -> Version:
    """Replace the table on disk by another, all files at once.

    Parameters
    ----------
    expected
        The version that `table` was made from.
    maker
        Identifies the operation that made it, for `made_by`: a step that was killed after it had stored its table
        is not carried out again.

    Raises
    ------
    WorkflowError
        The table on disk is not the expected version: another process stored its own meanwhile.
    """
    folder = Path(project_dir).absolute() / DATA_FOLDER
    make_folder(folder)
    texts = table_texts(table, folder) | ({} if maker is None else {MADE_BY: maker})
    with locked(project_dir):
        return replace_locked(folder, texts, expected=expected)


def replace_locked(folder: Path, texts: Mapping[str, str], *, expected: Version | None = None) -> Version:
    """What `write_table` does, for those who hold the lock."""
    if expected is not None and expected != current_version(folder):
        raise WorkflowError(
            f"{folder} was changed by another process since this table was read. Read it again with "
            "from_file() and repeat the change, or store it in another folder."
        )
    remove_leftovers(folder / _NEXT)
    staged = temporary_sibling(folder / _NEXT)
    with writing(folder):
        try:
            staged.mkdir()
            for name, text in texts.items():
                (staged / name).write_bytes(text.encode())
            publish_directory(staged, folder / _NEXT)
        finally:
            remove(staged)
        _move_into_place(folder)
    return current_version(folder)


def current_version(folder: Path) -> Version:
    """The version of the table that a reader would read now."""
    pending = _pending(folder)
    return tuple(_identity_of(folder, name, pending) for name in FILES)


def _identity_of(folder: Path, name: str, pending: frozenset[str]) -> tuple[int, int, int] | None:
    for place in _places(folder, name, pending):
        with contextlib.suppress(FileNotFoundError):
            return _identity(place.stat())
    return None


def _identity(stat: os.stat_result) -> tuple[int, int, int]:
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def _places(folder: Path, name: str, pending: frozenset[str]) -> tuple[Path, ...]:
    return (folder / _NEXT / name, folder / name) if name in pending else (folder / name,)


def _pending(folder: Path) -> frozenset[str]:
    """The files of a new version that have not replaced their predecessors yet.

    None if another program, which does not know of them, has written a whole version since.
    """
    # Listing the folder, not asking for the name: a network file system may remember that it was not there.
    if _NEXT not in {path.name for path in folder.iterdir()}:
        return frozenset()
    try:
        names = frozenset(path.name for path in (folder / _NEXT).iterdir()) & frozenset(FILES)
    except FileNotFoundError:
        return frozenset()
    return frozenset() if any(_is_older(folder, name) for name in names) else names


def _is_older(folder: Path, name: str) -> bool:
    try:
        return (folder / _NEXT / name).stat().st_mtime_ns < (folder / name).stat().st_mtime_ns
    except FileNotFoundError:
        return False  # moved, or the first version


def _recover(folder: Path) -> None:
    if _pending(folder):
        _move_into_place(folder)
    else:
        remove(folder / _NEXT)


def _move_into_place(folder: Path) -> None:
    for name in FILES:
        with contextlib.suppress(FileNotFoundError):
            (folder / _NEXT / name).replace(folder / name)
    remove(folder / _NEXT)


def _read(folder: Path) -> tuple[dict[str, bytes], Version]:
    contents, version = {}, []
    pending = _pending(folder)
    for name in FILES:
        identity = None
        for place in _places(folder, name, pending):
            with contextlib.suppress(FileNotFoundError):
                contents[name], status = read_regular(place)
                identity = _identity(status)
                break
        version.append(identity)
    return contents, tuple(version)


def _content(folder: Path, name: str, pending: frozenset[str]) -> bytes | None:
    for place in _places(folder, name, pending):
        with contextlib.suppress(FileNotFoundError):
            return read_regular(place)[0]
    return None


def _text(content: bytes | None, path: Path) -> str:
    if content is None:
        raise ExperimentsNotFoundError(
            f"{path} is missing: {path.parent} holds no complete table of experiments. "
            f"It has {', '.join(FILES[:4])}, as f3dasm writes them."
        )
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is no text in UTF-8: {exc}.") from exc


def _table(contents: Mapping[str, bytes], folder: Path) -> Table:
    texts = {name: _text(contents.get(name), folder / name) for name in FILES[:4]}
    domain = Domain.from_json(texts[DOMAIN], str(folder / DOMAIN))
    inputs, outputs = (typed_csv.parse(texts[name], str(folder / name)) for name in (INPUT, OUTPUT))
    jobs = _jobs(texts[JOBS], folder / JOBS)
    for name, index in ((OUTPUT, outputs.index), (JOBS, list(jobs))):
        _check_same_rows(inputs.index, index, folder, name)
    order = {row: at for at, row in enumerate(outputs.index)}
    outputs = replace(outputs, index=inputs.index, rows=[outputs.rows[order[row]] for row in inputs.index])
    table = Table(
        domain,
        frame(inputs.index, _columns(inputs, domain.input_space)),
        frame(outputs.index, _columns(outputs, domain.output_space)),
        series([jobs[row] for row in inputs.index], inputs.index),
        _failures(contents.get(FAILURES), folder / FAILURES, jobs),
    )
    found = table.checked(lambda space: str(folder / f"{space}.csv")).located(folder.parent)
    for name, grid, space in ((INPUT, inputs, domain.input_space), (OUTPUT, outputs, domain.output_space)):
        _check_columns(grid, space, folder / name)
    return found


def _columns(grid: typed_csv.Grid, space: Mapping[str, Parameter]) -> dict[str, list[object]]:
    plain = Parameter()
    return {
        name: typed_csv.values([row[at] for row in grid.rows], space.get(name, plain), is_typed=grid.is_typed)
        for at, name in enumerate(grid.names)
    }


def _check_columns(grid: typed_csv.Grid, space: Mapping[str, Parameter], path: Path) -> None:
    """Whether all columns that `table_texts` wrote are there still; f3dasm writes none without a value."""
    missing = [name for name in space if name not in grid.names]
    if grid.is_typed and grid.names and grid.index and missing:
        raise ConfigError(
            f"{path} lost its column {missing[0]!r}, which {DOMAIN} beside it has. Put it back, with empty cells if "
            f"there are no values, or take it out of {DOMAIN}."
        )


def _check_same_rows(expected: list[int], found: list[int], folder: Path, name: str) -> None:
    for rows, has, lacks in (
        (set(expected) - set(found), INPUT, name),
        (set(found) - set(expected), name, INPUT),
    ):
        if rows:
            raise ConfigError(
                f"{folder}: {has} has the row {min(rows)}, which {lacks} does not ({len(rows)} such). "
                "Every row must be in input.csv, output.csv and jobs.csv."
            )


def _jobs(text: str, path: Path) -> dict[int, JobStatus]:
    grid = typed_csv.parse(text, str(path))
    if len(grid.names) != 1:
        raise ConfigError(f"{path} has {len(grid.names)} columns beside the row number; it should have one status.")
    return {
        row: JobStatus.of(found[0].text, f"{path}, row {row}: ")
        for row, found in zip(grid.index, grid.rows, strict=True)
    }


def _failures(content: bytes | None, path: Path, jobs: Mapping[int, JobStatus]) -> dict[int, Failure]:
    if content is None:
        return {}
    try:
        entries = {int(row): one for row, one in json.loads(content).items()}
    except (RecursionError, ValueError, AttributeError) as exc:
        raise ConfigError(f"{path} is no record of failures: {exc}. Delete it if you do not need the reasons.") from exc
    failed = {row for row, status in jobs.items() if status is JobStatus.ERROR}
    return {row: Failure.from_dict(entries[row], f"{path}, row {row}") for row in entries if row in failed}


def table_texts(table: Table, folder: Path) -> dict[str, str]:
    """Content of each file of a table."""
    index = [int(row) for row in table.inputs.index]
    texts = {DOMAIN: table.domain.to_json()}
    nothing = [None] * len(index)
    for name, data, space in (
        (INPUT, table.inputs, table.domain.input_space),
        (OUTPUT, table.outputs, table.domain.output_space),
    ):
        names = list(dict.fromkeys([*map(str, data.columns), *(space if index else ())]))
        columns = [
            [
                typed_csv.written(_path_or_value(value), f"{name}, row {row}, {column!r}")
                for row, value in zip(index, data.get(column, nothing), strict=True)
            ]
            for column in names
        ]
        texts[name] = typed_csv.lines(names, index, zip(*columns, strict=True) if columns else ([] for _ in index))
    texts[JOBS] = "\n".join(
        [",0", *(f"{row},{status.upper()}" for row, status in zip(index, table.jobs, strict=True)), ""]
    )
    reasons = {
        str(row): failure.to_dict()
        for row, failure in table.failures.items()
        if table.jobs.get(row) == JobStatus.ERROR.value
    }
    if reasons or (folder / FAILURES).exists():
        texts[FAILURES] = json.dumps(reasons, indent=1)
    return texts


def _path_or_value(value: object) -> object:
    return str(value) if isinstance(value, Reference) else value
