"""Experiments changed as a whole: sorted, joined, rounded, their parameters chosen and moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.experiments.base import ExperimentTable
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import CategoricalParameter, ConstantParameter, Parameter, plain
from curator_core.experiments.sample import ExperimentSample
from curator_core.experiments.table import Table, frame
from curator_core.experiments.typed_csv import same

if TYPE_CHECKING:
    import pandas as pd

    from curator_core.experiments.data import ExperimentData


class ExperimentChanges(ExperimentTable):
    """Tables made of tables; those with `in_place` change this one itself, and give it back."""

    def sort(self, criterion: Callable[[ExperimentSample], Any], reverse: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The rows in the order of what `criterion` says of each record, under their numbers."""
        records = list(cast("ExperimentData", self))
        records.sort(key=lambda entry: criterion(entry[1]), reverse=reverse)
        return self._of(self.table.rows([index for index, _ in records]), self._project_dir)

    def join(self, experiment_data: Self) -> Self:
        """A table with the parameters of both, row by row in order, numbered from 0.

        Raises
        ------
        ConfigError
            They have different numbers of rows, or one parameter with different values.
        """
        given: object = experiment_data
        if not isinstance(given, ExperimentTable):
            raise ConfigError(f"What is joined is ExperimentData, not {given!r:.80}.")
        first, second = self.table.renumbered(0), experiment_data.table.renumbered(0)
        if not len(self):
            return self._of(replace(second, domain=first.domain + second.domain), self._project_dir)
        if len(self) != len(experiment_data):
            raise ConfigError(f"Tables of {len(self)} and {len(experiment_data)} rows cannot be joined row by row.")
        jobs = second.jobs.where(second.jobs != "open", first.jobs)
        joined = Table(
            first.domain + second.domain,
            _beside(first.inputs, second.inputs),
            _beside(first.outputs, second.outputs),
            jobs,
            {**first.failures, **second.failures},
        )
        return self._of(joined.checked(), self._project_dir)

    def remove_rows_bottom(self, number_of_rows: int, in_place: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The table without its last rows."""
        given = plain(number_of_rows)
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= len(self):
            raise ConfigError(f"{number_of_rows} rows cannot be removed from a table of {len(self)}.")
        kept = self.table.numbers()[: len(self) - number_of_rows]
        return self._changed(self.table.rows(kept), in_place=in_place)

    def round(self, decimals: int, in_place: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with real numbers rounded; integers and what is a file of its own stay as they are."""
        return self._each(lambda value: round(value, decimals) if isinstance(value, float) else value, in_place)

    def replace_nan(self, value: object, in_place: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with another value where one is not a number; missing values stay missing."""

        def replaced(found: object) -> object:
            return value if isinstance(found, float) and math.isnan(found) else found

        return self._each(replaced, in_place)

    def select_parameter(self, name: str) -> Self:
        """A table with this input or output alone, and the status of every row."""
        space, data = self._place(name)
        domain = Domain({name: space[name]}) if data == "inputs" else Domain({}, {name: space[name]})
        numbers = self.table.numbers()
        frames = {"inputs": frame(numbers, {}), "outputs": frame(numbers, {})}
        column = getattr(self.table, data).get(name)
        if column is not None:
            frames[data] = frame(numbers, {name: list(column)})
        table = Table(domain, frames["inputs"], frames["outputs"], self.table.jobs.copy(), dict(self.table.failures))
        return self._of(table, self._project_dir)

    def move_to_output(self, name: str, in_place: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with an input as an output."""
        return self._moved(name, "inputs", "outputs", in_place=in_place)

    def move_to_input(self, name: str, in_place: bool = False) -> Self:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with an output as an input."""
        return self._moved(name, "outputs", "inputs", in_place=in_place)

    def _place(self, name: str) -> tuple[Mapping[str, Parameter], Literal["inputs", "outputs"]]:
        domain = self.table.domain
        if name in domain.input_space:
            return domain.input_space, "inputs"
        if name in domain.output_space:
            return domain.output_space, "outputs"
        raise UnknownNameError.of("parameter", name, [*domain.input_space, *domain.output_space])

    def _moved(
        self,
        name: str,
        source: Literal["inputs", "outputs"],
        target: Literal["inputs", "outputs"],
        *,
        in_place: bool,
    ) -> Self:
        table = self.table.copy()
        spaces = {"inputs": table.domain.input_space, "outputs": table.domain.output_space}
        if name not in spaces[source]:
            raise UnknownNameError.of(source.removesuffix("s"), name, spaces[source])
        if name in spaces[target]:
            raise ConfigError(f"{name!r} is among the {target}, too; rename one of the two.")
        moved = spaces[source].pop(name)
        spaces[target][name] = Parameter(to_disk=moved.to_disk, foreign=moved.foreign) if target == "outputs" else moved
        frames = {"inputs": table.inputs, "outputs": table.outputs}
        if name in frames[source]:
            frames[target] = _beside(frames[target], frames[source][[name]])
            frames[source] = frames[source].drop(columns=[name])
        moved_table = replace(table, inputs=frames["inputs"], outputs=frames["outputs"])
        return self._changed(moved_table.checked(), in_place=in_place)

    def _each(self, change: Callable[[Any], object], in_place: bool) -> Self:  # noqa: FBT001 - of those above
        table = self.table.copy()
        for data, space in ((table.inputs, table.domain.input_space), (table.outputs, table.domain.output_space)):
            for name in data.columns:
                if isinstance(space[str(name)], CategoricalParameter | ConstantParameter):
                    continue
                values = [change(value) for value in data[name]]
                data[name] = frame([int(row) for row in data.index], {str(name): values})[name]
        return self._changed(table.checked(), in_place=in_place)


def _beside(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The columns of both; where both have a value, it must be the same."""
    columns = {str(name): list(first[name]) for name in first.columns}
    for name in map(str, second.columns):
        known = columns.get(name, [None] * len(second))
        for row, (one, other) in enumerate(zip(known, second[name], strict=True)):
            if one is not None and other is not None and not same(one, other):
                raise ConfigError(
                    f"Row {row} has two values of {name!r}: {one!r} and {other!r}; rename one of the two."
                )
        columns[name] = [one if other is None else other for one, other in zip(known, second[name], strict=True)]
    return frame([int(row) for row in first.index], columns)
