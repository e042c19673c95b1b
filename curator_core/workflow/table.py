"""The table of experiments in memory: frames whose cells are Python objects, so that no value changes its type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.workflow.domain import Domain
from curator_core.workflow.objects import Reference, store_object
from curator_core.workflow.parameters import Parameter, plain
from curator_core.workflow.samples import ExperimentSample, JobStatus

if TYPE_CHECKING:
    import pandas as pd


def require_pandas() -> None:
    """Raise `MissingDependencyError` where pandas is not installed."""
    try:
        import pandas as pd  # noqa: F401
    except ImportError as exc:
        raise MissingDependencyError.of("pandas", "workflow", "Experiment data") from exc


@dataclass(frozen=True)
class Failure:
    """Why an experiment failed."""

    error: str
    """``"ErrorType: message"``."""

    traceback: str = ""
    started: str | None = None
    """ISO 8601, UTC."""

    ended: str | None = None
    host: str | None = None

    @classmethod
    def from_dict(cls, content: object, where: str) -> Failure:
        """Build it from JSON; `where` names the place in errors."""
        if not isinstance(content, Mapping) or not isinstance(content.get("error"), str):
            raise ConfigError(f"{where} is no record of a failure.")
        known = {name: content.get(name) for name in ("error", "traceback", "started", "ended", "host")}
        known["traceback"] = known["traceback"] or ""
        if not all(value is None or isinstance(value, str) for value in known.values()):
            raise ConfigError(f"{where} is no record of a failure.")
        return cls(**known)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, str | None]:
        """What JSON keeps of it."""
        return asdict(self)


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
        row = Table(
            domain,
            frame_of_rows([index], [sample.raw("input")]),
            frame_of_rows([index], [sample.raw("output")]),
            self.jobs,
        ).checked()
        self.domain = row.domain
        for data, new in ((self.inputs, row.inputs), (self.outputs, row.outputs)):
            _set_row(data, index, row_of(new, index))
        self.jobs.loc[[index]] = sample.job_status.value

    def store_objects(self, project_dir: Path) -> None:
        """Write values that belong into files of their own, and hold their places instead."""

        def stored(name: str, index: int, value: object) -> object:
            is_stored = value is None or isinstance(value, Reference)
            return value if is_stored else store_object(project_dir, name, index, value)

        for data, space in ((self.inputs, self.domain.input_space), (self.outputs, self.domain.output_space)):
            for name in [str(column) for column in data.columns if space[column].to_disk]:
                values = (stored(name, index, value) for index, value in zip(self.numbers(), data[name], strict=True))
                data[name] = np.fromiter(values, dtype=object, count=len(data))

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
        unknown = [name for name in self.inputs.columns if name not in self.domain.input_space]
        if unknown:
            known = ", ".join(self.domain.input_space) or "(none)"
            raise ConfigError(f"{where('input')} has the column {unknown[0]!r}, which the domain does not: {known}.")
        domain = self.domain.copy()
        for name in self.outputs.columns:
            domain.add_output(name, exist_ok=True)
        inputs = _accepted(self.inputs, domain.input_space, where("input"))
        outputs = _accepted(self.outputs, domain.output_space, where("output"))
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
        return pd.DataFrame({name: list(values) for name, values in columns.items()}, index=numbers, columns=names)
    arrays = {name: np.fromiter(values, dtype=object, count=len(index)) for name, values in columns.items()}
    return pd.DataFrame(arrays, index=numbers, columns=names, dtype=object)


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

    Values in files of their own are read from `project_dir`, or stay paths.
    """

    def shown(value: object) -> object:
        if not isinstance(value, Reference):
            return value
        return str(value) if project_dir is None else value.load(project_dir)

    columns = {str(name): [shown(value) for value in table[name]] for name in table.columns}
    return frame([int(index) for index in table.index], columns, is_inferred=True)


def _set_row(table: pd.DataFrame, index: int, values: Mapping[str, object]) -> None:
    for name in values:
        if name not in table.columns:
            table[name] = np.full(len(table), None, dtype=object)
    for name in table.columns:
        table.at[index, name] = values.get(name)  # type: ignore[assignment]  # noqa: PD008 - `loc` spreads a list


def _cells(table: pd.DataFrame, name: str) -> list[object]:
    return list(table[name]) if name in table.columns else [None] * len(table)


def _accepted(table: pd.DataFrame, space: Mapping[str, Parameter], where: str) -> pd.DataFrame:
    columns = {}
    for name in table.columns:
        parameter, accepted = space[name], []
        for index, value in zip(table.index, table[name], strict=True):
            try:
                accepted.append(_one_accepted(parameter, value))
            except ConfigError as exc:
                raise ConfigError(f"{where}, row {index}, {name!r}: {exc}.") from exc
        columns[name] = accepted
    return frame(list(table.index), columns)


def _one_accepted(parameter: Parameter, value: object) -> object:
    if value is None or isinstance(value, Reference):
        return value
    if parameter.to_disk:
        return Reference(value) if isinstance(value, str) else value
    return parameter.accept(plain(value))
