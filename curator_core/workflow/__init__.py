"""Workflows: steps and loops over a table of experiments that many processes work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.experiments.data import ExperimentData
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import (
    ArrayParameter,
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Parameter,
)
from curator_core.experiments.failure import Failure
from curator_core.experiments.references import Reference
from curator_core.experiments.sample import ExperimentSample, JobStatus
from curator_core.experiments.stored.claims import Claimant, claim_open, claimed_rows, open_rows
from curator_core.experiments.stored.collection import Collected, collect_results
from curator_core.experiments.stored.results import Result, Results, read_results, write_result
from curator_core.moved import names_in
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.block import Block, ChainedBlock, CollectArrayResults, DataGenerator, LoopBlock
from curator_core.workflow.optimizer import Optimizer
from curator_core.workflow.sampler import Sampler
from curator_core.workflow.step import Loop, Step
from curator_core.workflow.workflow import Workflow

if TYPE_CHECKING:
    from curator_core.experiments.stored.files import read_jobs as read_jobs
    from curator_core.experiments.stored.watching import Experiment as Experiment
    from curator_core.experiments.stored.watching import TableWatch as TableWatch
    from curator_core.workflow.calls import check_calls as check_calls
    from curator_core.workflow.config import WorkflowFile as WorkflowFile
    from curator_core.workflow.config import read_workflow as read_workflow
    from curator_core.workflow.execution import check_evaluated as check_evaluated
    from curator_core.workflow.execution import iteration_told as iteration_told
    from curator_core.workflow.execution import run_step as run_step
    from curator_core.workflow.execution import step_pipeline as step_pipeline
    from curator_core.workflow.execution import write_failures as write_failures
    from curator_core.workflow.sequence import StepSequence as StepSequence
    from curator_core.workflow.sequence import all_steps as all_steps
    from curator_core.workflow.sequence import steps_of as steps_of
    from curator_core.workflow.slurm.following import cancel_workflow as cancel_workflow
    from curator_core.workflow.slurm.following import follow_workflow as follow_workflow
    from curator_core.workflow.slurm.jobs import orchestrating_job as orchestrating_job
    from curator_core.workflow.slurm.jobs import refuse_orchestrated as refuse_orchestrated
    from curator_core.workflow.state import STATE_FILE as STATE_FILE
    from curator_core.workflow.state import Position as Position
    from curator_core.workflow.state import Progress as Progress
    from curator_core.workflow.state import WorkflowStatus as WorkflowStatus
    from curator_core.workflow.state import job_lock as job_lock
    from curator_core.workflow.workflow import job_folder as job_folder

_HOME = {
    "read_jobs": "curator_core.experiments.stored.files",
    "Experiment": "curator_core.experiments.stored.watching",
    "TableWatch": "curator_core.experiments.stored.watching",
    "check_calls": "curator_core.workflow.calls",
    "WorkflowFile": "curator_core.workflow.config",
    "read_workflow": "curator_core.workflow.config",
    "check_evaluated": "curator_core.workflow.execution",
    "iteration_told": "curator_core.workflow.execution",
    "run_step": "curator_core.workflow.execution",
    "step_pipeline": "curator_core.workflow.execution",
    "write_failures": "curator_core.workflow.execution",
    "StepSequence": "curator_core.workflow.sequence",
    "all_steps": "curator_core.workflow.sequence",
    "steps_of": "curator_core.workflow.sequence",
    "cancel_workflow": "curator_core.workflow.slurm.following",
    "follow_workflow": "curator_core.workflow.slurm.following",
    "orchestrating_job": "curator_core.workflow.slurm.jobs",
    "refuse_orchestrated": "curator_core.workflow.slurm.jobs",
    "STATE_FILE": "curator_core.workflow.state",
    "Position": "curator_core.workflow.state",
    "Progress": "curator_core.workflow.state",
    "WorkflowStatus": "curator_core.workflow.state",
    "job_lock": "curator_core.workflow.state",
    "job_folder": "curator_core.workflow.workflow",
}
"""What curator's own Dagster package takes besides, which is no part of the public names."""

__all__ = [
    "ArrayParameter",
    "Block",
    "CategoricalParameter",
    "ChainedBlock",
    "Claimant",
    "CollectArrayResults",
    "Collected",
    "ConstantParameter",
    "ContinuousParameter",
    "DataGenerator",
    "DiscreteParameter",
    "Domain",
    "ExperimentData",
    "ExperimentSample",
    "Failure",
    "JobStatus",
    "Loop",
    "LoopBlock",
    "Optimizer",
    "Parameter",
    "Reference",
    "Result",
    "Results",
    "Sampler",
    "SlurmCluster",
    "SlurmResources",
    "Step",
    "Workflow",
    "claim_open",
    "claimed_rows",
    "collect_results",
    "open_rows",
    "read_results",
    "write_result",
]
__getattr__ = names_in(__name__, _HOME)
