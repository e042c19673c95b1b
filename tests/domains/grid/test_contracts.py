"""The contracts of components, on those of this domain."""

from __future__ import annotations

import netCDF4
import numpy as np

from curator_core.domains.grid import NetCDFSource
from curator_core.testing import SourceContract


class TestNetCDFSource(SourceContract):
    item = "file"

    def make_source(self, tmp_path):
        for day in (1, 2):
            path = tmp_path / f"{day}.nc"
            if not path.exists():
                with netCDF4.Dataset(path, "w") as file:
                    file.createDimension("time", 2)
                    time = file.createVariable("time", "i4", ("time",))
                    time.units = f"days since 2001-01-0{day}"
                    time[:] = [0, 10]
                    file.createVariable("t", "f4", ("time",))[:] = np.arange(2.0) * day
        return NetCDFSource(str(tmp_path), item=self.item)

    def is_equal(self, first, second):
        return bool(first.identical(second))


class TestNetCDFSourceByTime(TestNetCDFSource):
    item = "time"
