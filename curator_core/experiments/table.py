"""The table of experiments in memory: frames whose cells are Python objects, so that no value changes its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import Parameter, plain
from curator_core.experiments.failure import Failure
from curator_core.experiments.references import Reference, is_object, store_object
from curator_core.experiments.sample import ExperimentSample, JobStatus
from curator_core.experiments.typed_csv import same

if TYPE_CHECKING:
    import pandas as pd

_LAST_INTEGER = 2**53
"""Beyond which a float does not hold every integer."""


def require_pandas() -> None:
    """Raise `MissingDependencyError` where pandas is not installed."""
    try:
        import pandas as pd  # noqa: F401
    except ImportError as exc:
        raise MissingDependencyError.of("pandas", "workflow", "Experiment data") from exc


@dataclass
class Table:
    """Everything that is known about some experiments."""

    domain: Domain
    inputs: pd.DataFrame
    """One row per experiment, cells of dtype object, ``None`` where there is no value."""

    outputs: pd.DataFrame
    jobs: pd.Series[str]
    """Job status per row, in lower case."""

    failures: dict[int, Failure] = field(default_factory=dict)

    def numbers(self) -> list[int]:
        """The row numbers, in order."""
        return [int(index) for index in self.inputs.index]

    def is_same(self, other: Table) -> bool:
        """Whether rows, values, statuses and domains are the same."""
        if self.numbers() != other.numbers() or self.domain != other.domain or list(self.jobs) != list(other.jobs):
            return False
        return _same_frame(self.inputs, other.inputs) and _same_frame(self.outputs, other.outputs)

    def rows(self, index: Sequence[int]) -> Table:
        """A table of these rows alone."""
        kept = {i: self.failures[i] for i in index if i in self.failures}
        picked = [frame.loc[list(index)].copy() for frame in (self.inputs, self.outputs)]
        return Table(self.domain.copy(), picked[0], picked[1], self.jobs.loc[list(index)].copy(), kept)

    def copy(self) -> Table:
        """A table of its own with the same values."""
        frames = (self.inputs.copy(), self.outputs.copy(), self.jobs.copy())
        return Table(self.domain.copy(), *frames, dict(self.failures))

    def renumbered(self, start: int) -> Table:
        """The same rows under the numbers from `start`."""
        new = {old: start + i for i, old in enumerate(self.inputs.index)}
        numbers = list(new.values())
        frames = (self.inputs.set_axis(numbers), self.outputs.set_axis(numbers), self.jobs.set_axis(numbers))
        return Table(self.domain, *frames, {new[i]: failure for i, failure in self.failures.items()})

    def followed_by(self, other: Table) -> Table:
        """The rows of both; no row number may be in both."""
        index = [*self.inputs.index, *other.inputs.index]
        jobs = series([*self.jobs, *other.jobs], index)
        inputs, outputs = (
            frame(
                index,
                {
                    str(name): [*_cells(first, name), *_cells(second, name)]
                    for name in dict.fromkeys([*first.columns, *second.columns])
                },
            )
            for first, second in ((self.inputs, other.inputs), (self.outputs, other.outputs))
        )
        return Table(self.domain + other.domain, inputs, outputs, jobs, {**self.failures, **other.failures})

    def put(self, index: int, sample: ExperimentSample) -> None:
        """Put a record in place of a row, in place."""
        domain = self.domain.copy()
        sample.declare(domain)
        rows = []
        for data, space, values in (
            (self.inputs, domain.input_space, sample.raw("input")),
            (self.outputs, domain.output_space, sample.raw("output")),
        ):
            where = "input data" if data is self.inputs else "output data"
            _check_names(values, space, where)
            for name, value in values.items():
                if _is_for_a_file(space[name], value):
                    space[name] = _in_files(space[name], data.get(name, ()), where, name)
            rows.append((data, {name: _accepted(space[name], v, where, index, name) for name, v in values.items()}))
        for data, row in rows:
            _set_row(data, index, row)
        self.jobs.at[index] = sample.job_status.value  # noqa: PD008 - one value, often
        self.failures.pop(index, None)
        self.domain = domain

    def fail(self, index: int, failure: Failure) -> None:
        """Mark a row as an error, in place."""
        self.jobs.at[index] = JobStatus.ERROR.value  # noqa: PD008 - one value, often
        self.failures[index] = failure

    def store_objects(self, project_dir: Path) -> None:
        """Write values that belong into files of their own, and hold their places instead."""

        def stored(name: str, index: int, value: object) -> object:
            is_stored = value is None or (isinstance(value, Reference) and value.folder in (None, project_dir))
            return value if is_stored else store_object(project_dir, name, index, value)

        self.inputs = _mapped(self.inputs, stored, self.domain.input_space)
        self.outputs = _mapped(self.outputs, stored, self.domain.output_space)

    def located(self, project_dir: Path) -> Table:
        """The table with files of values found in this folder, wherever it is stored next."""

        def found(_name: str, _index: int, value: object) -> object:
            if isinstance(value, Reference) and value.folder is None:
                return replace(value, folder=project_dir)
            return value

        inputs = _mapped(self.inputs, found, self.domain.input_space)
        return replace(self, inputs=inputs, outputs=_mapped(self.outputs, found, self.domain.output_space))

    def checked(self, where: Callable[[str], str] = lambda space: f"{space} data") -> Table:
        """The table with every value as its parameter holds it.

        Parameters
        ----------
        where
            Name of the inputs (``"input"``) and outputs (``"output"``) in errors.

        Raises
        ------
        ConfigError
            A value is not of its parameter's kind, or belongs to no parameter.
        """
        _check_names(self.inputs.columns, self.domain.input_space, where("input"))
        domain = self.domain.copy()
        for name in self.outputs.columns:
            domain.add_output(name, exist_ok=True)
        for data, space, what in (
            (self.inputs, domain.input_space, "input"),
            (self.outputs, domain.output_space, "output"),
        ):
            for name in map(str, data.columns):
                if any(_is_for_a_file(space[name], value) for value in data[name]):
                    space[name] = _in_files(space[name], data[name], where(what), name)
        inputs = _accepted_frame(self.inputs, domain.input_space, where("input"))
        outputs = _accepted_frame(self.outputs, domain.output_space, where("output"))
        return replace(self, domain=domain, inputs=inputs, outputs=outputs)


def series(statuses: Iterable[str], index: Sequence[int]) -> pd.Series[str]:
    """Job statuses as a column."""
    import pandas as pd

    return pd.Series(
        [str(JobStatus(status)) for status in statuses], index=pd.Index(np.asarray(index, dtype=np.int64)), dtype=object
    )


def frame(index: Sequence[int], columns: Mapping[str, Sequence[object]], *, is_inferred: bool = False) -> pd.DataFrame:
    """Columns of Python objects under row numbers; of one type where values allow it, if `is_inferred`."""
    import pandas as pd

    numbers = pd.Index(np.asarray(index, dtype=np.int64))
    names = pd.Index(list(columns), dtype=object)
    if is_inferred:
        found = {name: _unrounded(list(values)) for name, values in columns.items()}
        return pd.DataFrame(found, index=numbers, columns=names)
    arrays = {name: np.fromiter(values, dtype=object, count=len(index)) for name, values in columns.items()}
    return pd.DataFrame(arrays, index=numbers, columns=names, dtype=object)


def _unrounded(values: list[object]) -> object:
    """The values of a column, not to be turned into floats where integers among them would become others."""
    numbers = [value for value in values if isinstance(value, int) and abs(value) > _LAST_INTEGER]
    if numbers and not all(isinstance(value, int) for value in values):
        return np.fromiter(values, dtype=object, count=len(values))
    return values


def frame_of_rows(index: Sequence[int], rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Rows as mappings under row numbers."""
    names = dict.fromkeys(name for row in rows for name in row)
    return frame(index, {str(name): [row.get(name) for row in rows] for name in names})


def row_of(table: pd.DataFrame, index: int) -> dict[str, object]:
    """The values of one row by name, without those that are missing."""
    row = table.loc[index]
    found = ((str(name), row[name]) for name in table.columns)
    return {name: value for name, value in found if value is not None}


def inferred(table: pd.DataFrame, project_dir: Path | None) -> pd.DataFrame:
    """A frame of its own with columns of one type where values allow it.

    Values in files of their own are read from `project_dir`, as far as they can be, or stay paths.
    """

    def shown(value: object) -> object:
        if not isinstance(value, Reference):
            return value
        return str(value) if project_dir is None else value.shown(project_dir)

    columns = {str(name): [shown(value) for value in table[name]] for name in table.columns}
    return frame([int(index) for index in table.index], columns, is_inferred=True)


def _set_row(table: pd.DataFrame, index: int, values: Mapping[str, object]) -> None:
    for name in values:
        if name not in table.columns:
            table[name] = np.full(len(table), None, dtype=object)
    for name in table.columns:
        value = values.get(name)
        if isinstance(value, np.ndarray):  # of which `at` takes the only element, if there is one
            table.loc[[index], name] = np.fromiter([value], dtype=object, count=1)
        else:
            table.at[index, name] = value  # type: ignore[assignment]  # noqa: PD008 - `loc` spreads a list


def _cells(table: pd.DataFrame, name: str) -> list[object]:
    return list(table[name]) if name in table.columns else [None] * len(table)


def _mapped(
    table: pd.DataFrame, change: Callable[[str, int, object], object], space: Mapping[str, Parameter]
) -> pd.DataFrame:
    """A frame with other values of those parameters whose values are files of their own."""
    index = [int(row) for row in table.index]
    columns: dict[str, list[object]] = {str(name): list(table[name]) for name in table.columns}
    for name, values in columns.items():
        if space[name].to_disk:
            columns[name] = [change(name, row, value) for row, value in zip(index, values, strict=True)]
    return frame(index, columns)


def _check_names(names: Iterable[str], space: Mapping[str, Parameter], where: str) -> None:
    for name in names:
        if name not in space:
            known = ", ".join(space) or "(none)"
            raise ConfigError(f"{where} has the column {name!r}, which the domain does not: {known}.")


def _is_for_a_file(parameter: Parameter, value: object) -> bool:
    return not parameter.to_disk and type(parameter) is Parameter and is_object(value)


def _in_files(parameter: Parameter, values: Iterable[object], where: str, name: str) -> Parameter:
    """The parameter with its values in files of their own, as arrays have to be."""
    if any(isinstance(value, str) for value in values):
        raise ConfigError(f"{where} has both texts and arrays under {name!r}; give one of them another name.")
    return replace(parameter, to_disk=True)


def _accepted_frame(table: pd.DataFrame, space: Mapping[str, Parameter], where: str) -> pd.DataFrame:
    index = [int(row) for row in table.index]
    columns = {
        name: [_accepted(space[name], value, where, row, name) for row, value in zip(index, table[name], strict=True)]
        for name in map(str, table.columns)
    }
    return frame(index, columns)


def _accepted(parameter: Parameter, value: object, where: str, index: int, name: str) -> object:
    if value is None or isinstance(value, Reference):
        return value
    if parameter.to_disk:
        return Reference(value) if isinstance(value, str) else value
    try:
        return parameter.accept(plain(value))
    except ConfigError as exc:
        raise ConfigError(f"{where}, row {index}, {name!r}: {exc}.") from exc


def _same_frame(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    nothing: list[object] = [None] * len(first)
    return all(
        same(one, two)
        for name in {*first.columns, *second.columns}
        for one, two in zip(first.get(name, nothing), second.get(name, nothing), strict=True)
    )
