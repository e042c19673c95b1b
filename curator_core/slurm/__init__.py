"""SLURM: what jobs ask for, their scripts, and the scheduler's commands."""

from curator_core.slurm.accounting import TaskUsage, array_usage
from curator_core.slurm.commands import (
    ArrayState,
    SlurmAwayError,
    SlurmError,
    array_states,
    cancel,
    find_job,
    find_jobs,
    is_alive,
    job_state,
    patiently,
    submit,
    try_out,
    wait_for,
    waiting_reason,
)
from curator_core.slurm.resources import SlurmCluster, SlurmResources
from curator_core.slurm.script import import_paths, render_script

__all__ = [
    "ArrayState",
    "SlurmAwayError",
    "SlurmCluster",
    "SlurmError",
    "SlurmResources",
    "TaskUsage",
    "array_states",
    "array_usage",
    "cancel",
    "find_job",
    "find_jobs",
    "import_paths",
    "is_alive",
    "job_state",
    "patiently",
    "render_script",
    "submit",
    "try_out",
    "wait_for",
    "waiting_reason",
]
