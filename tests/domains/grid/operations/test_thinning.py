"""Fewer points: those that stay are unchanged, means keep the integral over the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.domains.grid import ThinFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import curved, regular, through


def test_every_second_point():
    """As xarray takes it, of curved grids too, and along other dimensions where they are named."""
    given = regular()
    (found,) = through(ThinFilter(2), given)
    assert found["t"].drop_attrs().identical(given["t"][:, ::2, ::2].drop_attrs())
    assert found["lon_bnds"].values[1].tolist() == [45, 75]
    (found,) = through(ThinFilter({"time": 2, "lon": 3}), given)
    assert found["t"].drop_attrs().identical(given["t"][::2, :, ::3].drop_attrs())
    (found,) = through(ThinFilter(5), curved())
    assert found["t"].identical(curved()["t"][::5, ::5])


def test_means_keep_the_integral():
    """Area-weighted over the sphere, with new bounds; what has too few values is missing."""
    random = np.random.default_rng(1)
    given = regular(10.0, values=random.random((2, 18, 36)))
    given["flat"] = ("lat", random.random(18), {"units": "m"})
    (found,) = through(ThinFilter(3, "mean"), given)
    area, coarse = (np.diff(np.sin(np.radians(np.linspace(90, -90, n + 1)))) for n in (18, 6))
    np.testing.assert_allclose(
        (found["t"].values * coarse[:, None]).sum(axis=(1, 2)) * 3,
        (given["t"].values * area[:, None]).sum(axis=(1, 2)),
        rtol=1e-13,
    )
    assert found["lat"].values.tolist() == [75, 45, 15, -15, -45, -75]
    assert found["lat_bnds"].values[0].tolist() == [60, 90]
    assert found["lon_bnds"].values[0].tolist() == [-5, 25]
    assert found["t"].attrs == {"units": "K", "cell_methods": "time: mean area: mean"}
    assert found["flat"].attrs["cell_methods"] == "lat: mean"


@pytest.mark.parametrize(("min_valid", "is_there"), [(0.5, True), (0.9, False)])
def test_missing_values(min_valid, is_there):
    """The mean of what is there, where it is enough."""
    given = regular(dtype="i2")
    given["t"] = given["t"].astype("f4")
    given["t"][0, 0, 0] = np.nan
    (found,) = through(ThinFilter({"lon": 2}, "mean", min_valid=min_valid), given)
    assert found["t"].dtype == np.float32
    np.testing.assert_array_equal(found["t"].values[0, 0, 0], 1.0 if is_there else np.nan)
    assert found["t"].values[0, 0, 1] == 2.5


def test_what_has_no_mean():
    """Is refused by name; areas of cells are left out with what names them."""
    given = regular()
    for changed, every, said in (
        (given, 4, "'lat' has 6 points, which is no whole number of 4"),
        (given, {"time": 2}, "'time' is no dimension of a grid of latitudes by longitudes"),
        (curved(), 2, "'y' is no dimension of a grid"),
        (given.assign(kind=("lat", np.arange(6), {"flag_values": [0, 1]})), 2, "field 'kind' has flags"),
    ):
        with pytest.raises(ComponentError, match=said):
            through(ThinFilter(every, "mean"), changed)
    given["t"].attrs["cell_measures"] = "area: cells"
    given = given.assign_coords(cells=(("lat", "lon"), np.ones((6, 12))))
    (found,) = through(ThinFilter(4, "mean", boundary="trim"), given)
    assert "cells" not in found
    assert "cell_measures" not in found["t"].attrs
    assert found.sizes["lat"] == 1
    for arguments in ([1], [{}], [0]):
        with pytest.raises(ConfigError):
            ThinFilter(*arguments)
