"""The table of experiments that users hold: made, selected, marked, stored and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import ConfigError, WorkflowError
from curator_core.experiments.base import Rows
from curator_core.experiments.changes import ExperimentChanges
from curator_core.experiments.coerce import domain_of, table_of_data, table_of_samples
from curator_core.experiments.design.designs import design
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import plain
from curator_core.experiments.exports import ExperimentExports
from curator_core.experiments.failure import Failure
from curator_core.experiments.references import DATA_FOLDER
from curator_core.experiments.sample import ExperimentSample, JobStatus
from curator_core.experiments.stored import collection, files
from curator_core.experiments.stored.claims import claimed_rows
from curator_core.experiments.stored.results import result_rows
from curator_core.experiments.table import row_of
from curator_core.pipeline.mapping_files import plain_mapping

if TYPE_CHECKING:
    import pandas as pd

    from curator_core.experiments.coerce import Data


class ExperimentData(ExperimentChanges, ExperimentExports):
    """Experiments: a row number, inputs, outputs and a job status each.

    Parameters
    ----------
    domain
        The parameters, a file of them, or what `Domain.from_yaml` takes; by default plain ones, named as the data are.
    input_data, output_data
        A data frame, an array whose columns are in the domain's order, rows as mappings, or the path of a CSV file
        whose first column numbers the rows.
    jobs
        Job status per row, or the path of such a file; by default ``finished`` where there are outputs, else ``open``.
    project_dir
        Folder in which `store` keeps the table; by default the working directory.

    Raises
    ------
    ConfigError
        A value is not of its parameter's kind, or the arguments differ in their number of rows.
    """

    def __init__(
        self,
        domain: Domain | str | Path | Mapping[str, Any] | None = None,
        input_data: Data | None = None,
        output_data: Data | None = None,
        jobs: Sequence[str] | str | Path | None = None,
        project_dir: str | Path | None = None,
    ) -> None:
        self.table = table_of_data(domain_of(domain), input_data, output_data, jobs)
        self._project_dir = Path(project_dir or ".").absolute()
        self.version = None

    @classmethod
    def from_data(
        cls,
        data: Mapping[int, ExperimentSample] | None = None,
        domain: Domain | None = None,
        project_dir: str | Path | None = None,
    ) -> ExperimentData:
        """Make a table of records by row number."""
        return cls._of(table_of_samples(data or {}, domain), Path(project_dir or ".").absolute())

    @classmethod
    def from_file(
        cls,
        project_dir: str | Path,
        wait_for_creation: bool = False,  # noqa: FBT001, FBT002 - f3dasm's signature
        max_tries: int = 20,
    ) -> ExperimentData:
        """Read what `store` or f3dasm wrote into a project folder.

        Parameters
        ----------
        project_dir
            The folder.
        wait_for_creation
            Wait for a table that is not there yet.
        max_tries
            How often to look for it then, ten seconds apart.

        Raises
        ------
        ExperimentsNotFoundError
            There is no table.
        ConfigError
            Its files do not fit together; the message names file and row.
        """
        if wait_for_creation:
            files.wait_for_table(project_dir, timeout_s=10.0 * max_tries)
        found = files.read_table(project_dir)
        return cls._of(found.table, Path(project_dir).absolute(), found.version)

    @classmethod
    def from_yaml(cls, config: Mapping[str, Any]) -> ExperimentData:
        """Make a table of a configuration: ``from_file`` with a folder, or the arguments of the class."""
        settings = plain_mapping(config, where="The configuration of experiments")
        if "from_file" in settings:
            return cls.from_file(settings["from_file"])
        try:
            return cls(**settings)
        except TypeError as exc:
            raise ConfigError(f"Experiments cannot be made of {settings!r:.200}: {exc}.") from exc

    @classmethod
    def from_sampling(
        cls,
        sampler: str,
        domain: Domain,
        n_samples: int | None = None,
        seed: int | None = None,
        *,
        steps: int | Mapping[str, int] = 2,
    ) -> ExperimentData:
        """Design experiments: ``random``, ``latin`` (hypercube), ``sobol`` or ``grid``.

        Parameters
        ----------
        n_samples
            Number of experiments; a grid has as many as it has points.
        seed
            The same seed gives the same design.
        steps
            Points of a real input on a grid, for all or by name.
        """
        return cls(domain, design(sampler, domain, n_samples, seed, steps=steps))

    def store(self, project_dir: str | Path | None = None, *, maker: str | None = None) -> None:
        """Write the table into ``experiment_data`` of the project folder: all files or none.

        Values of ``to_disk`` parameters are written into files of their own first.

        Parameters
        ----------
        project_dir
            Another folder than that of the table.
        maker
            Identifies the operation that made the table; it is written with it.

        Raises
        ------
        WorkflowError
            The table there was read or stored by this object, and another process has changed it since; or it is
            another table, whose rows are being worked on or have results that were not collected.
        """
        if project_dir is not None:
            self.project_dir = Path(project_dir)
        if self.version is None:
            _refuse_work_in_progress(self._project_dir)
        self.table.store_objects(self._project_dir)
        self.version = files.write_table(self._project_dir, self.table, expected=self.version, maker=maker)

    @property
    def domain(self) -> Domain:
        """The parameters of the experiments."""
        return self.table.domain

    @domain.setter
    def domain(self, domain: Domain) -> None:
        changed = self.table.copy()
        changed.domain = domain.copy()
        self.table = changed.checked()

    @property
    def project_dir(self) -> Path:
        """Folder in which the table is kept."""
        return self._project_dir

    @project_dir.setter
    def project_dir(self, project_dir: str | Path) -> None:
        folder = Path(project_dir).absolute()
        if folder != self._project_dir:
            self._project_dir, self.version = folder, None

    @property
    def jobs(self) -> pd.Series[str]:
        """The job status of each row, in lower case."""
        return self.table.jobs.copy()

    @property
    def failures(self) -> dict[int, Failure]:
        """Why experiments failed, by row number, as far as it is known."""
        failed = zip(self.table.numbers(), self.table.jobs, strict=True)
        wanted = [i for i, job in failed if job == JobStatus.ERROR.value]
        return {i: self.table.failures[i] for i in wanted if i in self.table.failures}

    def __iter__(self) -> Iterator[tuple[int, ExperimentSample]]:
        return ((index, self.get_experiment_sample(index)) for index in self.table.numbers())

    def __getitem__(self, indices: Rows) -> ExperimentData:
        return self.select(indices)

    def __eq__(self, other: object) -> bool:
        """Whether rows, values, statuses and domains are the same; where they are kept does not matter."""
        if not isinstance(other, ExperimentData):
            return NotImplemented
        return self.table.is_same(other.table)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: ExperimentData) -> ExperimentData:
        """The rows of both, numbered anew from 0."""
        if not isinstance(other, ExperimentData):
            return NotImplemented
        first = self.table.renumbered(0)
        return self._of(first.followed_by(other.table.renumbered(len(self))), self._project_dir)

    def __repr__(self) -> str:
        counts = {status.value: int((self.table.jobs == status.value).sum()) for status in JobStatus}
        return f"ExperimentData({len(self)} experiments, {counts}, project_dir={str(self._project_dir)!r})"

    def select(self, indices: Rows) -> ExperimentData:
        """A table of these rows alone, under the same numbers.

        Rows are named by their numbers, by a slice of them in order, or by a truth value for each.
        """
        return self._of(self.table.rows(self._known(indices)), self._project_dir)

    def select_with_status(self, status: str) -> ExperimentData:
        """A table of the rows with this job status, under the same numbers."""
        wanted = JobStatus.of(status).value
        return self.select([i for i, job in zip(self.table.numbers(), self.table.jobs, strict=True) if job == wanted])

    def get_n_best_output(self, n_samples: int, output_name: str = "y") -> ExperimentData:
        """The rows with the `n_samples` lowest values of an output, best first."""
        if output_name not in self.table.outputs.columns:
            known = ", ".join(map(str, self.table.outputs.columns)) or "(none)"
            raise ConfigError(f"There is no output {output_name!r}, only {known}.")
        import pandas as pd

        given = plain(n_samples)
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise ConfigError(f"n_samples is a number of rows, not {n_samples!r}.")
        values = self.column(output_name)
        text = next((value for value in values if isinstance(value, str)), None)
        if text is not None:
            raise ConfigError(f"Output {output_name!r} has values that are no numbers: {text!r:.80}.")
        try:
            numbers = pd.to_numeric(values)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"Output {output_name!r} has values that are no numbers: {exc}.") from exc
        return self.select([int(row) for row in numbers.nsmallest(n_samples).index])

    def mark(self, indices: Rows, status: str, in_place: bool = False) -> ExperimentData:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with another job status in these rows; this one itself if `in_place`."""
        wanted = JobStatus.of(status).value
        changed = self._changeable(in_place=in_place)
        changed.table.jobs.loc[self._known(indices)] = wanted
        return changed

    def mark_all(self, status: str, in_place: bool = False) -> ExperimentData:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with another job status in every row; this one itself if `in_place`."""
        return self.mark(self.table.numbers(), status, in_place=in_place)

    def is_all_finished(self) -> bool:
        """Whether every experiment is finished."""
        return bool((self.table.jobs == JobStatus.FINISHED.value).all())

    def add_experiments(
        self,
        data: ExperimentSample | ExperimentData,
        in_place: bool = False,  # noqa: FBT001, FBT002 - f3dasm's
    ) -> ExperimentData:
        """The table with more rows, numbered on from the highest number; this one itself if `in_place`.

        A record's values belong to the parameters that the table has.

        Raises
        ------
        ConfigError
            It is neither a record nor a table, or a value is not of its parameter's kind.
        """
        given: object = data
        if not isinstance(given, ExperimentSample | ExperimentData):
            raise ConfigError(f"What is added is an ExperimentSample or ExperimentData, not {given!r:.80}.")
        more = self.from_data({0: given}) if isinstance(given, ExperimentSample) else given
        start = max(self.table.numbers(), default=-1) + 1
        return self._changed(self.table.followed_by(more.table.renumbered(start)).checked(), in_place=in_place)

    def get_open_job(self) -> tuple[int | None, ExperimentSample, Domain]:
        """Number and record of the first open row, which is in progress then, and the domain; no number if none is.

        It marks the row in this table alone: processes that share a table on disk use `claim_open`.
        """
        for index, status in zip(self.table.numbers(), self.table.jobs, strict=True):
            if status == JobStatus.OPEN.value:
                self.mark(index, JobStatus.IN_PROGRESS, in_place=True)
                return index, self.get_experiment_sample(index), self.domain
        return None, ExperimentSample(), self.domain

    def with_results(self, *, cleanup: bool = True) -> ExperimentData:
        """The table with the results that wait in its folder; the one on disk, if there is one, gets them first.

        Parameters
        ----------
        cleanup
            Remove the files of the results.
        """
        table = collection.with_results(self._project_dir, self.table)
        version = self.version
        if (self._project_dir / DATA_FOLDER).is_dir():
            is_current = version == files.current_version(self._project_dir / DATA_FOLDER)
            collection.collect_results(self._project_dir, cleanup=cleanup)
            version = files.current_version(self._project_dir / DATA_FOLDER) if is_current else version
        return self._of(table, self._project_dir, version)

    def update_from_experimentssample_json(self, in_place: bool = False) -> ExperimentData:  # noqa: FBT001, FBT002 - f3dasm's
        """The table with the results that wait in its folder, whose files stay."""
        return self._changed(collection.with_results(self._project_dir, self.table), in_place=in_place)

    def set_project_dir(self, project_dir: str | Path, in_place: bool = False) -> ExperimentData:  # noqa: FBT001, FBT002 - f3dasm's
        """The table in another folder; this one itself if `in_place`."""
        changed = self._changeable(in_place=in_place)
        changed.project_dir = Path(project_dir)
        return changed

    def reset_index(self) -> ExperimentData:
        """The same rows, numbered anew from 0."""
        return self._of(self.table.copy().renumbered(0), self._project_dir)

    def get_experiment_sample(self, id: int) -> ExperimentSample:  # noqa: A002 - f3dasm's name
        """The record of one row; what is stored in it or marked on it changes the table."""
        [index] = self._known(id)
        sample = ExperimentSample(
            row_of(self.table.inputs, index),
            row_of(self.table.outputs, index),
            self.table.jobs.loc[index],
            self._project_dir,
        )
        return sample.bound_to(partial(self.store_experimentsample, idx=index))

    def store_experimentsample(
        self, experiment_sample: ExperimentSample, idx: int, domain: Domain | None = None
    ) -> None:
        """Put a record in place of row `idx`; the table has another `domain` then, if one is given."""
        [index] = self._known(idx)
        given: object = experiment_sample
        if not isinstance(given, ExperimentSample):
            raise ConfigError(f"What is put in place of row {index} is an ExperimentSample, not {given!r:.80}.")
        if domain is not None:
            self.domain = domain
        self.table.put(index, experiment_sample)


def _refuse_work_in_progress(project_dir: Path) -> None:
    waiting = result_rows(project_dir)
    busy = claimed_rows(project_dir) if (project_dir / DATA_FOLDER).is_dir() else {}
    if waiting or busy:
        raise WorkflowError(
            f"{project_dir} holds a table with work in progress: {len(busy)} rows are claimed, "
            f"{len(waiting)} have results that were not collected. Let the work end and call collect_results(), "
            "or store this table in another folder."
        )
