"""Steps and loops: what a workflow is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from types import UnionType
from typing import Any, Literal

from curator_core.errors import ConfigError
from curator_core.experiments.data import ExperimentData
from curator_core.pipeline.mapping_files import plain
from curator_core.pipeline.pipeline import Pipeline
from curator_core.slurm import SlurmResources
from curator_core.workflow.block import Block, DataGenerator, n_iterations_of

Operation = Block | Pipeline[Any] | Callable[..., object]
"""What a step does."""
MAX_NAME_BYTES = 200
"""Length of a step's name: scripts and databases are named after it."""


@dataclass(frozen=True)
class Step:
    """One operation of a workflow.

    Raises
    ------
    ConfigError
        A value is wrong; it is a ``ValueError``, too.
    """

    block: Operation
    """A block, a pipeline, or a function that is called with ``project_dir=…``."""
    name: str = ""
    """That of the block by default."""
    parallel: bool = False
    """Spread the open experiments, or the pipeline's items, over workers or a job array."""
    resources: SlurmResources = field(default_factory=SlurmResources)
    """What its jobs get on SLURM."""
    dependency: Literal["afterok", "afterany"] = "afterok"
    """Whether this step waits for the one before it to succeed, or only to end."""
    project_dir: str = "."
    """Folder of its table, within the folder of the job."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the block's `call`, or of the function."""

    def __post_init__(self) -> None:
        _check_operation(self.block)
        if self.dependency not in ("afterok", "afterany"):
            raise ConfigError(f"A step's dependency is 'afterok' or 'afterany', not {self.dependency!r}.")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.block, "__name__", type(self.block).__name__))
        name: object = self.name
        if not isinstance(name, str) or not name.isprintable() or "/" in name:
            raise ConfigError(f"A step's name is a text in one line without slashes, not {name!r}.")
        if len(os.fsencode(name)) > MAX_NAME_BYTES:
            raise ConfigError(
                f"A step's name becomes part of files' names: {MAX_NAME_BYTES} bytes at most, not {name!r}."
            )
        if type(self.kwargs).__module__.startswith("omegaconf."):  # workers need not have it
            object.__setattr__(self, "kwargs", plain(self.kwargs, where=f"Step {name!r}: kwargs"))
        _check_kinds(self)
        path = PurePosixPath(self.project_dir)
        leaves = path.is_absolute() or ".." in path.parts or str(path).startswith("~") or "://" in str(self.project_dir)
        if leaves or not str(path).isprintable():
            raise ConfigError(f"Step {name!r}: project_dir={self.project_dir!r} leaves the folder of the job.")
        if self.parallel and not isinstance(self.block, Block | Pipeline):
            raise ConfigError(f"Step {name!r}: a function cannot be spread over workers; make it a DataGenerator.")

    def folder(self, job_dir: Path) -> Path:
        """Folder of its table."""
        return job_dir / self.project_dir


def _check_operation(block: object) -> None:
    if isinstance(block, type) and issubclass(block, Block | Pipeline):
        raise ConfigError(f"A step's block is made first: {block.__name__}(…), not the class {block.__name__}.")
    if not (isinstance(block, Block | Pipeline) or callable(block)):
        raise ConfigError(f"A step's block is a Block, a Pipeline or a function, not {block!r}.")
    kind = type(block)
    if issubclass(kind, DataGenerator) and (kind.call, kind.execute) == (DataGenerator.call, DataGenerator.execute):
        raise ConfigError(f"{kind.__name__} has no execute(), so it does nothing.")


def _check_kinds(step: Step) -> None:
    """What is not asked elsewhere; annotations bind nobody."""
    given: list[tuple[str, object, type | UnionType]] = [
        ("parallel", step.parallel, bool),
        ("resources", step.resources, SlurmResources),
        ("project_dir", step.project_dir, str | PurePath),
        ("kwargs", step.kwargs, Mapping),
    ]
    for setting, value, kind in given:
        if not isinstance(value, kind):
            raise ConfigError(f"Step {step.name!r}: {setting} must be of type {_name(kind)}, not {value!r}.")
    for word in step.kwargs:
        if not isinstance(word, str):
            raise ConfigError(f"Step {step.name!r}: kwargs: the name {word!r} is no text.")


def _name(kind: type | UnionType) -> str:
    return getattr(kind, "__name__", str(kind))


@dataclass(frozen=True)
class Loop:
    """Repeats its steps.

    Raises
    ------
    ConfigError
        A value is wrong.
    """

    n_iterations: int = 1
    """How often at most; 0 leaves its steps out."""
    steps: Sequence[Step] = ()
    """What is repeated."""
    until: Callable[[ExperimentData], bool] | None = None
    """Called with the table of the last step after every iteration; true ends the loop."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_iterations", n_iterations_of(self.n_iterations))
        object.__setattr__(self, "steps", listed_steps(self.steps, "A loop", Step))
        if self.until is not None and not callable(self.until):
            raise ConfigError(f"until must be a function that is told the table, not {self.until!r}.")


def listed_steps(steps: object, what: str, kind: type | UnionType) -> Sequence[Any]:
    """Steps as a sequence, which can be gone through more than once.

    Raises
    ------
    ConfigError
        They are none.
    """
    if not isinstance(steps, Iterable) or isinstance(steps, str | Mapping):
        raise ConfigError(f"{what} has a list of steps, not {steps!r}.")
    found = steps if isinstance(steps, Sequence) else tuple(steps)
    for step in found:
        if isinstance(step, Loop) and kind is Step:
            raise ConfigError(f"{what} cannot hold another loop: put the steps of both into one, or use Block.loop().")
        if not isinstance(step, kind):
            raise ConfigError(f"{what} is made of steps, not of {step!r}: write Step(…).")
    return found


Element = Step | Loop
