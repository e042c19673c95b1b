"""Searches and designs as blocks: they end where the optimum is, wherever and however often they are interrupted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import (
    DataGenerator,
    Domain,
    ExperimentData,
    ExperimentSample,
    Loop,
    Optimizer,
    Sampler,
    Step,
    Workflow,
)


class Sphere(DataGenerator):
    """The squared distance to (1, -2), which fails left of -4."""

    def execute(self, experiment_sample):
        x, y = experiment_sample.get("x"), experiment_sample.get("y")
        if x < -4:
            raise ValueError("diverged")
        experiment_sample.store("f", (x - 1) ** 2 + (y + 2) ** 2)
        return experiment_sample


@pytest.fixture
def domain():
    domain = Domain()
    domain.add_float("x", -5.0, 5.0)
    domain.add_float("y", -5.0, 5.0)
    return domain


@pytest.mark.parametrize(("method", "turns"), [("Nelder-Mead", 60), ("L-BFGS-B", 15), ("Powell", 60), ("BFGS", 15)])
def test_a_search_finds_the_lowest_value(domain, method, turns):
    """One experiment a turn, from the first row on, and none once the search is over."""
    search = Optimizer(method, "f")
    data = (search >> Sphere()).loop(turns).call(ExperimentData(domain, [{"x": 4.0, "y": 3.0}]))
    best = data.get_n_best_output(1, "f").to_pandas()[0].to_numpy()[0]
    assert np.allclose(best, [1.0, -2.0], atol=0.02)
    assert len(data) <= turns + 1


def test_a_generation_at_a_time(domain):
    """Differential evolution asks for a generation; failed experiments are bad ones; it ends, and says so."""
    search = Optimizer("differential_evolution", "f", seed=3, popsize=6, maxiter=30)
    data = ExperimentData(domain)
    turns = 0
    while not search.is_done(data):
        data = Sphere().call(search.call(data))
        turns += 1
    assert turns <= 31
    assert 11 * turns <= len(data) <= 12 * turns
    best = data.get_n_best_output(1, "f").to_pandas()[0].to_numpy()[0]
    assert np.allclose(best, [1.0, -2.0], atol=0.1)
    assert "error" in set(data.jobs)
    assert search.call(data) is data


def test_nothing_is_remembered_but_the_table(domain, tmp_path):
    """A search that goes on from the table on disk asks for the same experiments as one that was not interrupted."""
    straight = ExperimentData(domain)
    for _ in range(4):
        straight = Sphere().call(Optimizer(output_name="f", popsize=3).call(straight))
    broken = ExperimentData(domain)
    for _ in range(4):
        broken.store(tmp_path)
        broken = ExperimentData.from_file(tmp_path)
        asked = Optimizer(output_name="f", popsize=3).call(broken)
        assert Optimizer(output_name="f", popsize=3).call(asked) is asked  # what is open is asked for already
        broken = Sphere().call(asked)
    assert broken == straight


def test_integers_and_categories(domain):
    """Evolution searches lists of values, logarithmic scales and arrays as well; constants stay."""
    domain.add_int("k", 0, 8, 2)
    domain.add_category("c", ["bad", "good"])
    domain.add_constant("one", 1)
    domain.add_float("scale", 1e-3, 1e3, True)
    domain.add_array("v", (2,), 0.0, 1.0)

    class Mixed(DataGenerator):
        def execute(self, experiment_sample):
            row = experiment_sample.input_data
            distance = abs(row["k"] - 4) + (row["c"] == "bad") + abs(np.log10(row["scale"]))
            experiment_sample.store("f", float(distance + np.sum(row["v"] ** 2) + row["x"] ** 2))
            return experiment_sample

    data = (Optimizer(output_name="f", popsize=5, maxiter=40, seed=1) >> Mixed()).loop(20).call(ExperimentData(domain))
    best = data.get_n_best_output(1, "f")
    row: Any = next(iter(best))[1].input_data
    assert (row["k"], row["c"], row["one"]) == (4, "good", 1)
    assert 0.05 < row["scale"] < 20


def test_a_search_as_steps(domain, tmp_path):
    """In a workflow the loop ends with the search, and each generation is spread over workers."""
    ExperimentData(domain).store(tmp_path / "job")
    search = Optimizer(output_name="f", popsize=2, maxiter=0)
    steps = [Step(search, name="ask"), Step(Sphere(), name="evaluate", parallel=True)]
    loop = Loop(n_iterations=9, steps=steps, until=search.is_done)
    Workflow(name="w", steps=[loop]).run(rootdir=tmp_path, project_job="job")
    assert len(ExperimentData.from_file(tmp_path / "job")) == 5


def test_searches_that_cannot_be(domain):
    """Inputs without bounds or kind, outputs that are no numbers, options that are the block's own: by name."""
    for make, message in (
        (lambda: Optimizer(workers=2), "workers= is set by the optimizer itself"),
        (lambda: Optimizer().call(ExperimentData()), "no inputs"),
        (lambda: Optimizer("Powell").call(_kinds()), "Powell searches real inputs alone"),
        (lambda: Optimizer().call(ExperimentData(input_data=[{"x": 1}])), "Input 'x' is of kind 'object'"),
        (lambda: Optimizer("BFGS").call(_unbounded()), "needs a first row"),
        (lambda: Optimizer(output_name="g").call(_finished(domain)), "Row 0 is finished, but its output 'g'"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def _kinds():
    domain = Domain()
    domain.add_category("c", ["p", "q"])
    return ExperimentData(domain)


def _unbounded():
    domain = Domain()
    domain.add_float("x")
    return ExperimentData(domain)


def _finished(domain):
    return ExperimentData(domain, [{"x": 1.0, "y": 1.0}], [{"f": 1.0}])


def test_designs_as_blocks(domain):
    """A sampler adds its design; in a loop each turn has another; f3dasm's names are known."""
    first = Sampler("latin", 4, seed=1).call(ExperimentData(domain))
    assert first.to_pandas()[0].equals(ExperimentData.from_sampling("latin", domain, 4, 1).to_pandas()[0])
    more = Sampler("random_sampler", seed=2).loop(3).call(first, n_samples=2)
    assert more.index.tolist() == list(range(10))
    assert len(more.to_pandas()[0].drop_duplicates()) == 10
    assert more.domain == domain
    assert len(Sampler("grid", steps=3).call(ExperimentData(domain))) == 9
    for make, message in (
        (lambda: Sampler("latni"), "Unknown sampler 'latni'. Known: latin"),
        (lambda: Sampler("sobol").call(ExperimentData(domain)), "n_samples must be 1 or more"),
        (lambda: Sampler("sobol", 2).call(ExperimentData()), "no inputs"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_records_as_f3dasm_has_them():
    """Two records are one, arrays make a record, numbers are rounded and replaced."""
    both = ExperimentSample({"a": 1.26}) + ExperimentSample({"b": 2}, {"y": float("nan")})
    assert both.is_status("finished")
    both.replace_nan(0.5)
    both.round(1)
    assert both.to_dict() == {"a": 1.3, "b": 2, "y": 0.5}
    assert both.to_multiindex()["input", "b"] == 2
    assert [part.tolist() for part in both.to_numpy()] == [[1.3, 2.0], [0.5]]
    assert ExperimentSample.from_numpy(np.array([[1.5], [2.5]])).input_data == {"x0": 1.5, "x1": 2.5}
    with pytest.raises(ConfigError, match="store_function"):
        both.store("model", object(), to_disk=True, store_function=print)


def test_domains_take_positions(domain):
    """A logarithmic scale and files of their own may be said by position."""
    domain.add_float("z", 1, 10, True)
    domain.add_output("field", True)
    domain.add_parameter("p", True)
    assert domain.input_space["z"].log
    assert domain.output_space["field"].to_disk
    assert domain.input_space["p"].to_disk
    with pytest.raises(ConfigError, match="'q': store_function, load_function"):
        domain.add_output("q", True, load_function=print)
