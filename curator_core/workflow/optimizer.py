"""SciPy's optimizers as a block that proposes experiments, for a loop with a generator that evaluates them.

Nothing is remembered between two turns but the table. Each turn carries out the search anew, with the outputs that the
table has; the first points that it has not are the next experiments. So a search goes on in another process, after a
kill, or as a step of a workflow on a cluster, as if nothing had happened.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.experiments.data import ExperimentData
from curator_core.experiments.design.search_space import SearchSpace
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.table import row_of
from curator_core.workflow.block import Block

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVOLUTION = "differential_evolution"
_BOUNDED = ("nelder-mead", "l-bfgs-b", "tnc", "slsqp", "powell", "trust-constr", "cobyla", "cobyqa")
"""Methods of ``minimize`` that keep to bounds."""

_OURS = ("func", "bounds", "rng", "seed", "vectorized", "updating", "workers", "polish", "integrality", "callback")

logger = logging.getLogger("curator")


class _AskedError(Exception):
    """The search needs outputs that the table does not have."""

    def __init__(self, points: Sequence[NDArray[np.float64]]) -> None:
        super().__init__()
        self.points = points


class Optimizer(Block):
    """Adds the experiments that a search for the lowest value of an output asks for next.

    ``differential_evolution`` asks for a whole generation at a time, which a parallel step spreads over workers; the
    methods of ``scipy.optimize.minimize`` ask for one experiment at a time, and start from the table's first row, or
    from the middle of all bounds. A failed experiment counts as infinitely bad.

    Parameters
    ----------
    method
        ``differential_evolution``, or a method of ``minimize``: ``Nelder-Mead``, ``L-BFGS-B``, ``Powell``, ….
    output_name
        The output.
    seed
        Of the random numbers of ``differential_evolution``.
    **options
        Those of ``differential_evolution``, such as ``popsize`` and ``maxiter``; those of the method otherwise.

    Examples
    --------
    >>> search = (Optimizer("Nelder-Mead") >> generator).loop(100)  # doctest: +SKIP
    >>> best = search.call(data).get_n_best_output(1)  # doctest: +SKIP
    """

    def __init__(self, method: str = EVOLUTION, output_name: str = "y", seed: int = 0, **options: Any) -> None:  # noqa: ANN401 - SciPy's
        taken = [name for name in _OURS if name in options]
        if taken:
            raise ConfigError(f"{taken[0]}= is set by the optimizer itself, and cannot be among its options.")
        self.method = method
        self.output_name = output_name
        self.seed = seed
        self.options = options

    def call(self, data: ExperimentData, **kwargs: Any) -> ExperimentData:  # noqa: ANN401 - of the chain
        """The table with the next experiments as open rows; without more once the search is over."""
        del kwargs
        space = SearchSpace.of(data.domain)
        asked = self._asked(data, space)
        if asked is None:
            logger.info("The search by %s is over; no experiment is added.", self.method)
            return data
        known = _values_by_point(data, space, self.output_name)
        rows = {space.key(row): row for row in map(space.row, asked)}
        new = [row for key, row in rows.items() if key not in known]
        return data.add_experiments(ExperimentData(data.domain, new)) if new else data

    def is_done(self, data: ExperimentData) -> bool:
        """Whether the search is over: as `until` of a `Loop`."""
        return self._asked(data, SearchSpace.of(data.domain)) is None

    def _asked(self, data: ExperimentData, space: SearchSpace) -> Sequence[NDArray[np.float64]] | None:
        known = _values_by_point(data, space, self.output_name)

        def value(vector: NDArray[np.float64]) -> float:
            found = known.get(space.key(space.row(vector)))
            if found is None:
                raise _AskedError([np.array(vector)])
            return found

        def values(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
            found = [known.get(space.key(space.row(vector))) for vector in vectors.T]
            missing = [np.array(vectors.T[i]) for i, one in enumerate(found) if one is None]
            if missing:
                raise _AskedError(missing)
            return np.array(found, dtype=np.float64)

        try:
            if self.method == EVOLUTION:
                self._evolve(values, space)
            else:
                self._minimize(value, space, data)
        except _AskedError as asked:
            return asked.points
        return None

    def _evolve(self, values: Any, space: SearchSpace) -> None:  # noqa: ANN401 - SciPy has no types
        space.centre()  # its bounds have to be finite
        _scipy().differential_evolution(
            values,
            space.bounds,
            rng=np.random.default_rng(self.seed),
            vectorized=True,
            updating="deferred",
            polish=False,
            integrality=space.is_whole,
            **self.options,
        )

    def _minimize(self, value: Any, space: SearchSpace, data: ExperimentData) -> None:  # noqa: ANN401 - SciPy has no types
        if any(space.is_whole):
            raise ConfigError(
                f"{self.method} searches real inputs alone; {EVOLUTION} searches integers and categories, too."
            )
        bounds = space.bounds if self.method.lower() in _BOUNDED else None
        _scipy().minimize(value, _start(data, space), method=self.method, bounds=bounds, options=dict(self.options))


def _start(data: ExperimentData, space: SearchSpace) -> NDArray[np.float64]:
    for number in data.table.numbers():
        row = row_of(data.table.inputs, number)
        if space.key(row) is not None:
            return space.vector(row)
    return space.centre()


def _values_by_point(data: ExperimentData, space: SearchSpace, output_name: str) -> dict[Hashable, float | None]:
    """Output of each point of the table; ``None`` for one that is still to be evaluated."""
    found: dict[Hashable, float | None] = {}
    outputs = data.column(output_name) if output_name in data.table.outputs.columns else None
    for number, status in zip(data.table.numbers(), data.table.jobs, strict=True):
        key = space.key(row_of(data.table.inputs, number))
        if status == JobStatus.FINISHED.value:
            value = None if outputs is None else outputs[number]
            if not isinstance(value, int | float | np.number):
                raise ConfigError(f"Row {number} is finished, but its output {output_name!r} is no number: {value!r}.")
            found[key] = math.inf if math.isnan(value) else float(value)
        elif found.get(key) is None:
            found[key] = math.inf if status == JobStatus.ERROR.value else None
    found.pop(None, None)
    return found


def _scipy() -> Any:  # noqa: ANN401 - SciPy has no types
    try:
        return import_module("scipy.optimize")
    except ImportError as exc:
        raise MissingDependencyError.of("scipy", "workflow", "An optimizer") from exc
