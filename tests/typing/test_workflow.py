"""Types of tables, blocks and workflows, as a user's type checker sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import pandas as pd
from numpy.typing import NDArray

from curator_core.workflow import (
    ArrayParameter,
    Block,
    ContinuousParameter,
    DataGenerator,
    Domain,
    ExperimentData,
    ExperimentSample,
    Failure,
    Loop,
    Step,
    Workflow,
)


class Square(DataGenerator):
    """The square of ``x``, with an argument of its own."""

    def execute(self, experiment_sample: ExperimentSample, offset: float = 0.0) -> ExperimentSample:
        x = experiment_sample.input_data["x"]
        assert isinstance(x, float)
        experiment_sample.store("y", x**2 + offset)
        return experiment_sample


class Design(Block):
    """As many rows as are asked for."""

    def call(self, data: ExperimentData, n: int = 1) -> ExperimentData:
        return ExperimentData.from_sampling("random", data.domain, n, seed=1)


def test_tables() -> None:
    """Rows, records and frames of a table."""
    data = ExperimentData(input_data=[{"x": 1.0}, {"x": 2.0}])
    assert_type(data.select([0]), ExperimentData)
    assert_type(data + data, ExperimentData)
    assert_type(data.domain, Domain)
    assert_type(data.failures, dict[int, Failure])
    assert_type(data.to_pandas(), tuple[pd.DataFrame, pd.DataFrame])
    assert_type(data.to_numpy(), tuple[NDArray[Any], NDArray[Any]])
    assert_type(data.get_experiment_sample(0), ExperimentSample)
    for number, sample in data:
        assert_type(number, int)
        assert_type(sample, ExperimentSample)
    assert len(data) == 2


def test_blocks() -> None:
    """An `execute` and a `call` with arguments of their own are fitting overrides; a chain is a block."""
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    block = Design() >> Square()
    assert isinstance(block.loop(2), Block)
    done = Square().call(Design().call(ExperimentData(domain), n=3), offset=1.0)
    assert_type(done, ExperimentData)
    assert len(done.to_pandas()[1]) == 3
    assert_type(Square.from_yaml({}), Square)


def test_workflows() -> None:
    """Steps and loops make a workflow; blocks and numbers do not."""
    workflow = Workflow("w", [Step(Design()), Loop(2, [Step(Square())])])
    assert_type(workflow, Workflow)
    assert_type(workflow.steps, Sequence[Step | Loop])
    assert_type(
        Workflow.from_yaml({"name": "w", "steps": [{"block": "curator_core.workflow.CollectArrayResults"}]}), Workflow
    )
    assert_type(ArrayParameter((2,), 0.0, 1.0), ArrayParameter)
    assert_type(ContinuousParameter(0.0, 1.0), ContinuousParameter)
