"""Workflows: steps and loops over a table of experiments that many processes work on."""

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
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.block import Block, ChainedBlock, CollectArrayResults, DataGenerator, LoopBlock
from curator_core.workflow.optimizer import Optimizer
from curator_core.workflow.sampler import Sampler
from curator_core.workflow.step import Loop, Step
from curator_core.workflow.workflow import Workflow

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
