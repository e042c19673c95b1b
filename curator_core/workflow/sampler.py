"""Designs of experiments as a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.design.designs import SAMPLERS, design
from curator_core.workflow.block import Block


class Sampler(Block):
    """Adds the experiments of a design over the table's domain.

    Parameters
    ----------
    sampler
        ``random``, ``latin`` (hypercube), ``sobol`` or ``grid``; f3dasm's names, such as ``latin_sampler``, are the
        same.
    n_samples
        Number of experiments, where the call does not say it; a grid has as many as it has points.
    seed
        The same seed gives the same design to the same number of rows: in a loop, each turn has a design of its own.
    steps
        Points of a real input on a grid, for all or by name.

    Raises
    ------
    ConfigError
        There is no such sampler.
    """

    def __init__(
        self,
        sampler: str,
        n_samples: int | None = None,
        seed: int | None = None,
        *,
        steps: int | Mapping[str, int] = 2,
    ) -> None:
        self.sampler = sampler.lower().removesuffix("_sampler")
        if self.sampler not in SAMPLERS:
            raise UnknownNameError.of("sampler", sampler, SAMPLERS)
        self.n_samples = n_samples
        self.seed = seed
        self.steps = steps

    def call(self, data: ExperimentData, n_samples: int | None = None, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - of the chain
        """The table with more open rows, numbered on from the highest number."""
        del kwargs
        if not data.domain.input_space:
            raise ConfigError("The table has no inputs that could be sampled; give it a domain.")
        seed = self.seed if self.seed is None or not len(data) else [self.seed, len(data)]
        n = None if self.sampler == "grid" else n_samples or self.n_samples
        rows = design(self.sampler, data.domain, n, seed, steps=self.steps)
        return data.add_experiments(ExperimentData(data.domain, rows))
