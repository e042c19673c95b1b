"""A workflow's jobs on SLURM: their environment, their scripts, and the submission of the first."""

from __future__ import annotations

import hashlib
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cloudpickle

from curator_core.errors import ConfigError, CuratorError, WorkflowError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run.backends.slurm.array import array_script, slug
from curator_core.run.workers.worker import ITERATION
from curator_core.slurm import (
    SlurmCluster,
    SlurmError,
    SlurmResources,
    find_job,
    import_paths,
    is_alive,
    render_script,
    submit,
    try_out,
)
from curator_core.slurm.resources import Option
from curator_core.storage.atomic import published
from curator_core.storage.disk import make_folder
from curator_core.storage.private import make_private_folder, read_private, write_private
from curator_core.workflow.sequence import StepSequence, all_steps, steps_of, unique_names
from curator_core.workflow.state import Position, Progress, WorkflowStatus
from curator_core.workflow.step import Loop, Step

FOLDER = "slurm"
"""Within the folder of a job: scripts, and what jobs hand over to each other."""
ORCHESTRATOR_RESOURCES = SlurmResources(time="00:30:00", mem="1G")
LOCK_TIMEOUT_S = 60.0
"""How long jobs and submitters wait for one another."""
_PLAN = "plan.pickle"
_REMARK = (
    "As the orchestrator submits it, which puts in what stands in capitals. Changes made here are not taken up: change "
    "the step's resources, or the cluster, and run the workflow."
)


@dataclass(frozen=True)
class SlurmPlan:
    """What all jobs of a workflow know."""

    course: StepSequence
    """The steps."""
    job_dir: Path
    """Folder of the job."""
    cluster: SlurmCluster
    """Where they run; `log_dir` is absolute."""
    resources: SlurmResources
    """What the orchestrator gets."""

    @classmethod
    def of(cls, course: StepSequence, job_dir: Path, cluster: SlurmCluster, resources: SlurmResources | None) -> Self:
        """What is to be run, and where."""
        log_dir = job_dir.parent / Path(cluster.log_dir.replace("{project_job}", job_dir.name)).expanduser()
        return cls(course, job_dir, replace(cluster, log_dir=str(log_dir)), resources or ORCHESTRATOR_RESOURCES)

    @classmethod
    def read(cls, job_dir: Path) -> Self:
        """As `write` left it; modules are found where the submitter finds them.

        Raises
        ------
        WorkflowError
            There is none: a script was submitted that was only to be shown.
        UntrustedFileError
            Others could have written it.
        """
        path = job_dir / FOLDER / _PLAN
        try:
            written = read_private(path)
        except FileNotFoundError:
            raise WorkflowError(
                f"There is no {path}, so no workflow was submitted in {job_dir}. Scripts of generate_scripts() and "
                '`curator workflow scripts` are to be read: submit the workflow with run(mode="slurm").'
            ) from None
        paths, payload = pickle.loads(written)  # noqa: S301 - our own submitter's
        sys.path.extend(path for path in paths if path not in sys.path)
        found: Self = pickle.loads(payload)  # noqa: S301
        return found

    def write(self) -> None:
        """For the jobs to read.

        Raises
        ------
        ConfigError
            A block cannot be pickled; the message names its step.
        """
        for step in all_steps(self.course.elements):
            try:
                cloudpickle.dumps(step)
            except Exception as exc:  # pickling runs the block's own code: anything can be raised
                raise ConfigError(f"Step {step.name!r} cannot be sent to a SLURM job: {exc}.") from exc
        path = self.job_dir / FOLDER / _PLAN
        make_private_folder(path.parent)
        with published(path) as temporary:
            write_private(temporary, pickle.dumps((import_paths(), cloudpickle.dumps(self))))

    def job_name(self, step: Step) -> str:
        """Name of a step's jobs in the queue."""
        return f"{self.course.name}-{step.name}" if self.course.name else step.name

    def orchestrator_script(self) -> str:
        """The small job that submits the others, one step at a time, and itself after each."""
        name = f"{self.course.name}-orchestrator" if self.course.name else "orchestrator"
        command = ["-m", "curator_core.workflow.slurm.orchestrator", str(self.job_dir)]
        comment = orchestrator_comment(self.job_dir)
        return self._script(command, name=name, log="orchestrator-%j", resources=self.resources, comment=comment)

    def step_script(self, step: Step, attempt: str, iteration: int | None, *, remark: str = "") -> str:
        """A step that is one job, in an iteration, or in the one of its submitter."""
        command = ["-m", "curator_core.workflow.slurm.step", str(self.job_dir), attempt]
        return self._script(
            command,
            name=self.job_name(step),
            log=f"{slug(step.name)}-%j",
            resources=step.resources,
            comment=step_comment(attempt),
            environment={} if iteration is None else {ITERATION: str(iteration)},
            required=[ITERATION] if iteration is None else [],
            remark=remark,
        )

    def shown_script(self, step: Step, iteration: int | None) -> str:
        """A step as it is submitted when its turn comes; that of a loop for any iteration."""
        if not step.parallel:
            return self.step_script(step, "ATTEMPT", iteration, remark=_REMARK)
        return array_script(
            self.job_dir / FOLDER / "ARRAY",
            cluster=self.cluster if iteration is None else self.array_cluster(iteration),
            resources=step.resources,
            job_name=self.job_name(step),
            required=[ITERATION] if iteration is None else [],
            remark=_REMARK,
        )

    def array_cluster(self, iteration: int) -> SlurmCluster:
        """Where a parallel step runs, with the iteration in its environment."""
        return replace(self.cluster, env_vars={**self.cluster.env_vars, ITERATION: str(iteration)})

    def _script(
        self,
        command: list[str],
        *,
        name: str,
        log: str,
        resources: SlurmResources,
        comment: str,
        **more: Any,  # noqa: ANN401 - as `render_script`
    ) -> str:
        output = self.cluster.log_dir.replace("%", "%%") + f"/{log}.out"
        asked = resources.options(most_per_cpu=self.cluster.mem_per_cpu)
        options: dict[str, Option] = {**asked, "job-name": name, "comment": comment, "output": output}
        return render_script(command, cluster=self.cluster, options=options, **more)

    def submit_orchestrator(self, *options: str) -> str:
        """Submit the orchestrator; the number of its job."""
        return self.submit("orchestrator", self.orchestrator_script(), *options)

    def submit(self, label: str, text: str, *options: str) -> str:
        """Keep a script in the folder of scripts, and submit it."""
        make_folder(Path(self.cluster.log_dir))
        script = self.job_dir / FOLDER / f"{label}.sh"
        write_private(script, text.encode())  # variables may be secrets
        return submit(script, *options)


def step_comment(attempt: str) -> str:
    """What the job of a step can be found by in the queue."""
    return f"curator-{attempt}"


def orchestrator_comment(job_dir: Path) -> str:
    """What the orchestrator of a job's folder can be found by in the queue."""
    return f"curator-workflow-{hashlib.sha256(str(job_dir).encode()).hexdigest()[:16]}"


def all_scripts(plan: SlurmPlan) -> dict[str, str]:
    """The scripts by label; that of a step in a loop is one for all iterations."""
    course, orchestrator = plan.course, "orchestrator"
    labels, texts = [orchestrator], list[str]()
    for position, element in enumerate(course.elements, start=len(course.before)):
        for number, given in enumerate(steps_of(element)):
            is_in_loop = isinstance(element, Loop)
            labels.append(f"loop{position}_{given.name}" if is_in_loop else given.name)
            texts.append(plan.shown_script(course.step(Position(position, 0, number)), None if is_in_loop else 0))
    return dict(zip(unique_names(labels)[1:], texts, strict=True)) | {orchestrator: plan.orchestrator_script()}


def submit_workflow(plan: SlurmPlan) -> str | None:
    """Submit the first orchestrator; the number of its job, if there is any to do. The caller holds the folder's lock.

    Raises
    ------
    SlurmError
        The scheduler refused it; the folder is as it was.
    """
    before, progress = Progress.read(plan.job_dir), plan.course.progress(plan.job_dir)
    if progress.status is WorkflowStatus.DONE:
        progress.write(plan.job_dir)
        return None
    tried: list[SlurmResources] = []
    for step in all_steps(plan.course.elements):
        if isinstance(step.block, Pipeline):
            step.block.check()
        if step.resources not in tried:  # not when its turn comes, after days of others
            _try_out(plan, step)
            tried.append(step.resources)
    plan.write()
    progress = replace(progress, is_anew=before is not None)
    progress.write(plan.job_dir)
    try:
        job_id = plan.submit_orchestrator()
    except CuratorError:
        Progress.restore(before, plan.job_dir)
        raise
    replace(progress, orchestrator=job_id).write(plan.job_dir)
    return job_id


def _try_out(plan: SlurmPlan, step: Step) -> None:
    try:
        try_out(plan.step_script(step, "ATTEMPT", 0))
    except SlurmError as exc:
        raise SlurmError(f"Step {step.name!r}: {exc}") from exc


def refuse_orchestrated(job_dir: Path, *, is_on_cluster: bool) -> None:
    """Refuse a folder on whose workflow a job of SLURM goes on.

    Parameters
    ----------
    job_dir
        Folder of the job.
    is_on_cluster
        Look in the queue although no job was written down: its submitter may have been killed before.

    Raises
    ------
    WorkflowError
        There is one.
    """
    found = Progress.read(job_dir)
    job_id = None if found is None else orchestrating_job(job_dir, found, is_on_cluster=is_on_cluster)
    if found is not None and job_id is not None:
        raise WorkflowError(
            f"The workflow of {job_dir} goes on as SLURM's job {job_id}. Wait for it, or end it with: "
            f"scancel {' '.join([job_id, *found.jobs])}"
        )


def orchestrating_job(job_dir: Path, progress: Progress, *, is_on_cluster: bool = True) -> str | None:
    """The job of SLURM that goes on with a workflow; ``None`` if there is none.

    Parameters
    ----------
    job_dir, progress
        Folder of the job, and what is written down there.
    is_on_cluster
        As for `refuse_orchestrated`.
    """
    job_id = progress.orchestrator
    if progress.status is not WorkflowStatus.RUNNING or (job_id is None and not is_on_cluster):
        return None
    if job_id is not None and is_alive(job_id):
        return job_id
    return find_job(orchestrator_comment(job_dir))
