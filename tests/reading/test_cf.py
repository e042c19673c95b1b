"""Samples as xarray.Dataset: rows, and the sample to which each belongs."""

import numpy as np
import pytest

xarray = pytest.importorskip("xarray")

from curator_core import open_dataset  # noqa: E402 - needs xarray
from curator_core.errors import UnknownNameError  # noqa: E402 - as above


def test_rows_say_to_which_sample_they_belong(dataset, tmp_path):
    """As the conventions have it, so that groups of rows are samples; also when it was written to a file."""
    reader = open_dataset(dataset)
    found = reader.to_xarray([7, 2, 40])
    assert found["forces"].dims == ("atom", "xyz")
    assert found["forces"].attrs == {"units": "eV/Å"}
    assert found["system_index"].attrs == {"instance_dimension": "system"}
    assert found["system"].values.tolist() == [7, 2, 40]
    assert found["energy"].values.tolist() == [7, 2, 40]
    for place, position in enumerate([7, 2, 40]):
        own = found["forces"][found["system_index"] == place]
        assert own.values.tolist() == reader[position].calc.results["forces"].tolist()
    found.to_netcdf(tmp_path / "d.nc", engine="scipy")  # the other library takes no slashes
    with xarray.open_dataset(tmp_path / "d.nc") as read:
        assert np.array_equal(read["positions"], found["positions"])


def test_all_samples_or_some_arrays(dataset):
    """All of them by default; rows are numbered where there are any."""
    reader = open_dataset(dataset)
    every = reader.to_xarray(names=["energy", "numbers"])
    assert every.sizes == {"system": 80, "atom": sum(len(atoms) for atoms in reader)}
    assert set(every.data_vars) == {"energy", "numbers", "system_index"}
    assert set(reader.to_xarray([1], ["energy"]).data_vars) == {"energy"}
    with pytest.raises(UnknownNameError, match="force"):
        reader.to_xarray([1], ["force"])
