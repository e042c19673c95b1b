"""Experiments: a table of inputs, outputs and job statuses that many processes work on."""

from curator_core.workflow.claims import Claimant, claim_open, claimed_rows, open_rows
from curator_core.workflow.domain import Domain
from curator_core.workflow.experiments import ExperimentData
from curator_core.workflow.objects import Reference
from curator_core.workflow.parameters import (
    ArrayParameter,
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Parameter,
)
from curator_core.workflow.results import Collected, Result, Results, collect_results, read_results, write_result
from curator_core.workflow.samples import ExperimentSample, JobStatus
from curator_core.workflow.table import Failure

__all__ = [
    "ArrayParameter",
    "CategoricalParameter",
    "Claimant",
    "Collected",
    "ConstantParameter",
    "ContinuousParameter",
    "DiscreteParameter",
    "Domain",
    "ExperimentData",
    "ExperimentSample",
    "Failure",
    "JobStatus",
    "Parameter",
    "Reference",
    "Result",
    "Results",
    "claim_open",
    "claimed_rows",
    "collect_results",
    "open_rows",
    "read_results",
    "write_result",
]
