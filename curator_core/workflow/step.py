"""Steps and loops: what a workflow is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from curator_core.config import plain
from curator_core.errors import ConfigError
from curator_core.pipeline import Pipeline
from curator_core.slurm import SlurmResources
from curator_core.workflow.block import Block
from curator_core.workflow.experiments import ExperimentData

Operation = Block | Pipeline[Any] | Callable[..., object]
"""What a step does."""


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
    """Unique in the workflow; that of the block by default."""
    parallel: bool = False
    """Spread the open experiments, or the pipeline's items, over workers or a job array."""
    resources: SlurmResources = field(default_factory=SlurmResources)
    """What its jobs get on SLURM."""
    dependency: Literal["afterok", "afterany"] = "afterok"
    """Whether the next step waits for this one to succeed, or only to end."""
    project_dir: str = "."
    """Folder of its table, within the folder of the job."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the block's `call`, or of the function."""

    def __post_init__(self) -> None:
        block: object = self.block
        if not (isinstance(block, Block | Pipeline) or callable(block)):
            raise ConfigError(f"A step's block is a Block, a Pipeline or a function, not {self.block!r}.")
        if self.dependency not in ("afterok", "afterany"):
            raise ConfigError(f"A step's dependency is 'afterok' or 'afterany', not {self.dependency!r}.")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.block, "__name__", type(self.block).__name__))
        if not self.name.isprintable() or "/" in self.name:
            raise ConfigError(f"A step's name is a text in one line without slashes, not {self.name!r}.")
        if type(self.kwargs).__module__.startswith("omegaconf."):  # workers need not have it
            object.__setattr__(self, "kwargs", plain(self.kwargs, where=f"Step {self.name!r}: kwargs"))
        path = PurePosixPath(self.project_dir)
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"Step {self.name!r}: project_dir={self.project_dir!r} leaves the folder of the job.")
        if self.parallel and not isinstance(self.block, Block | Pipeline):
            raise ConfigError(f"Step {self.name!r}: a function cannot be spread over workers; make it a DataGenerator.")

    def folder(self, job_dir: Path) -> Path:
        """Folder of its table."""
        return job_dir / self.project_dir


@dataclass(frozen=True)
class Loop:
    """Repeats its steps."""

    n_iterations: int = 1
    """How often at most."""
    steps: Sequence[Step] = ()
    """What is repeated."""
    until: Callable[[ExperimentData], bool] | None = None
    """Told the table of the last step after every iteration; true ends the loop."""

    def __post_init__(self) -> None:
        n: object = self.n_iterations
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ConfigError(f"A loop has one iteration or more, not {n!r}.")
        if not self.steps:
            raise ConfigError("A loop needs a step.")


Element = Step | Loop
