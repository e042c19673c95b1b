"""The folder of a workflow's job, and how far the workflow is there, as runs of Dagster see it."""

# No deferred annotations here: Dagster reads those of resources as they are.
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster import (
    DagsterInstance,
    DagsterRun,
    Field,
    InitResourceContext,
    Noneable,
    OpExecutionContext,
    ResourceDefinition,
)

from curator_core.storage import make_folder
from curator_core.workflow import (
    Position,
    Progress,
    StepSequence,
    WorkflowStatus,
    job_folder,
    job_lock,
    refuse_orchestrated,
)

RESOURCE = "workflow"
"""Key of the resource."""
_FROM_FAILURE = "dagster/is_resume_retry"
"""Tag of runs that are re-executed from failure, in the UI or by the daemon."""
_CHOSEN = "dagster/step_selection"
"""Tag of runs whose steps were chosen in the UI."""


def folder_resource(rootdir: str, project_job: str | None, first_op: str) -> ResourceDefinition:
    """The resource, with what a run's configuration leaves out, and the name of the job's first op."""
    fields = {
        "rootdir": Field(str, default_value=rootdir, description="Folder of jobs."),
        "project_job": Field(
            Noneable(str),
            default_value=project_job,
            description="Name of the job's folder, in which a run goes on where the job was; by default the run's id, "
            "and with a re-execution from failure the folder of the run before it.",
        ),
    }

    def make(context: InitResourceContext) -> "WorkflowFolder":
        return WorkflowFolder(first_op=first_op, **context.resource_config)

    return ResourceDefinition(make, config_schema=fields, description="The folder of the workflow's job.")


@dataclass(frozen=True)
class WorkflowFolder:
    """Where a workflow's job keeps its tables."""

    rootdir: str
    """Folder of jobs."""
    project_job: str | None
    """Name of the job's folder, if the run names it."""
    first_op: str
    """Name of the job's first op."""

    def path(self, context: OpExecutionContext) -> Path:
        """The job's folder, which exists then.

        Raises
        ------
        ConfigError
            The name leaves the folder of jobs.
        """
        folder = job_folder(self.project_job or self._first_run(context.instance, context.run).run_id, self.rootdir)
        make_folder(folder)
        return folder

    def is_whole(self, run: DagsterRun) -> bool:
        """Whether a run begins with the first op, and does not go on where another one failed."""
        keys = run.step_keys_to_execute
        return (keys is None or self.first_op in keys) and run.tags.get(_FROM_FAILURE) != "true"

    def _first_run(self, instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
        """The run in whose folder a re-execution goes on; one of all steps has a folder of its own."""
        while run.parent_run_id is not None and not self.is_whole(run):
            parent = instance.get_run_by_id(run.parent_run_id)
            if parent is None:
                break
            run = parent
        return run


@dataclass(frozen=True)
class StepContext:
    """One step of a running workflow: its place in the course of a job."""

    context: OpExecutionContext
    """Of the op."""
    course: StepSequence
    """The workflow, whose loops do not ask their conditions: ops of their own do."""
    place: Position
    """Which step, and in which iteration."""

    @property
    def folder(self) -> WorkflowFolder:
        """The resource."""
        found: WorkflowFolder = getattr(self.context.resources, RESOURCE)
        return found

    @property
    def job_dir(self) -> Path:
        """Folder of the job."""
        return self.folder.path(self.context)

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Nobody else goes on with the workflow meanwhile."""
        folder = self.job_dir
        with job_lock(folder, f"run {self.context.run_id} of Dagster"):
            refuse_orchestrated(folder, is_on_cluster=False)
            yield folder

    def begin(self, job_dir: Path) -> Progress | None:
        """Write down that the step is running; ``None`` if it was done before, and is not asked for by itself."""
        progress = self._found(job_dir)
        if progress is not None:
            progress = progress.at(self.place)
            progress.write(job_dir)
        return progress

    def _found(self, job_dir: Path) -> Progress | None:
        run, is_first_attempt = self.context.run, self.context.retry_number == 0
        is_start = self.place == self.course.first() and self.folder.is_whole(run) and is_first_attempt
        found = self.course.progress(job_dir) if is_start else self.current(job_dir)  # one that is done begins anew
        is_chosen = _CHOSEN in run.tags and _FROM_FAILURE not in run.tags and is_first_attempt
        return None if is_past(found, self.place) and not is_chosen else found

    def current(self, job_dir: Path) -> Progress:
        """How far the job is."""
        found = Progress.read(job_dir)
        if found is None:
            return Progress(self.course.name, self.course.outline, self.place, WorkflowStatus.RUNNING)
        found.check_same(self.course.name, self.course.outline, job_dir)
        return found

    def finish(self, job_dir: Path) -> None:
        """Write down that the step is done."""
        self.current(job_dir).at(self.course.following(self.place, job_dir)).write(job_dir)


def is_past(progress: Progress, place: Position) -> bool:
    """Whether a job is further than a place."""
    return progress.status is WorkflowStatus.DONE or _order(progress.place) > _order(place)


def _order(place: Position) -> tuple[int, int, int]:
    return place.element, place.iteration, place.step
