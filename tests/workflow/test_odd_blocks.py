"""Blocks and generators that do what they should not, and configurations that say what cannot be followed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from curator_core.errors import ConfigError, WorkflowError
from curator_core.workflow import Block, DataGenerator, ExperimentData
from curator_core.workflow.experiments_pipeline import experiments_pipeline


class Leaves(DataGenerator):
    """Ends the program at one row, as some readers of files do."""

    def execute(self, experiment_sample, error=SystemExit):
        if experiment_sample.get("x") == 1:
            if error is SystemExit:
                sys.exit(3)
            raise error
        experiment_sample.store("y", 1.0)
        return experiment_sample


class Forgets(Block):
    """Has no return."""

    def __init__(self, text="", parts=()):
        self.text, self.parts = text, parts

    def call(self, data, **kwargs):
        pass


def rows():
    return ExperimentData(input_data=[{"x": float(i)} for i in range(3)])


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, asyncio.CancelledError])
def test_a_row_that_ends_the_program_fails_alone(error):
    """The rows before it are not lost, and those after it are evaluated."""
    done = Leaves().call(rows(), error=error)
    assert list(done.jobs) == ["finished", "error", "finished"]
    assert error.__name__ in done.failures[1].error


def test_ctrl_c_is_no_failure_of_a_row():
    """It ends the call."""
    with pytest.raises(KeyboardInterrupt):
        Leaves().call(rows(), error=KeyboardInterrupt)


def test_a_block_that_gives_no_table_is_named():
    """In a chain, and in a loop, where the next one would be given nothing."""
    for block in (Forgets() >> Leaves(), Forgets().loop(2)):
        with pytest.raises(WorkflowError, match=r"Forgets\.call\(\) gave None"):
            block.call(rows())
    with pytest.raises(ConfigError, match="called with ExperimentData, not with 'study'"):
        Leaves().call("study")


class Grows(Block):
    """Adds a row to whatever it is given."""

    def call(self, data, **kwargs):
        return data.add_experiments(data.get_experiment_sample(data.index[0]))


@pytest.mark.parametrize(("block", "reason"), [(Grows(), "added 1 rows to row 0"), (Forgets(), "gave None")])
def test_rows_that_a_parallel_step_would_lose_are_told(tmp_path, block, reason):
    """Its rows are evaluated each by itself, so that there is no place for others."""
    rows().store(tmp_path)
    pipeline = experiments_pipeline(tmp_path, block, {}, [0], db_file=tmp_path / "m.db", attempt="1")
    with pytest.raises(WorkflowError, match=reason):
        pipeline[0]


@pytest.mark.parametrize("text", ["${study.seed}", "run ${oc.env:HOME}/x", "${.sibling}"])
def test_references_in_a_plain_mapping_are_refused(text):
    """They are OmegaConf's, and would be taken for text."""
    for config in ({"text": text}, {"parts": [{"a": text}]}):
        with pytest.raises(ConfigError, match="not followed in a plain mapping"):
            Forgets.from_yaml(config)
    with pytest.raises(ConfigError, match="call_config: n"):
        Forgets.from_yaml({}, {"n": text})


def test_texts_that_are_no_references_stay():
    """A dollar sign alone, or braces."""
    text = "$HOME {x} $${} ${1}"
    assert Forgets.from_yaml({"text": text}).text == text


def test_how_to_convert_is_checked():
    """A word that Hydra does not have is no less wrong here."""
    assert Forgets.from_yaml({"_convert_": "all", "text": "a"}).text == "a"
    with pytest.raises(ConfigError, match="_convert_"):
        Forgets.from_yaml({"_convert_": "al"})
