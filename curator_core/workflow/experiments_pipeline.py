"""Open experiments as a pipeline, so that any run backend can spread them over workers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeGuard

from curator_core.errors import ConfigError, WorkflowError
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.sample import ExperimentSample
from curator_core.experiments.stored.results import write_result
from curator_core.pipeline.annotations import UNRECORDED
from curator_core.pipeline.components import Sink, Source, overrides
from curator_core.pipeline.pipeline import Pipeline
from curator_core.workflow.block import Block, DataGenerator
from curator_core.workflow.evaluation import Evaluation, split_options, write_sample


class Experiments(Source[int]):
    """Rows of a table.

    Parameters
    ----------
    project_dir
        Folder of the table.
    rows
        Their numbers; no part of the configuration, as they differ from one time to the next.
    attempt
        Identifies this execution of the step: what another one recorded of a row says nothing about this one.
    """

    def __init__(
        self, project_dir: str, rows: Annotated[Sequence[int], UNRECORDED], attempt: Annotated[str, UNRECORDED] = ""
    ) -> None:
        self.project_dir = project_dir
        self.rows = rows
        self.attempt = attempt

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> str:
        """The row's number."""
        return f"row {self.rows[index]}"

    def fingerprint(self, index: int) -> str:
        """The row in this execution of the step."""
        return f"{self.attempt}-{self.rows[index]}"

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        yield self.rows[index]


class EvaluatedExperiments(Sink[int]):
    """Calls a block for one row after the other, and writes a result for each.

    Parameters
    ----------
    project_dir
        Folder of the table.
    block
        What is called, after it was armed with the whole table.
    kwargs
        Arguments of its `call`.
    """

    def __init__(
        self, project_dir: str, block: Annotated[Block, UNRECORDED], kwargs: Annotated[Mapping[str, Any], UNRECORDED]
    ) -> None:
        self.project_dir = project_dir
        self.block = block
        self.kwargs = kwargs

    @cached_property
    def _table(self) -> ExperimentData:
        table = ExperimentData.from_file(self.project_dir)
        self.block.arm(table)
        return table

    def output_places(self) -> list[str]:
        """None: rows are claimed one by one, and results are named after them."""
        return []

    def __call__(self, items: Iterable[int], index: int) -> list[str]:
        """Paths of the results."""
        return [str(self._evaluated(row)) for row in items]

    def _evaluated(self, row: int) -> Path:
        started = datetime.now(UTC)
        try:
            sample = self._called(row)
        except Exception as exc:
            write_result(self.project_dir, row, error=exc, started=started)
            raise
        return write_sample(self.project_dir, row, sample, started, self._table.get_experiment_sample(row))

    def _called(self, row: int) -> ExperimentSample:
        kwargs = {**self.block.call_kwargs, **self.kwargs}
        if is_plain_generator(self.block):  # whose own error is the row's
            evaluation = evaluation_of_step(self.block, kwargs)
            return evaluation.row(row, self._table.get_experiment_sample(row).copy())
        table: object = self.block.call(self._table.select([row]), **kwargs)
        name = f"{type(self.block).__name__}.call()"
        if not isinstance(table, ExperimentData):
            raise WorkflowError(f"{name} gave {table!r:.80}, no ExperimentData.")
        if row not in table.index:
            raise WorkflowError(f"{name} gave a table without row {row}.")
        if len(table) > 1:
            raise WorkflowError(
                f"{name} added {len(table) - 1} rows to row {row}, which a parallel step cannot keep: add them in a "
                "step of its own."
            )
        return table.get_experiment_sample(row)


def is_plain_generator(block: Block) -> TypeGuard[DataGenerator]:
    """Whether a block evaluates rows by its `execute` alone."""
    return isinstance(block, DataGenerator) and not overrides(block, DataGenerator.call)


def evaluation_of_step(block: DataGenerator, kwargs: Mapping[str, Any]) -> Evaluation:
    """How a parallel step, which spreads the rows itself, evaluates each of them.

    Raises
    ------
    ConfigError
        An argument belongs to a mode of `DataGenerator.call`, which such a step has none of.
    """
    given = dict(kwargs)
    passes_id = bool(given.pop("pass_id", False))
    if "mode" in given:
        raise ConfigError(f"A parallel step spreads the rows itself: leave mode={given['mode']!r} out of its kwargs.")
    return Evaluation(block, split_options(block, "parallel step", given)[1], passes_id)


def experiments_pipeline(
    project_dir: Path, block: Block, kwargs: Mapping[str, Any], rows: Sequence[int], *, db_file: Path, attempt: str
) -> Pipeline[Any]:
    """A pipeline over rows of a table.

    Parameters
    ----------
    project_dir
        Folder of the table.
    block, kwargs
        What is called for each row, and with which arguments.
    rows
        Their numbers.
    db_file
        Metrics database: time and memory of every experiment.
    attempt
        Identifies this execution of the step.
    """
    folder = str(project_dir)
    if is_plain_generator(block):
        evaluation_of_step(block, {**block.call_kwargs, **kwargs}).check()
    return Pipeline(
        Experiments(folder, rows, attempt), [], EvaluatedExperiments(folder, block, kwargs), db_file=db_file
    )
