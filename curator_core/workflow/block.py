"""Blocks: operations on a table of experiments, which can be chained and repeated."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Self, cast

from curator_core.config import plain_mapping
from curator_core.errors import ConfigError, CuratorError
from curator_core.registry import imported
from curator_core.workflow.experiments import ExperimentData
from curator_core.workflow.results import collect_results
from curator_core.workflow.samples import ExperimentSample

TARGET = "_target_"
"""Key of a configuration that names the class, as ``package.module.Class``."""


class Block:
    """One operation on experiments: a subclass has a `call`."""

    call_kwargs: Mapping[str, Any] = {}
    """Arguments of every `call`, where none are given."""

    def arm(self, data: ExperimentData) -> None:
        """Prepare for `call`, with the table as it is then; nothing by default."""

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """The table that comes of `data`."""
        raise NotImplementedError(f"{type(self).__name__} has no call().")

    @classmethod
    def from_yaml(cls, init_config: Mapping[str, Any], call_config: Mapping[str, Any] | None = None) -> Self:
        """Build a block from a configuration: a mapping, or one of OmegaConf.

        Parameters
        ----------
        init_config
            Arguments of the constructor, and under ``_target_`` the class, which is this one by default.
        call_config
            Arguments of every `call`.

        Raises
        ------
        ConfigError
            There is no such class, it is no block, or it does not take these arguments.
        """
        settings = plain_mapping(init_config, where="The configuration of a block")
        target = settings.pop(TARGET, None)
        made = cls if target is None else imported(str(target), where=f"{TARGET} of a block")
        if not (isinstance(made, type) and issubclass(made, cls)):
            raise ConfigError(f"{target!r} is no {cls.__name__}, but {made!r}.")
        block = cast("Self", _made(made, settings))
        block.call_kwargs = {} if call_config is None else plain_mapping(call_config, where="call_config")
        return block

    def __call__(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """`arm` and `call`, with the arguments of `from_yaml` where none are given."""
        self.arm(data)
        return self.call(data, **{**self.call_kwargs, **kwargs})

    def __rshift__(self, other: Block) -> ChainedBlock:
        """A block that is both, one after the other."""
        return ChainedBlock(self, other)

    def loop(self, n_loops: int) -> LoopBlock:
        """A block that is this one, several times."""
        return LoopBlock(self, n_loops)


def _made(cls: type[Block], settings: dict[str, Any]) -> Block:
    try:
        return cls(**settings)
    except CuratorError:
        raise
    except (OSError, TypeError, ValueError) as exc:  # raised by the block's own constructor
        takes = ", ".join(inspect.signature(cls).parameters) or "no arguments"
        raise ConfigError(
            f"{cls.__name__} cannot be made of {settings}: {type(exc).__name__}: {exc}. It takes {takes}."
        ) from exc


class ChainedBlock(Block):
    """Blocks one after the other: each gets what the one before it gave."""

    def __init__(self, *blocks: Block) -> None:
        self.blocks: list[Block] = []
        for block in blocks:
            self.blocks += block.blocks if type(block) is ChainedBlock else [block]

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """What the last block gives; all get the same arguments."""
        for block in self.blocks:
            data = block(data, **kwargs)
        return data


class LoopBlock(Block):
    """A block several times, each time on what it gave before."""

    def __init__(self, block: Block, n_loops: int) -> None:
        if n_loops < 1:
            raise ConfigError(f"A block is repeated once or more, not {n_loops!r} times.")
        self.block = block
        self.n_loops = n_loops

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """What it gives the last time."""
        for _ in range(self.n_loops):
            data = self.block(data, **kwargs)
        return data


class DataGenerator(Block):
    """Experiments one by one: a subclass has an `execute`."""

    def execute(self, experiment_sample: ExperimentSample, **kwargs: Any) -> ExperimentSample:  # noqa: ANN401 - a block's own
        """The record with its outputs stored in it."""
        raise NotImplementedError(f"{type(self).__name__} has no execute().")

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """The table with the outputs of its open rows.

        An error ends the call: `Step` with ``parallel=True`` keeps it to its row.
        """
        for index, sample in data.select_with_status("open"):
            done = self.execute(sample, **kwargs)
            done.mark("finished")
            data.store_experimentsample(done, index)
        return data


class CollectArrayResults(Block):
    """Takes the results that tasks wrote, one file per row, into the table.

    Parameters
    ----------
    cleanup
        Remove the files then.
    """

    def __init__(self, cleanup: bool = True) -> None:  # noqa: FBT001, FBT002 - f3dasm's signature
        self.cleanup = cleanup

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """The table with the results."""
        del kwargs
        collect_results(data.project_dir, cleanup=self.cleanup)
        return ExperimentData.from_file(data.project_dir)
