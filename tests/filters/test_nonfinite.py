"""NaN and infinite numbers, in values of every kind."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.nonfinite import NonFiniteFilter
from tests.filters.grids import grid, through

pd = pytest.importorskip("pandas")


def damaged():
    """A grid with one NaN of rain, and an infinite and a NaN temperature at the second step."""
    dataset = grid()
    dataset["t"][1, 0, 1], dataset["t"][1, 1, 0] = np.inf, np.nan
    dataset["rain"][2, 0] = np.nan
    return dataset


def test_they_fail_an_item():
    """With their number, apart for NaN and infinite ones, and the first place."""
    with pytest.raises(ComponentError) as failed:
        through(NonFiniteFilter(), grid(), damaged())
    text = str(failed.value)
    assert (
        "non_finite: value 1: field 't': 1 NaN and 1 infinite of 12 numbers, the first at time=1, level=0, x=1" in text
    )
    assert "field 'rain': 1 NaN of 6 numbers, the first at time=2, x=0" in text
    (same,) = through(NonFiniteFilter(), grid())
    assert same.identical(grid())


def test_what_is_allowed_stays():
    """Of one kind, of a field or of all of them."""
    with pytest.raises(ComponentError, match="field 't': 1 infinite of 12 numbers, the first"):
        through(NonFiniteFilter(allow={"*": "nan"}), damaged())
    (same,) = through(NonFiniteFilter(allow={"t": ["nan", "inf"], "rain": "nan"}), damaged())
    assert same.identical(damaged())
    through(NonFiniteFilter(fields=["t"], allow={"t": ["nan", "inf"]}), damaged())
    with pytest.raises(ComponentError, match="no value of the item has 'sst'; they have 't', 'rain', 'time'"):
        through(NonFiniteFilter(allow={"sst": "nan"}), grid())
    through(NonFiniteFilter(allow={"sst": "nan"}, missing="ignore"), grid())


def test_infinite_ones_are_masked():
    """They are NaN then, and attributes, encoding and other values stay; what came in is not changed."""
    given = damaged()
    given["t"].encoding["dtype"] = "int16"
    (masked,) = through(NonFiniteFilter("mask", ["t"]), given)
    assert np.isnan(masked["t"].values[1]).tolist() == [[False, True], [True, False]]
    assert masked["t"].encoding["dtype"] == "int16"
    assert masked["t"].attrs == given["t"].attrs
    assert masked["rain"].identical(given["rain"])
    assert np.isinf(given["t"].values).sum() == 1


def test_they_are_filled():
    """With one number, or one for each field; allowed ones are not."""
    (filled,) = through(NonFiniteFilter("fill", fill_value={"t": -1, "rain": 0}), damaged())
    assert filled["t"].values[1].tolist() == [[284.0, -1.0], [-1.0, 287.0]]
    assert filled["t"].dtype == np.float32
    assert filled["rain"].values[2, 0] == 0.0
    (filled,) = through(NonFiniteFilter("fill", allow={"*": "nan"}, fill_value=9), damaged())
    assert filled["t"].values[1, 0, 1] == 9.0
    assert np.isnan(filled["t"].values[1, 1, 0])
    with pytest.raises(ComponentError, match="'rain': 1 NaN of 6 numbers, and fill_value has nothing for it"):
        through(NonFiniteFilter("fill", fill_value={"t": -1}), damaged())
    with pytest.raises(ComponentError, match=r"float32 does not hold the fill value 1e\+300"):
        through(NonFiniteFilter("fill", ["t"], fill_value=1e300), damaged())


def test_steps_are_left_out(caplog):
    """Those with a bad number in any field, and it is said how many."""
    with caplog.at_level(logging.WARNING):
        (left,) = through(NonFiniteFilter("drop"), damaged())
    assert left["time"].values.tolist() == [0]
    assert left["t"].shape == (1, 2, 2)
    assert "2 of 3 entries along time are left out" in caplog.text
    (left,) = through(NonFiniteFilter("drop", ["t"], along="x", allow={"t": "nan"}), damaged())
    assert left["t"].shape == (3, 2, 1)
    with pytest.raises(ComponentError, match="it has no dimension 'level' along which to leave it out"):
        through(NonFiniteFilter("drop", along="level"), damaged())


def test_an_item_that_is_left_out_as_a_whole_fails():
    """Nothing becomes of nothing in silence."""
    dataset = grid()
    dataset["t"][:] = np.nan
    with pytest.raises(ComponentError, match="every value of the item was left out"):
        through(NonFiniteFilter("drop"), dataset)
    assert len(through(NonFiniteFilter("drop"), dataset, grid())) == 1


def test_a_share_that_is_too_large_fails():
    """Whatever the action, and allowed ones count."""
    dataset = grid()
    dataset["t"][0] = np.nan
    for most, more in ((0.33, {"allow": {"*": "nan"}}), ({"t": 0.33}, {"action": "mask"})):
        with pytest.raises(ComponentError, match=r"4 of 12 numbers are NaN or infinite, 33\.333%, .* allows 33\.000%"):
            through(NonFiniteFilter(max_fraction=most, **more), dataset)
    through(NonFiniteFilter(max_fraction=0.34, allow={"*": "nan"}), dataset)


def test_values_of_other_kinds():
    """Tables lose rows, mappings too, and integers and texts have nothing that is not finite."""
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [1, 2, 3], "c": ["x", "y", "z"]})
    (left,) = through(NonFiniteFilter("drop"), frame)
    assert left["b"].tolist() == [1, 3]
    (left,) = through(NonFiniteFilter("drop"), {"a": np.array([np.inf, 1.0]), "in": {"b": np.array([1, 2])}})
    assert left["in"]["b"].tolist() == [2]
    (filled,) = through(NonFiniteFilter("fill", fill_value=0), np.array([np.nan, 1.0]))
    assert filled.tolist() == [0.0, 1.0]
    nullable = pd.DataFrame({"a": pd.array([1, None], dtype="Int64")})
    with pytest.raises(ComponentError, match="field 'a': 1 NaN of 2 numbers, the first at rows=1"):
        through(NonFiniteFilter(), nullable)
    with pytest.raises(ComponentError, match="a str has no fields"):
        through(NonFiniteFilter(), "text")


def test_structures():
    """Their results and arrays; one with a bad number is left out as a whole."""
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator

    def structure(energy):
        atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((2, 3)))
        return atoms

    (left,) = through(NonFiniteFilter("drop"), structure(np.nan), structure(-1.0))
    assert left.get_potential_energy() == -1.0
    (filled,) = through(NonFiniteFilter("fill", ["energy"], fill_value=0.0), structure(np.inf))
    assert filled.calc.results["energy"] == 0.0
    assert filled.calc.results["forces"].shape == (2, 3)
    with pytest.raises(ComponentError, match="field 'energy': 1 NaN of 1 numbers, the first at the only place"):
        through(NonFiniteFilter(), structure(np.nan))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"action": "fill"}, "needs a fill_value"),
        ({"action": "mask", "fill_value": 0.0}, "needs a fill_value"),
        ({"along": "time"}, "for action='drop'"),
        ({"fields": []}, "fields names none"),
        ({"max_fraction": 1.5}, "between 0 and 1"),
        ({"allow": {"t": "missing"}}, "allow"),
        ({"action": "repair"}, "action"),
    ],
)
def test_options_that_are_none(options, said):
    """Are refused when the filter is made."""
    with pytest.raises(ConfigError, match=said):
        NonFiniteFilter(**options)
