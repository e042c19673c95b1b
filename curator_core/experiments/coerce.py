"""What users give for a table of experiments, in any of its forms, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from curator_core.errors import ConfigError, ExperimentsNotFoundError
from curator_core.experiments import typed_csv
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import Parameter, plain
from curator_core.experiments.reading import read_regular
from curator_core.experiments.sample import ExperimentSample, JobStatus
from curator_core.experiments.table import Table, frame_of_rows, require_pandas, series

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Data = pd.DataFrame | NDArray[np.generic] | Sequence[Mapping[str, object]] | str | Path


_END = 2**63


def table_of_data(
    domain: Domain | None, input_data: Data | None, output_data: Data | None, jobs: Sequence[str] | str | Path | None
) -> Table:
    """A table of inputs and outputs, whose rows are numbered from 0.

    Raises
    ------
    ConfigError
        A value is not of its parameter's kind, or the arguments differ in their number of rows.
    """
    require_pandas()
    _check_same_index([one for one in (input_data, output_data, jobs) if isinstance(one, str | Path)])
    names = domain or Domain()
    inputs = _rows(input_data, names.input_space, "x", "input_data")
    outputs = _rows(output_data, names.output_space, "y", "output_data")
    n = max(len(inputs), len(outputs))
    inputs, outputs = (rows or [{} for _ in range(n)] for rows in (inputs, outputs))
    if isinstance(jobs, str | Path):
        jobs = [str(next(iter(row.values()), "")) for row in _rows(jobs, {}, "", "jobs")]
    statuses = [JobStatus.of(job) for job in jobs] if jobs is not None else _by_default(outputs)
    if not len(inputs) == len(outputs) == len(statuses):
        raise ConfigError(f"{len(inputs)} rows of inputs, {len(outputs)} of outputs, {len(statuses)} job statuses.")
    index = list(range(n))
    known = domain.copy() if domain else Domain.from_data(inputs, outputs)
    return Table(known, frame_of_rows(index, inputs), frame_of_rows(index, outputs), series(statuses, index)).checked()


def table_of_samples(samples: Mapping[int, ExperimentSample], domain: Domain | None) -> Table:
    """A table of records by row number."""
    require_pandas()
    given: object = samples
    if not isinstance(given, Mapping) or not all(isinstance(one, ExperimentSample) for one in samples.values()):
        raise ConfigError(f"A table is made of ExperimentSample by row number, not of {given!r:.80}.")
    index = [_number_of(row) for row in samples]
    inputs = [sample.raw("input") for sample in samples.values()]
    outputs = [sample.raw("output") for sample in samples.values()]
    known = domain.copy() if domain else Domain.from_data(inputs, outputs)
    for sample in samples.values():
        sample.declare(known)
    jobs = series([sample.job_status for sample in samples.values()], index)
    return Table(known, frame_of_rows(index, inputs), frame_of_rows(index, outputs), jobs).checked()


def _number_of(row: object) -> int:
    found = plain(row)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _END:
        raise ConfigError(f"A row's number is an integer from 0, not {row!r}.")
    return found


def domain_of(given: Domain | str | Path | Mapping[str, Any] | None) -> Domain | None:
    """A domain from a file, or a configuration."""
    if given is None or isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        return Domain.from_file(given)
    return Domain.from_yaml(given)


def _check_same_index(paths: Sequence[str | Path]) -> None:
    """Whether rows of several files, which are paired in order, have the same numbers."""
    if paths:
        first, *others = [(path, _grid(path).index) for path in paths]
        for path, index in others:
            if index != first[1]:
                raise ConfigError(f"{path} and {first[0]} number their rows differently.")


def _grid(path: str | Path) -> typed_csv.Grid:
    file = Path(path)
    if file.suffix != ".csv" and not file.is_file():
        file = file.with_name(f"{file.name}.csv")
    try:
        grid = typed_csv.parse(read_regular(file)[0].decode(), str(file))
    except FileNotFoundError as exc:
        raise ExperimentsNotFoundError(f"There is no file {file}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is no text in UTF-8: {exc}.") from exc
    if grid.corner:
        raise ConfigError(
            f"{file} begins with the column {grid.corner!r}, where row numbers without a name are expected. "
            "Read it with pandas, and give the data frame."
        )
    return grid


def _rows(data: Data | None, space: Mapping[str, Parameter], letter: str, what: str) -> list[dict[str, object]]:
    if data is None:
        return []
    if isinstance(data, str | Path):
        return _rows_of_file(data, space)
    if isinstance(data, np.ndarray):
        table = data.reshape(-1, 1) if data.ndim == 1 else data
        if not 1 <= data.ndim <= 2:  # noqa: PLR2004 - a table
            raise ConfigError(f"{what} is an array of the shape {data.shape}; rows and columns are needed.")
        n = table.shape[1]
        columns = list(space) or ([letter] if (letter, n) == ("y", 1) else [f"{letter}{i}" for i in range(n)])
        if n != len(columns):
            raise ConfigError(
                f"{what} has the shape {data.shape}; the domain names {len(columns)}: {', '.join(columns)}."
            )
        return [dict(zip(columns, map(plain, row), strict=True)) for row in table]
    rows: object = data
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        for row in rows:
            _check_labels(list(row), what)
        return [{str(name): value for name, value in row.items()} for row in rows]
    if not hasattr(rows, "columns"):
        raise ConfigError(
            f"{what} is a data frame, an array, a list of mappings or the path of a CSV file, not {rows!r:.80}."
        )
    given = cast("pd.DataFrame", rows)
    _check_labels(given.columns.tolist(), what)
    listed = {str(name): given[name].tolist() for name in given.columns}
    return [{name: _missing_as_none(values[i]) for name, values in listed.items()} for i in range(len(given))]


def _rows_of_file(path: str | Path, space: Mapping[str, Parameter]) -> list[dict[str, object]]:
    grid, plain_one = _grid(path), Parameter()
    columns = {
        name: typed_csv.values([row[at] for row in grid.rows], space.get(name, plain_one), is_typed=grid.is_typed)
        for at, name in enumerate(grid.names)
    }
    return [{name: values[i] for name, values in columns.items()} for i in range(len(grid.rows))]


def _check_labels(labels: Sequence[object], what: str) -> None:
    names = [str(label) for label in labels]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{what} has two values under the name {twice!r}; rename one of the two.")


def _missing_as_none(value: object) -> object:
    """A value of a data frame, which has NaN where there is none."""
    import pandas as pd

    return None if value is pd.NA or value is pd.NaT or _is_nan(value) else value


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN


def _by_default(outputs: Sequence[Mapping[str, object]]) -> list[JobStatus]:
    """Rows with an output are finished; one that is not a number says that there is none yet, as f3dasm has it."""
    has_output = [any(value is not None and not _is_nan(value) for value in row.values()) for row in outputs]
    return [JobStatus.FINISHED if found else JobStatus.OPEN for found in has_output]
