"""The table of experiments that users hold: made, selected, marked, stored and read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator_core.errors import ConfigError, IndexRangeError, WorkflowError
from curator_core.workflow import experiment_files
from curator_core.workflow.claims import claimed_rows
from curator_core.workflow.domain import Domain
from curator_core.workflow.failure import Failure
from curator_core.workflow.given import table_of_data, table_of_samples
from curator_core.workflow.objects import DATA_FOLDER
from curator_core.workflow.results import result_rows
from curator_core.workflow.samples import ExperimentSample, JobStatus
from curator_core.workflow.sampling import design
from curator_core.workflow.table import Table, inferred, row_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from curator_core.workflow.given import Rows


class ExperimentData:
    """Experiments: a row number, inputs, outputs and a job status each.

    Parameters
    ----------
    domain
        The parameters; by default plain ones, named as the data are.
    input_data, output_data
        A data frame, an array whose columns are in the domain's order, or rows as mappings.
    jobs
        Job status per row; by default ``finished`` where there are outputs, else ``open``.
    project_dir
        Folder in which `store` keeps the table; by default the working directory.

    Raises
    ------
    ConfigError
        A value is not of its parameter's kind, or the arguments differ in their number of rows.
    """

    def __init__(
        self,
        domain: Domain | None = None,
        input_data: Rows | None = None,
        output_data: Rows | None = None,
        jobs: Sequence[str] | None = None,
        project_dir: str | Path | None = None,
    ) -> None:
        self.table = table_of_data(domain, input_data, output_data, jobs)
        self._project_dir = Path(project_dir or ".").absolute()
        self.version: experiment_files.Version | None = None

    @classmethod
    def _of(cls, table: Table, project_dir: Path, origin: experiment_files.Version | None = None) -> ExperimentData:
        made = cls(project_dir=project_dir)
        made.table, made.version = table, origin
        return made

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
            experiment_files.wait_for_table(project_dir, timeout_s=10.0 * max_tries)
        found = experiment_files.read_table(project_dir)
        return cls._of(found.table, Path(project_dir).absolute(), found.version)

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
        self.version = experiment_files.write_table(self._project_dir, self.table, expected=self.version, maker=maker)

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
    def index(self) -> pd.Index[int]:
        """The row numbers."""
        return self.table.inputs.index

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

    def __len__(self) -> int:
        return len(self.table.inputs)

    def __iter__(self) -> Iterator[tuple[int, ExperimentSample]]:
        return ((index, self.get_experiment_sample(index)) for index in self.table.numbers())

    def __getitem__(self, indices: int | Iterable[int]) -> ExperimentData:
        return self.select(indices)

    def __eq__(self, other: object) -> bool:
        """Whether rows, values, statuses and domains are the same; where they are kept does not matter."""
        if not isinstance(other, ExperimentData):
            return NotImplemented
        return self.table.is_same(other.table)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: ExperimentData) -> ExperimentData:
        """The rows of both, numbered anew from 0."""
        first = self.table.renumbered(0)
        return self._of(first.followed_by(other.table.renumbered(len(self))), self._project_dir)

    def __repr__(self) -> str:
        counts = {status.value: int((self.table.jobs == status.value).sum()) for status in JobStatus}
        return f"ExperimentData({len(self)} experiments, {counts}, project_dir={str(self._project_dir)!r})"

    def select(self, indices: int | Iterable[int]) -> ExperimentData:
        """A table of these rows alone, under the same numbers."""
        return self._of(self.table.rows(self._known(indices)), self._project_dir)

    def select_with_status(self, status: str) -> ExperimentData:
        """A table of the rows with this job status, under the same numbers."""
        wanted = JobStatus.of(status).value
        return self.select([i for i, job in zip(self.table.numbers(), self.table.jobs, strict=True) if job == wanted])

    def get_n_best_output(self, n_samples: int, output_name: str = "y") -> ExperimentData:
        """The rows with the `n_samples` lowest values of an output, best first."""
        outputs = self.to_pandas()[1]
        if output_name not in outputs:
            raise ConfigError(f"There is no output {output_name!r}, only {', '.join(map(str, outputs.columns))}.")
        return self.select(outputs.nsmallest(n_samples, output_name).index.tolist())

    def mark(self, indices: int | Iterable[int], status: str, *, in_place: bool = False) -> ExperimentData:
        """The table with another job status in these rows; this one itself if `in_place`."""
        wanted = JobStatus.of(status).value
        changed = self._changeable(in_place=in_place)
        changed.table.jobs.loc[self._known(indices)] = wanted
        return changed

    def mark_all(self, status: str, *, in_place: bool = False) -> ExperimentData:
        """The table with another job status in every row; this one itself if `in_place`."""
        return self.mark(self.table.numbers(), status, in_place=in_place)

    def is_all_finished(self) -> bool:
        """Whether every experiment is finished."""
        return bool((self.table.jobs == JobStatus.FINISHED.value).all())

    def add_experiments(self, data: ExperimentSample | ExperimentData, *, in_place: bool = False) -> ExperimentData:
        """The table with more rows, numbered on from the highest number; this one itself if `in_place`."""
        more = self.from_data({0: data}) if isinstance(data, ExperimentSample) else data
        changed = self._changeable(in_place=in_place)
        start = max(self.table.numbers(), default=-1) + 1
        changed.table = changed.table.followed_by(more.table.renumbered(start)).checked()
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

    def store_experimentsample(self, experiment_sample: ExperimentSample, idx: int) -> None:
        """Put a record in place of row `idx`."""
        [index] = self._known(idx)
        self.table.put(index, experiment_sample)

    def to_pandas(self, *, keep_references: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Inputs and outputs as data frames of their own, columns of one type where their values allow it.

        With `keep_references`, values that are files of their own stay paths.
        """
        folder = None if keep_references else self._project_dir
        return inferred(self.table.inputs, folder), inferred(self.table.outputs, folder)

    def to_numpy(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Inputs and outputs as arrays: (n_rows, n_inputs) and (n_rows, n_outputs)."""
        inputs, outputs = self.to_pandas()
        return inputs.to_numpy(), outputs.to_numpy()

    def copy(self) -> ExperimentData:
        """A table of its own with the same rows."""
        return self._of(self.table.copy(), self._project_dir, self.version)

    def _changeable(self, *, in_place: bool) -> ExperimentData:
        return self if in_place else self.copy()

    def _known(self, indices: int | Iterable[int]) -> list[int]:
        wanted = [indices] if isinstance(indices, int | np.integer) else indices
        numbers = [int(index) for index in wanted]
        missing = [one for one in numbers if one not in self.index]
        if missing:
            raise IndexRangeError(f"There is no experiment {missing[0]}; the table has {len(self)}.")
        return numbers


def _refuse_work_in_progress(project_dir: Path) -> None:
    waiting = result_rows(project_dir)
    busy = claimed_rows(project_dir) if (project_dir / DATA_FOLDER).is_dir() else {}
    if waiting or busy:
        raise WorkflowError(
            f"{project_dir} holds a table with work in progress: {len(busy)} rows are claimed, "
            f"{len(waiting)} have results that were not collected. Let the work end and call collect_results(), "
            "or store this table in another folder."
        )
