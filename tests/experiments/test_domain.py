"""The domain: parameters of every kind, checked when they are made, and JSON that gives them back."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import ArrayParameter, CategoricalParameter, ConstantParameter, ContinuousParameter, Domain


def full():
    domain = Domain()
    domain.add_float("x", 0, 1)
    domain.add_float("free")
    domain.add_float("scale", 0.1, 10, log=True)
    domain.add_int("k", 0, 10, 5)
    domain.add_category("c", ["a", 1, 2.5, None])
    domain.add_constant("one", "1")
    domain.add_array("v", (2, 2), np.zeros((2, 2)), np.eye(2) + 1)
    domain.add_array("w", 3, 0.0, 1.0)
    domain.add_parameter("file", to_disk=True)
    domain.add_output("y")
    domain.add_output("field", to_disk=True)
    return domain


def test_json_gives_the_domain_back(tmp_path):
    """Every kind of parameter is the same after it was stored and read."""
    full().store(tmp_path / "domain")
    found = Domain.from_file(tmp_path / "domain.json")
    assert found == full()
    assert found.input_names == list(full().input_space)
    assert found.output_space["field"].to_disk


def test_yaml_gives_a_domain():
    """Settings as plain YAML, with outputs or without."""
    inputs = {"x": {"type": "float", "low": 0, "high": 1}, "c": {"type": "category", "categories": ["a"]}}
    expected = {"x": ContinuousParameter(0, 1), "c": CategoricalParameter(["a"])}
    assert Domain.from_yaml(inputs).input_space == expected
    both = Domain.from_yaml({"input": inputs, "output": {"y": None, "z": {"to_disk": True}}})
    assert both.input_space == expected
    assert [both.output_space[name].to_disk for name in ("y", "z")] == [False, True]


def test_sums_cover_both():
    """One parameter of two domains takes the values of both; what cannot be one is refused by name."""
    first, second = Domain(), Domain()
    first.add_float("x", 0, 1)
    second.add_float("x", 0.5, 3)
    first.add_constant("c", 1)
    second.add_constant("c", 2)
    assert (first + second).input_space == {"x": ContinuousParameter(0, 3), "c": CategoricalParameter([1, 2])}
    third = Domain()
    third.add_category("x", ["a"])
    with pytest.raises(ConfigError, match="Input 'x' cannot be both"):
        first + third


def test_equal_bounds_are_a_constant():
    """A range of one value is that value."""
    domain = Domain()
    domain.add_float("x", 2, 2)
    assert domain.input_space == {"x": ConstantParameter(2)}
    with pytest.raises(ConfigError, match="kind 'constant', which has no bounds"):
        domain.get_bounds()


def test_bounds():
    """Bounds are one row per input."""
    domain = Domain()
    domain.add_float("x", 0, 1)
    domain.add_int("k", 2, 5)
    assert domain.get_bounds().tolist() == [[0, 1], [2, 5]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "float", "low": 1, "high": 0}, "upper_bound must be above lower_bound, not 1.0 to 0.0"),
        ({"type": "float", "low": 0, "high": 1, "log": True}, "logarithmic scale needs a lower_bound above 0"),
        ({"type": "float", "low": "a"}, "lower_bound must be a number, not 'a'"),
        ({"type": "float", "low": float("nan")}, "lower_bound must be a number, not nan"),
        ({"type": "int", "low": 5, "high": 1}, "upper_bound must be above lower_bound"),
        ({"type": "int", "low": 0, "high": 1, "step": 0}, "step must be above 0"),
        ({"type": "int", "low": 0.5, "high": 1}, "lower_bound must be an integer, not 0.5"),
        ({"type": "category", "categories": ["a", "a"]}, "contain one twice"),
        ({"type": "category", "categories": [["a"]]}, "A category is a number, a text"),
        ({"type": "constant", "value": [1]}, "A constant is a number"),
        ({"type": "array", "shape": ()}, "one or more sizes above 0"),
        ({"type": "array", "shape": (2, 0)}, "one or more sizes above 0"),
        ({"type": "array", "shape": 2, "low": [1, 2, 3]}, "does not fit an array of shape"),
        ({"type": "real"}, "kind of parameter 'p' 'real'. Known: .*float"),
        ({"type": "float", "lo": 1}, "Parameter 'p' of kind 'float'.*'lo'"),
    ],
)
def test_bad_parameters(settings, message):
    """A parameter that makes no sense is refused with what is wrong."""
    with pytest.raises(ConfigError, match=message):
        Domain().add("p", **settings)


def test_names_are_unique_texts():
    """A name is a text that is not taken yet."""
    domain = full()
    with pytest.raises(ConfigError, match="an input 'x' already"):
        domain.add_int("x", 0, 1)
    with pytest.raises(ConfigError, match="an output 'y' already"):
        domain.add_output("y")
    domain.add_output("y", exist_ok=True)
    with pytest.raises(ConfigError, match="non-empty text, not ''"):
        domain.add_output("")


def test_arrays_joined():
    """Arrays of one shape are one parameter with the bounds of both; of two shapes they are none."""
    first, second = ArrayParameter((2,), 0.0, 1.0), ArrayParameter((2,), np.array([-1.0, 0.5]), 2.0)
    joined = Domain({"v": first}) + Domain({"v": second})
    assert joined.input_space["v"] == ArrayParameter((2,), np.array([-1.0, 0.0]), 2.0)
    with pytest.raises(ConfigError, match="'v' cannot be both"):
        Domain({"v": first}) + Domain({"v": ArrayParameter((3,))})
