"""Designs of experiments over the inputs of a domain."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError, UnknownNameError
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import (
    ArrayParameter,
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Parameter,
)

Seed = int | Sequence[int] | None
SAMPLERS = ("random", "latin", "sobol", "grid")

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Unit = NDArray[np.float64]


def design(
    sampler: str, domain: Domain, n_samples: int | None, seed: Seed, *, steps: int | Mapping[str, int] = 2
) -> list[dict[str, object]]:
    """Inputs of the experiments of a design, one mapping each.

    Parameters
    ----------
    sampler
        ``random``, ``latin``, ``sobol`` or ``grid``.
    n_samples
        Number of experiments; not for a grid.
    steps
        Points of a real input on a grid, for all or by name.

    Raises
    ------
    ConfigError
        No such sampler, no or a wrong number of samples, or an input without finite bounds.
    """
    if sampler == "grid":
        if n_samples is not None:
            raise ConfigError("A grid has as many experiments as points; give steps=, not n_samples=.")
        _check_steps(steps, domain)
        axes = [_axis(name, one, steps) for name, one in domain.input_space.items()]
        return [dict(zip(domain.input_names, point, strict=True)) for point in itertools.product(*axes)]
    if sampler not in _UNIT:
        raise UnknownNameError.of("sampler", sampler, [*_UNIT, "grid"])
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 1:
        raise ConfigError(f"n_samples must be 1 or more, not {n_samples!r}.")
    try:
        np.random.default_rng(seed)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"seed={seed!r} is none: {exc}.") from exc
    widths = [int(np.prod(one.shape)) if isinstance(one, ArrayParameter) else 1 for one in domain.input_space.values()]
    cube = _UNIT[sampler](n_samples, max(sum(widths), 1), seed)
    starts = list(itertools.accumulate(widths, initial=0))
    columns = {
        name: _scaled(name, parameter, cube[:, start : start + width])
        for (name, parameter), start, width in zip(domain.input_space.items(), starts, widths, strict=False)
    }
    return [{name: values[i] for name, values in columns.items()} for i in range(n_samples)]


def _check_steps(steps: object, domain: Domain) -> None:
    for name, n in steps.items() if isinstance(steps, Mapping) else [(None, steps)]:
        if name is not None and name not in domain.input_space:
            raise UnknownNameError.of("input in steps", name, domain.input_names)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ConfigError(f"steps is a number of points, 1 or more, or such by name; not {n!r:.80}.")


def _random(n: int, width: int, seed: Seed) -> Unit:
    return np.random.default_rng(seed).random((n, width))


def _latin(n: int, width: int, seed: Seed) -> Unit:
    qmc = _qmc()
    return np.asarray(qmc.LatinHypercube(width, rng=np.random.default_rng(seed)).random(n))


def _sobol(n: int, width: int, seed: Seed) -> Unit:
    qmc = _qmc()
    power = max(n - 1, 0).bit_length()  # the sequence is balanced in whole powers of two
    return np.asarray(qmc.Sobol(width, rng=np.random.default_rng(seed)).random_base2(power))[:n]


def _qmc() -> Any:  # noqa: ANN401 - scipy has no types
    try:
        return import_module("scipy.stats").qmc
    except ImportError as exc:
        raise MissingDependencyError.of("scipy", "workflow", "A space-filling design") from exc


_UNIT: dict[str, Callable[[int, int, Seed], Unit]] = {"random": _random, "latin": _latin, "sobol": _sobol}
"""Points in the unit cube: (n, width) float64."""


def _scaled(name: str, parameter: Parameter, unit: Unit) -> Sequence[object]:
    column = unit[:, 0]
    if isinstance(parameter, ConstantParameter):
        return [parameter.value] * len(column)
    if isinstance(parameter, CategoricalParameter):
        return [parameter.categories[i] for i in _choices(column, len(parameter.categories))]
    if isinstance(parameter, DiscreteParameter):
        values = _integers(parameter)
        return [values[i] for i in _choices(column, len(values))]
    if isinstance(parameter, ArrayParameter):
        low, high = _finite(name, parameter.lower_bound, parameter.upper_bound)
        return list(low + unit.reshape(-1, *parameter.shape) * (high - low))
    if isinstance(parameter, ContinuousParameter):
        low, high = _finite(name, parameter.lower_bound, parameter.upper_bound)
        if parameter.log:
            return np.exp(np.log(low) + column * (np.log(high) - np.log(low))).tolist()  # type: ignore[no-any-return]
        return (low + column * (high - low)).tolist()  # type: ignore[no-any-return]
    raise ConfigError(
        f"Input {name!r} is of kind {parameter.kind!r}, which cannot be sampled; store its values instead."
    )


def _choices(unit: Unit, n: int) -> list[int]:
    return [int(i) for i in np.minimum((unit * n).astype(np.int64), n - 1)]


def _integers(parameter: DiscreteParameter) -> range:
    return range(parameter.lower_bound, parameter.upper_bound + 1, parameter.step)


def _finite(name: str, low: float | Unit, high: float | Unit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bounds = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not (np.isfinite(bounds[0]).all() and np.isfinite(bounds[1]).all()):
        raise ConfigError(f"Input {name!r} has no finite bounds ({low} to {high}), so it cannot be sampled.")
    return bounds


def _axis(name: str, parameter: Parameter, steps: int | Mapping[str, int]) -> Sequence[object]:
    if isinstance(parameter, DiscreteParameter):
        return _integers(parameter)
    if isinstance(parameter, CategoricalParameter):
        return parameter.categories
    if isinstance(parameter, ContinuousParameter):
        n = steps.get(name, 2) if isinstance(steps, Mapping) else steps
        return _scaled(name, parameter, np.linspace(0.0, 1.0, n).reshape(-1, 1))
    if isinstance(parameter, ArrayParameter):
        raise ConfigError(f"Input {name!r} is an array, which has no grid; sample it, or give its elements names.")
    return _scaled(name, parameter, np.zeros((1, 1)))
