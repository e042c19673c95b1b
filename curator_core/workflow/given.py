"""What users give for a table of experiments, in any of its forms, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from curator_core.errors import ConfigError
from curator_core.workflow.domain import Domain
from curator_core.workflow.parameters import plain
from curator_core.workflow.samples import ExperimentSample, JobStatus
from curator_core.workflow.table import Table, frame_of_rows, require_pandas, series

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Rows = pd.DataFrame | NDArray[np.generic] | Sequence[Mapping[str, object]]


def table_of_data(
    domain: Domain | None, input_data: Rows | None, output_data: Rows | None, jobs: Sequence[str] | None
) -> Table:
    """A table of inputs and outputs, whose rows are numbered from 0.

    Raises
    ------
    ConfigError
        A value is not of its parameter's kind, or the arguments differ in their number of rows.
    """
    require_pandas()
    names = domain or Domain()
    inputs = _rows(input_data, names.input_names, "x", "input_data")
    outputs = _rows(output_data, names.output_names, "y", "output_data")
    n = max(len(inputs), len(outputs))
    inputs, outputs = (rows or [{} for _ in range(n)] for rows in (inputs, outputs))
    statuses = [JobStatus.of(job) for job in jobs] if jobs is not None else _by_default(outputs)
    if not len(inputs) == len(outputs) == len(statuses):
        raise ConfigError(f"{len(inputs)} rows of inputs, {len(outputs)} of outputs, {len(statuses)} job statuses.")
    index = list(range(n))
    known = domain.copy() if domain else Domain.from_data(inputs, outputs)
    return Table(known, frame_of_rows(index, inputs), frame_of_rows(index, outputs), series(statuses, index)).checked()


def table_of_samples(samples: Mapping[int, ExperimentSample], domain: Domain | None) -> Table:
    """A table of records by row number."""
    require_pandas()
    index = list(samples)
    inputs = [sample.raw("input") for sample in samples.values()]
    outputs = [sample.raw("output") for sample in samples.values()]
    known = domain.copy() if domain else Domain.from_data(inputs, outputs)
    for sample in samples.values():
        sample.declare(known)
    jobs = series([sample.job_status for sample in samples.values()], index)
    return Table(known, frame_of_rows(index, inputs), frame_of_rows(index, outputs), jobs).checked()


def _rows(data: Rows | None, names: Sequence[str], letter: str, what: str) -> list[dict[str, object]]:
    if data is None:
        return []
    if isinstance(data, np.ndarray):
        table = data.reshape(-1, 1) if data.ndim == 1 else data
        n = table.shape[1]
        columns = names or ([letter] if (letter, n) == ("y", 1) else [f"{letter}{i}" for i in range(n)])
        if table.ndim != 2 or n != len(columns):  # noqa: PLR2004 - a table
            raise ConfigError(
                f"{what} has the shape {data.shape}; the domain names {len(columns)}: {', '.join(columns)}."
            )
        return [dict(zip(columns, map(plain, row), strict=True)) for row in table]
    if isinstance(data, Sequence):
        return [{str(name): value for name, value in row.items()} for row in data]
    listed = {str(name): data[name].tolist() for name in data.columns}
    return [{name: _missing_as_none(values[i]) for name, values in listed.items()} for i in range(len(data))]


def _missing_as_none(value: object) -> object:
    import pandas as pd

    return None if value is pd.NA or value is pd.NaT else value


def _by_default(outputs: Sequence[Mapping[str, object]]) -> list[JobStatus]:
    return [JobStatus.FINISHED if any(v is not None for v in row.values()) else JobStatus.OPEN for row in outputs]
