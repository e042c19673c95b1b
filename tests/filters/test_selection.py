"""Fields chosen, dropped, renamed and reordered in values of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.datasets.layout import Rows
from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.selection import SelectFilter
from tests.filters.grids import grid, through

pd = pytest.importorskip("pandas")
xr = pytest.importorskip("xarray")


def test_a_dataset():
    """With the coordinates of what stays, in the order in which it is named."""
    (found,) = through(SelectFilter(["rain", "t"]), grid())
    assert list(found.data_vars) == ["rain", "t"]
    xr.testing.assert_identical(found, grid())
    (found,) = through(SelectFilter(["rain"]), grid())
    assert list(found.data_vars) == ["rain"]
    assert set(found.coords) == {"time"}
    (found,) = through(SelectFilter(drop=["rain"]), grid())
    assert list(found.data_vars) == ["t"]
    assert set(found.coords) == {"time", "level", "level_bnds"}


def test_what_attributes_name_stays():
    """A grid mapping and the bounds of a coordinate come along."""
    given = grid().assign_coords(crs=((), 0, {"grid_mapping_name": "latitude_longitude"}))
    given["rain"].attrs["grid_mapping"] = "crs"
    (found,) = through(SelectFilter(["rain"]), given)
    assert "crs" in found.coords


def test_new_names():
    """Of data, coordinates and dimensions, with what attributes say of them; what came in has its own."""
    given = grid()
    names = {"t": "temperature", "level": "lev", "level_bnds": "lev_bnds", "x": "lon"}
    (found,) = through(SelectFilter(rename=names), given)
    assert list(found.data_vars) == ["temperature", "rain"]
    assert found["temperature"].dims == ("time", "lev", "lon")
    assert found["lev"].attrs["bounds"] == "lev_bnds"
    assert found["lev_bnds"].dims == ("lev", "nv")
    assert given["level"].attrs["bounds"] == "level_bnds"
    (found,) = through(SelectFilter(["t"], rename={"t": "rain"}), given)
    assert list(found.data_vars) == ["rain"]
    with pytest.raises(ComponentError, match="'rain' is renamed, and not among the fields that stay"):
        through(SelectFilter(["t"], rename={"rain": "r"}), given)
    (found,) = through(SelectFilter(rename={"t": "rain", "rain": "t"}), given)
    np.testing.assert_array_equal(found["rain"].values, given["t"].values)


def test_a_dataset_without_indexes():
    """As sources of grids give them: it gets none, and keeps what it has."""
    given = grid().drop_indexes(["time", "level"])
    (found,) = through(SelectFilter(["t"], rename={"level": "lev", "time": "when"}), given)
    assert not found.xindexes
    assert found["t"].dims == ("when", "lev", "x")
    assert list(grid().xindexes) == ["time", "level"]
    (found,) = through(SelectFilter(rename={"level": "lev"}), grid())
    assert list(found.xindexes) == ["time", "lev"]


def test_values_of_an_item_that_have_none():
    """Are left out; an item of which no value has a field fails, and says what there is."""
    assert len(through(SelectFilter(["rain"]), grid()[["t"]], grid())) == 1
    with pytest.raises(ComponentError, match="no value of the item has 'sst'; they have 't', 'rain', 'time'"):
        through(SelectFilter(["sst", "t"]), grid())
    through(SelectFilter(["sst", "t"], missing="ignore"), grid())
    with pytest.raises(ComponentError, match="every value of the item was left out"):
        through(SelectFilter(["sst"], missing="ignore"), grid())
    with pytest.raises(ComponentError, match="'level' is a coordinate, which stays"):
        through(SelectFilter(["level"]), grid())


def test_other_kinds():
    """Tables, mappings, arrays with fields, and rows with what is present of them."""
    frame = pd.DataFrame({"a": [1], "b": [2.0], "c": ["x"]})
    (found,) = through(SelectFilter(["c", "a"], rename={"a": "n"}), frame)
    assert list(found.columns) == ["c", "n"]
    (found,) = through(SelectFilter(drop=["in.b"], rename={"a": "in.a"}), {"a": 1, "in": {"b": 2, "c": 3}})
    assert found == {"in": {"a": 1, "c": 3}}
    array = np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])
    (found,) = through(SelectFilter(["b"], rename={"b": "z"}), array)
    assert found.dtype.names == ("z",)
    rows = Rows(1, {"a": np.ones(1), "b": np.ones(1)}, {}, {"b": np.ones(1, np.bool_)})
    (found,) = through(SelectFilter(["b"], rename={"b": "z"}), rows)
    assert list(found.values) == list(found.present) == ["z"]
    with pytest.raises(ComponentError, match="a plain array has no name"):
        through(SelectFilter(rename={"value": "x"}), np.ones(2))


def test_structures():
    """Keep their numbers and positions, and results under another name."""
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((2, 3)))
    atoms.calc.results["dft_energy"] = atoms.calc.results.pop("energy")
    (found,) = through(SelectFilter(["dft_energy"], rename={"dft_energy": "energy"}), atoms)
    assert found.get_potential_energy() == -1.0
    assert "forces" not in found.calc.results
    assert found == atoms
    with pytest.raises(ComponentError, match="the positions of a structure have no other name"):
        through(SelectFilter(rename={"positions": "x"}), atoms)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give the fields that stay"),
        ({"fields": ["a"], "drop": ["b"]}, "give the fields that stay"),
        ({"fields": ["a", "a"]}, "fields has 'a' twice"),
        ({"rename": {"a": "c", "b": "c"}}, "rename has 'c' twice"),
    ],
)
def test_options_that_are_none(options, said):
    """Are refused when the filter is made."""
    with pytest.raises(ConfigError, match=said):
        SelectFilter(**options)


def test_a_name_that_is_taken():
    """By data or by a coordinate fails the item."""
    for taken in ("rain", "level"):
        with pytest.raises(ComponentError, match=f"two fields would be named '{taken}'"):
            through(SelectFilter(rename={"t": taken}), grid())
