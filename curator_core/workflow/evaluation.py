"""Open experiments evaluated one by one: here, in several processes, or together with others at one table on disk."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import cloudpickle

from curator_core.errors import ConfigError, RunFailed, UnknownNameError, WorkflowError
from curator_core.experiments import typed_csv
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.failure import Failure
from curator_core.experiments.references import Reference, check_object, is_object
from curator_core.experiments.sample import ExperimentSample
from curator_core.experiments.stored.claims import claim_open
from curator_core.experiments.stored.collection import collect_results
from curator_core.experiments.stored.results import write_result
from curator_core.interruption import is_interruption
from curator_core.pipeline.annotations import UNRECORDED
from curator_core.pipeline.components import Sink, Source
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run import run_pipeline
from curator_core.run.workers.ability import temporary_folder
from curator_core.storage.disk import writing

MODES = ("sequential", "parallel", "cluster", "cluster_array")
_OPTIONS = {
    "nodes": ("parallel",),
    "job_number": ("cluster_array",),
    "wait_for_creation": ("cluster",),
    "max_tries": ("cluster",),
}
"""Arguments of a call that belong to some modes alone, and to `execute` only if it names them."""

logger = logging.getLogger("curator")


class Evaluates(Protocol):
    """What evaluates one experiment."""

    def execute(self, experiment_sample: ExperimentSample, **kwargs: Any) -> ExperimentSample:  # noqa: ANN401 - a block's own
        """The record with its outputs."""


@dataclass(frozen=True)
class Evaluation:
    """How each row is evaluated."""

    generator: Evaluates
    kwargs: Mapping[str, Any]
    """Arguments of its `execute`."""
    passes_id: bool = False
    """Give the generator the row's number, as ``id``."""

    def check(self) -> None:
        """Whether `execute` takes its arguments.

        Raises
        ------
        ConfigError
            It does not; no row was evaluated.
        """
        execute = self.generator.execute
        try:
            inspect.signature(execute).bind(None, **self.arguments(0))
        except TypeError as exc:
            name = getattr(execute, "__qualname__", type(execute).__name__)
            raise ConfigError(f"{name}{inspect.signature(execute)} would be called wrongly: {exc}.") from exc

    def row(self, index: int, sample: ExperimentSample) -> ExperimentSample:
        """The record of row `index` with its outputs, finished unless `execute` marked it as an error.

        Raises
        ------
        WorkflowError
            What `execute` gave is no record.
        ConfigError
            An output is nothing that a table can keep.
        """
        done: object = self.generator.execute(sample, **self.arguments(index))
        if not isinstance(done, ExperimentSample):
            raise WorkflowError(f"{type(self.generator).__name__}.execute() gave {done!r}, no ExperimentSample.")
        for name, value in done.raw("output").items():
            if is_object(value) or name in done.on_disk("output"):
                check_object(value, f"Output {name!r}")
            elif not isinstance(value, Reference):
                typed_csv.written(value, f"Output {name!r}")
        if not done.is_status("error"):
            done.mark("finished")
        return done

    def outcome(self, index: int, sample: ExperimentSample) -> ExperimentSample | Failure:
        """What `row` gives, or why it failed."""
        started = datetime.now(UTC)
        try:
            return self.row(index, sample)
        except BaseException as exc:  # one that would end the program, such as SystemExit, is this row's alone
            if is_interruption(exc):
                raise
            logger.exception("experiment %d failed", index)
            return Failure.of(exc, started)

    def arguments(self, index: int) -> dict[str, Any]:
        """What `execute` is given for row `index`, beside its record."""
        return {**self.kwargs, "id": index} if self.passes_id else dict(self.kwargs)


def evaluated(
    generator: Evaluates, data: ExperimentData, mode: str, *, pass_id: bool, kwargs: Mapping[str, Any]
) -> ExperimentData:
    """The table with the outputs of its open rows; `data` stays as it is.

    Parameters
    ----------
    generator
        Evaluates a row.
    mode
        One of `MODES`.
    pass_id
        Give it the row's number.
    kwargs
        Its arguments, and the options of the mode.
    """
    if str(mode).lower() == "mpi":
        raise ConfigError(
            "mode='mpi' is not supported. Start as many processes with mode='cluster', under mpirun or not; "
            "each row goes to one of them."
        )
    given_data: object = data
    if not isinstance(given_data, ExperimentData):
        raise ConfigError(f"A data generator is called with ExperimentData, not with {given_data!r:.80}.")
    wanted = str(mode).lower()
    if wanted not in MODES:
        raise UnknownNameError.of("mode", mode, MODES)
    options, given = split_options(generator, wanted, kwargs)
    evaluation = Evaluation(generator, given, pass_id)
    evaluation.check()
    if wanted == "sequential":
        return _with(data, {index: evaluation.outcome(index, sample) for index, sample in _open(data)})
    if wanted == "parallel":
        return _with(data, _in_processes(evaluation, dict(_open(data)), options.get("nodes")))
    if wanted == "cluster":
        return _at_one_table(evaluation, data.project_dir, options)
    return _one_row(evaluation, data, options.get("job_number"))


def split_options(generator: Evaluates, mode: str, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a mode, and the arguments of `execute`.

    Raises
    ------
    ConfigError
        An option is of another mode, and `execute` has no argument of that name.
    """
    named = inspect.signature(generator.execute).parameters
    options, given = {}, {}
    for name, value in kwargs.items():
        modes = _OPTIONS.get(name, ())
        if mode in modes:
            options[name] = value
        elif name in named or not modes:
            given[name] = value
        else:
            raise ConfigError(f"{name}= goes with mode={modes[0]!r}, not with mode={mode!r}.")
    return options, given


def arguments_of_execute(generator: Evaluates, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What reaches `execute` of the arguments of a call."""
    named = inspect.signature(generator.execute).parameters
    mine = {
        name: value for name, value in kwargs.items() if name in named or name not in (*_OPTIONS, "mode", "pass_id")
    }
    return {**mine, "id": 0} if kwargs.get("pass_id") else mine


def _open(data: ExperimentData) -> Iterable[tuple[int, ExperimentSample]]:
    return ((index, sample.copy()) for index, sample in data.select_with_status("open"))


def _with(data: ExperimentData, outcomes: Mapping[int, ExperimentSample | Failure]) -> ExperimentData:
    changed = data.copy()
    failed = {}
    for index, outcome in outcomes.items():
        found = outcome
        if isinstance(found, ExperimentSample):
            try:
                changed.table.put(index, found)
            except ConfigError as exc:
                found = Failure.of(exc)
        if isinstance(found, Failure):
            failed[index] = found
            changed.table.fail(index, found)
    if failed:
        first = min(failed)
        logger.warning(
            "%d of %d experiments failed; row %d: %s (the others: .failures)",
            len(failed), len(outcomes), first, failed[first].error,
        )  # fmt: skip
    return changed


class _Samples(Source[tuple[int, ExperimentSample]]):
    """Records by row number."""

    def __init__(self, samples: Annotated[Mapping[int, ExperimentSample], UNRECORDED]) -> None:
        self.samples = list(samples.items())

    def __len__(self) -> int:
        return len(self.samples)

    def key(self, index: int) -> str:
        return f"row {self.samples[index][0]}"

    def __getitem__(self, index: int) -> Generator[tuple[int, ExperimentSample], None, None]:
        yield self.samples[index]


class _Outcomes(Sink[tuple[int, ExperimentSample]]):
    """Evaluates records, and leaves the outcome of each in a file for the process that asked."""

    def __init__(self, evaluation: Annotated[Evaluation, UNRECORDED], folder: Annotated[str, UNRECORDED]) -> None:
        self.evaluation = evaluation
        self.folder = Path(folder)

    def __call__(self, items: Iterable[tuple[int, ExperimentSample]], index: int) -> list[str]:
        path = self.folder / f"{index}.pickle"
        for row, sample in items:
            with writing(path):
                path.write_bytes(cloudpickle.dumps(self.evaluation.outcome(row, sample)))
        return [str(path)]


def _in_processes(
    evaluation: Evaluation, samples: Mapping[int, ExperimentSample], nodes: int | None
) -> dict[int, ExperimentSample | Failure]:
    rows = list(samples)
    if not rows:
        return {}
    with temporary_folder("The evaluation", prefix="curator-rows-") as folder:
        pipeline = Pipeline(_Samples(samples), [], _Outcomes(evaluation, str(folder)), track_metrics=False)
        died: Mapping[int, str] = {}
        try:
            run_pipeline(pipeline, backend="process_pool", n_jobs=-1 if nodes is None else nodes, progress=False)
        except RunFailed as exc:
            died = exc.failures
        return {row: Failure.of(died[at]) if at in died else _left(folder, at) for at, row in enumerate(rows)}


def _left(folder: Path, index: int) -> ExperimentSample | Failure:
    content = (folder / f"{index}.pickle").read_bytes()
    return pickle.loads(content)  # type: ignore[no-any-return] # noqa: S301 - of our own worker


def _at_one_table(evaluation: Evaluation, project_dir: Path, options: Mapping[str, Any]) -> ExperimentData:
    data = ExperimentData.from_file(project_dir, **options)
    while True:
        with claim_open(project_dir) as rows:
            if not rows:
                break
            if rows[0] not in data.index:  # added since
                data = ExperimentData.from_file(project_dir)
            _written(evaluation, data, rows[0])
    collect_results(project_dir)
    return ExperimentData.from_file(project_dir)


def _one_row(evaluation: Evaluation, data: ExperimentData, index: int | None) -> ExperimentData:
    if index is None:
        raise ConfigError("mode='cluster_array' evaluates one row: say which, with job_number=.")
    _written(evaluation, ExperimentData.from_file(data.project_dir), index)
    return data.copy()


def _written(evaluation: Evaluation, data: ExperimentData, index: int) -> None:
    started = datetime.now(UTC)
    before = data.get_experiment_sample(index)
    found = evaluation.outcome(index, before.copy())
    if isinstance(found, Failure):
        write_result(data.project_dir, index, error=found, started=started)
    else:
        write_sample(data.project_dir, index, found, started, before)


def write_sample(
    project_dir: str | Path, index: int, sample: ExperimentSample, started: datetime, before: ExperimentSample
) -> Path:
    """Write the result of a row from its record, and from what it was before; a result has outputs alone."""
    error: str | None = "The block marked the experiment as an error." if sample.is_status("error") else None
    changed = sample.changed_inputs(before)
    if changed:
        error = f"The experiment changed its input {changed[0]!r}, which a result cannot keep: store it as an output."
    names = sample.on_disk("output")
    return write_result(project_dir, index, sample.raw("output"), error=error, started=started, to_disk=names)
