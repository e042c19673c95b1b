"""SLURM: what jobs ask for, their scripts, and the scheduler's commands."""

from curator_core.slurm.accounting import TaskUsage, array_usage
from curator_core.slurm.commands import (
    ArrayState,
    SlurmAwayError,
    SlurmError,
    array_states,
    cancel,
    find_job,
    submit,
    waiting_reason,
)
from curator_core.slurm.resources import SlurmCluster, SlurmResources
from curator_core.slurm.script import render_script

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
    "render_script",
    "submit",
    "waiting_reason",
]
