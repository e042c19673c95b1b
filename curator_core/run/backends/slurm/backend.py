"""Job arrays of a SLURM cluster."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from typing import Any, ClassVar

from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult, WorkerUsage
from curator_core.run.backends.slurm.array import ArrayFolder
from curator_core.run.backends.slurm.coordinator import SlurmCoordinator
from curator_core.run.backends.slurm.usage import usage_of
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig
from curator_core.run.options import TIMEOUT, Option, Options


class SlurmBackend(RunBackend):
    """The indices as one job array; this process submits it, waits for results and records them.

    A run that is killed or interrupted leaves its array alone: the next one takes over what the tasks did and
    waits for what they still do.
    """

    name: ClassVar[str] = "slurm"
    description: ClassVar[str] = "A job array on a SLURM cluster."
    options: ClassVar[Options] = {
        "cluster": Option("Where jobs go: a `SlurmCluster`, a mapping, or a YAML file of one."),
        "resources": Option("What a task asks for: `SlurmResources`, a mapping, or a YAML file of it."),
        "cancel_on_interrupt": Option("Whether an interrupt cancels the array, which goes on otherwise."),
        "timeout": TIMEOUT,
        "wait": Option("Whether the run waits until every item is done, as it does by default."),
        "tries_anew": Option("With `wait=False`, whether what an array left when it ended is submitted once more."),
        "job_name": Option("Name of the array, `curator` by default."),
    }

    def __init__(self) -> None:
        self._finished: list[ArrayFolder] = []

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as tasks hand them back."""
        coordinator = SlurmCoordinator(pipeline, config, finished=self._finished)
        try:
            if config.backend_options.get("wait", True):
                yield from coordinator.results()
            else:
                yield from coordinator.results_so_far()
        except KeyboardInterrupt:
            coordinator.interrupted(is_cancelling=bool(config.backend_options.get("cancel_on_interrupt")))
            yield from coordinator.new_results()
            raise
        self._finished += coordinator.arrays

    def usage(self) -> list[WorkerUsage]:
        """CPU time and memory of the tasks, where the cluster keeps accounts."""
        return usage_of(self._finished)

    def recorded(self) -> None:
        """All results are in the metrics database: the arrays' files are not needed any more."""
        for array in self._finished:
            shutil.rmtree(array.path)
        self._finished = []
