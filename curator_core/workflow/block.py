"""Blocks: operations on a table of experiments, which can be chained and repeated."""

from __future__ import annotations

import copy
import functools
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Self

from curator_core.errors import ConfigError, WorkflowError
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.sample import ExperimentSample
from curator_core.pipeline.mapping_files import plain_mapping
from curator_core.workflow.evaluation import evaluated
from curator_core.workflow.instantiation import TARGET, called, callee_of, check_resolved, filled


class Block(ABC):
    """One operation on experiments: a subclass has a `call`."""

    call_kwargs: Mapping[str, Any] = {}
    """Arguments that `from_yaml` gave to every `call`."""

    def arm(self, data: ExperimentData) -> None:  # noqa: B027 - a block need not have one
        """Prepare for `call`, once, with the table as it is before; nothing by default."""

    @abstractmethod
    def call(self, data: ExperimentData, *args: Any, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """The table that comes of `data`."""

    @classmethod
    def from_yaml(cls, init_config: Mapping[str, Any], call_config: Mapping[str, Any] | None = None) -> Self:
        """Build a block from a configuration: a mapping, or one of OmegaConf.

        Objects within it are built, too: ``{"_target_": "study.Update", "model": {"_target_": "study.Model"}}``. As
        for Hydra, ``_args_`` are arguments without names, and ``_partial_: true`` gives a function. Nothing but what
        the configuration names is called, and nothing of Python's own library.

        Parameters
        ----------
        init_config
            Arguments of the constructor, and under ``_target_`` the class, which is this one by default, or a
            function that gives a block.
        call_config
            Arguments of every `call`; what a call is given itself comes first.

        Raises
        ------
        ConfigError
            There is no such class or function, it gives no block, or it does not take these arguments.
        """
        try:
            return cls._configured(init_config, call_config)
        except RecursionError:
            raise ConfigError("The configuration of a block is nested too deep, or contains itself.") from None

    @classmethod
    def _configured(cls, init_config: Mapping[str, Any], call_config: Mapping[str, Any] | None) -> Self:
        settings = plain_mapping(init_config, where="The configuration of a block")
        check_resolved(settings, "The configuration of a block")
        target = settings.get(TARGET)
        callee = cls if target is None else callee_of(target, where="", kind=Block)
        if isinstance(callee, type) and not issubclass(callee, cls):
            raise ConfigError(f"{target!r} is no {cls.__name__}, but {callee!r}.")
        block = called(callee, settings, where="", kind=Block)
        if not isinstance(block, cls):
            raise ConfigError(f"{target!r} gave no {cls.__name__}, but {type(block).__name__}.")
        if call_config is None:
            return block
        given = plain_mapping(call_config, where="call_config")
        check_resolved(given, "call_config")
        kwargs = filled(given, where="call_config", kind=Block)
        return block._with_call_kwargs(kwargs)  # noqa: SLF001 - its own

    def _with_call_kwargs(self, kwargs: Mapping[str, Any]) -> Self:
        found = copy.copy(self)  # a function may give the same block every time
        object.__setattr__(found, "call_kwargs", kwargs)
        object.__setattr__(found, "call", functools.partial(found.call, **kwargs))
        return found

    def __call__(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """`arm`, then `call`."""
        self.arm(data)
        return self.call(data, **{**self.call_kwargs, **kwargs})

    def __rshift__(self, other: Block) -> ChainedBlock:
        """A block that is both, one after the other."""
        return ChainedBlock(self, other)

    def loop(self, n_iterations: int) -> LoopBlock:
        """A block that is this one, several times."""
        return LoopBlock(self, n_iterations)


class ChainedBlock(Block):
    """Blocks one after the other: each gets what the one before it gave.

    Parameters
    ----------
    blocks, *more
        The blocks, in a list or one by one.

    Raises
    ------
    ConfigError
        One of them is no block.
    """

    def __init__(self, blocks: Block | Iterable[Block] = (), *more: Block) -> None:
        self.blocks: list[Block] = []
        for block in [*([blocks] if isinstance(blocks, Block) else _listed(blocks)), *more]:
            _check_block(block, "A chain")
            self.blocks += block.blocks if type(block) is ChainedBlock else [block]

    def arm(self, data: ExperimentData) -> None:
        """Arm all of them, with the table as it is before the first."""
        for block in self.blocks:
            block.arm(data)

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """What the last block gives; all get the same arguments."""
        for block in self.blocks:
            data = checked_table(block.call(data, **kwargs), block)
        return data


class LoopBlock(Block):
    """A block several times, each time on what it gave before; it is armed once.

    Parameters
    ----------
    block
        The block.
    n_iterations
        How often; 0 leaves a table as it is.

    Raises
    ------
    ConfigError
        It is no block, or no such number.
    """

    def __init__(self, block: Block, n_iterations: int) -> None:
        _check_block(block, "A loop")
        self.block = block
        self.n_iterations = n_iterations_of(n_iterations)

    def arm(self, data: ExperimentData) -> None:
        """Arm the block, before the first iteration."""
        self.block.arm(data)

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - a block's own
        """What it gives the last time."""
        for _ in range(self.n_iterations):
            data = checked_table(self.block.call(data, **kwargs), self.block)
        return data


def checked_table(result: object, block: Block) -> ExperimentData:
    """What a block gave.

    Raises
    ------
    WorkflowError
        It is no table.
    """
    if not isinstance(result, ExperimentData):
        raise WorkflowError(f"{type(block).__name__}.call() gave {result!r:.80}, no ExperimentData.")
    return result


def n_iterations_of(given: object) -> int:
    """A number of iterations, as an integer of Python.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        n = -1 if isinstance(given, bool) else operator.index(given)  # type: ignore[arg-type] # that is asked here
    except TypeError:
        n = -1
    if n < 0:
        raise ConfigError(f"A loop has a number of iterations, 0 or more, not {given!r}.")
    return n


def _listed(blocks: object) -> list[Any]:
    if isinstance(blocks, str) or not isinstance(blocks, Iterable):
        raise ConfigError(f"A chain is made of a list of blocks, not of {blocks!r}.")
    return list(blocks)


def _check_block(block: object, what: str) -> None:
    if not isinstance(block, Block):
        given = f"the class {block.__name__}: make it first" if isinstance(block, type) else repr(block)
        raise ConfigError(f"{what} is made of blocks, not of {given}.")


class DataGenerator(Block):
    """Experiments one by one: a subclass has an `execute`."""

    def execute(self, experiment_sample: ExperimentSample, *args: Any, **kwargs: Any) -> ExperimentSample:  # noqa: ANN401 - a block's own
        """The record with its outputs stored in it."""
        raise NotImplementedError(f"{type(self).__name__} has no execute().")

    def call(
        self,
        data: ExperimentData,
        mode: str = "sequential",
        pass_id: bool = False,  # noqa: FBT001, FBT002 - f3dasm's signature
        **kwargs: Any,  # noqa: ANN401 - those of `execute`
    ) -> ExperimentData:
        """The table with the outputs of its open rows; `data` stays as it is.

        A row that fails is marked as an error, with the reason in `failures`; the others go on.

        Parameters
        ----------
        data
            The table.
        mode
            ``"sequential"``: one row after the other, in this process. ``"parallel"``: in ``nodes=`` processes, one
            for each CPU by default. ``"cluster"``: at the table in `data`'s project folder, together with any number
            of other processes that do the same. ``"cluster_array"``: row ``job_number=`` of that table alone, whose
            result is a file until `CollectArrayResults`.
        pass_id
            Give `execute` the row's number, as ``id``.
        **kwargs
            Arguments of `execute`.

        Raises
        ------
        ConfigError
            There is no such mode, or `execute` does not take these arguments; no row was evaluated.
        """
        return evaluated(self, data, mode, pass_id=pass_id, kwargs=kwargs)


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
        """The table with the results; the one on disk has them before their files are removed."""
        del kwargs
        return data.with_results(cleanup=self.cleanup)
