"""Workflows: steps and loops over experiments and datasets."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from curator_core.atomic import exclusive_lock
from curator_core.errors import ConfigError, StoreBusyError, UnknownNameError, WorkflowError
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.execution import Workers, run_step
from curator_core.workflow.experiments import ExperimentData
from curator_core.workflow.progress import Outline, Place, Progress, WorkflowStatus
from curator_core.workflow.step import Element, Loop, Step

LOCK_FILE = ".curator-workflow-lock"

logger = logging.getLogger("curator")


@dataclass(frozen=True)
class Workflow:
    """Steps, one after the other.

    Raises
    ------
    ConfigError
        Two steps have the same name, or there is none.
    """

    name: str = ""
    """Names the workflow's jobs."""
    steps: Sequence[Element] = ()
    """Steps and loops."""
    orchestrator_resources: SlurmResources | None = None
    """What the small job gets that submits the others on SLURM."""
    _before: tuple[str | list[str], ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("A workflow needs a step.")
        counted = Counter(step.name for element in self.steps for step in _steps(element))
        twice = [name for name, n in counted.items() if n > 1]
        if twice:
            raise ConfigError(f"Two steps of a workflow have the name {twice[0]!r}: give one another.")

    def from_step(self, step: int | str) -> Workflow:
        """The workflow from one of its steps on.

        Parameters
        ----------
        step
            Its position or its name; a name within a loop takes the whole loop.

        Raises
        ------
        UnknownNameError
            There is none, a ``ValueError``, too.
        """
        at = step if isinstance(step, int) else self._position(step)
        if not 0 <= at < len(self.steps):
            raise ConfigError(f"There is no step {at}; the workflow has {len(self.steps)}.")
        return replace(self, steps=self.steps[at:], _before=(*self._before, *map(_outlined, self.steps[:at])))

    def run(
        self,
        mode: Literal["local", "slurm"] = "local",
        cluster: SlurmCluster | None = None,
        project_job: str | None = None,
        rootdir: str | Path | None = None,
        *,
        backend: str = "auto",
        n_jobs: int = -1,
        **backend_options: Any,  # noqa: ANN401 - as `run_pipeline`
    ) -> str:
        """Carry out the workflow; the name of its job's folder.

        A job that was interrupted, or failed, goes on where it was; with `from_step`, from there.

        Parameters
        ----------
        mode
            ``"local"``: in this process and its workers.
        cluster
            Where it runs on SLURM.
        project_job
            Name of the job's folder; the time by default.
        rootdir
            Folder of jobs; the current one by default.
        backend, n_jobs, **backend_options
            For parallel steps in local mode, see `run_pipeline`.

        Raises
        ------
        ConfigError
            The folder belongs to another workflow.
        WorkflowError
            The workflow runs already, or a step gave what is no table.
        """
        if mode != "local":
            raise ConfigError(f"mode must be 'local', not {mode!r}.")
        del cluster
        job = project_job or time.strftime("%Y%m%d-%H%M%S")
        job_dir = Path(rootdir or ".").absolute() / job
        if job_dir.parent != Path(rootdir or ".").absolute():
            raise ConfigError(f"project_job={job!r} leaves the folder of jobs.")
        job_dir.mkdir(parents=True, exist_ok=True)
        try:
            with exclusive_lock(job_dir / LOCK_FILE, timeout_s=0, holder=f"workflow {self.name!r}"):
                self._run_here(job_dir, Workers(backend, n_jobs, backend_options))
        except StoreBusyError as exc:
            raise WorkflowError(f"The workflow of {job_dir} runs already: {exc}") from exc
        return job

    def _run_here(self, job_dir: Path, workers: Workers) -> None:
        progress = self._progress(job_dir)
        place: Place | None = progress.place
        while place is not None:
            progress = progress.at(place)
            progress.write(job_dir)
            self._carry_out(progress, job_dir, workers)
            place = self._following(place, job_dir)
        progress.at(None).write(job_dir)

    def _carry_out(self, progress: Progress, job_dir: Path, workers: Workers) -> None:
        step, iteration = self._step(progress.place), progress.place.iteration
        logger.info("step %r, iteration %d", step.name, iteration)
        try:
            run_step(step, job_dir, iteration=iteration, workers=workers)
        except Exception as exc:
            replace(progress, status=WorkflowStatus.FAILED, error=f"{type(exc).__name__}: {exc}").write(job_dir)
            if step.dependency == "afterok":
                exc.add_note(f"In step {step.name!r} of the workflow in {job_dir}; the next run goes on with it.")
                raise
            logger.exception("step %r failed; the next one does not depend on it", step.name)

    def _progress(self, job_dir: Path) -> Progress:
        outline: Outline = [*self._before, *map(_outlined, self.steps)]
        found = Progress.read(job_dir)
        if found is None:
            return Progress(self.name, outline, Place(len(self._before)), WorkflowStatus.RUNNING)
        found.check_same(self.name, outline, job_dir)
        is_elsewhere = found.status is WorkflowStatus.DONE or found.place.element < len(self._before)
        return found.at(Place(len(self._before))) if self._before or is_elsewhere else found

    def _step(self, place: Place) -> Step:
        return _steps(self._element(place))[place.step]

    def _element(self, place: Place) -> Element:
        return self.steps[place.element - len(self._before)]

    def _following(self, place: Place, job_dir: Path) -> Place | None:
        element = self._element(place)
        if place.step + 1 < len(_steps(element)):
            return replace(place, step=place.step + 1)
        if isinstance(element, Loop) and place.iteration + 1 < element.n_iterations:
            last = element.steps[-1]
            if element.until is None or not _is_enough(element.until, last.folder(job_dir)):
                return Place(place.element, place.iteration + 1)
        after = Place(place.element + 1)
        return after if after.element - len(self._before) < len(self.steps) else None

    def _position(self, name: str) -> int:
        for position, element in enumerate(self.steps):
            if any(step.name == name for step in _steps(element)):
                return position
        raise UnknownNameError.of("step", name, [step.name for element in self.steps for step in _steps(element)])


def _steps(element: Element) -> Sequence[Step]:
    return element.steps if isinstance(element, Loop) else [element]


def _outlined(element: Element) -> str | list[str]:
    return [step.name for step in element.steps] if isinstance(element, Loop) else element.name


def _is_enough(until: Callable[[ExperimentData], bool], folder: Path) -> bool:
    return bool(until(ExperimentData.from_file(folder)))
